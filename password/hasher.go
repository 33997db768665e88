package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Algorithm names a password hashing function.
type Algorithm string

// The algorithms of [HasherConfig]. Hashes of both are verified, whichever is configured.
const (
	Argon2id Algorithm = "argon2id" // RFC 9106
	Bcrypt   Algorithm = "bcrypt"   // at most 72 bytes of password: longer ones are refused
)

// Errors of a [Hasher]. Any other error of Hash and Verify is that of their context, wrapped.
var (
	// ErrOverloaded: as many hashes as allowed are being computed and the queue is full, or a place in it did not
	// come up in time. The answer is 503 with Retry-After.
	ErrOverloaded = errors.New("password: too many passwords are being hashed")
	// ErrTooLong: the password is longer than the algorithm takes: 72 bytes for bcrypt, 4096 for argon2id.
	ErrTooLong = errors.New("password: longer than the algorithm takes")
	// ErrInvalidUTF8: the password is not valid UTF-8 and has no normal form.
	ErrInvalidUTF8 = errors.New("password: not valid UTF-8")
	// ErrMalformedHash: the stored hash is not one that this package reads, or its cost is out of bounds.
	ErrMalformedHash = errors.New("password: stored hash is malformed or its cost is out of bounds")
)

// Bounds of what is computed, whoever asks: a configuration, or a hash read from a store.
const (
	maxPasswordBytes = 4096
	bcryptMaxBytes   = 72 // what the Blowfish key schedule takes in

	maxMemoryKiB  = 1 << 20 // 1 GiB
	maxTime       = 16
	maxThreads    = 16
	minBcryptCost = bcrypt.MinCost
	maxBcryptCost = 16 // about three seconds

	saltBytes = 16 // RFC 9106, section 4
	keyBytes  = 32
)

// HasherConfig says how passwords are hashed. The zero value is argon2id with 19 MiB, two passes and one thread.
type HasherConfig struct {
	_ [0]func()

	// Algorithm hashes new passwords: Argon2id (default) or Bcrypt.
	Algorithm Algorithm
	// MemoryKiB is argon2id's memory in KiB, up to 1048576. Default 19456, which is also the floor (47104 with Time 1).
	MemoryKiB uint32
	// Time is argon2id's number of passes, 1 to 16. Default 2; the floor is 2, or 1 with 47104 KiB.
	Time uint32
	// Threads is argon2id's degree of parallelism, 1 to 16. Default 1.
	Threads uint8
	// BcryptCost is the binary logarithm of bcrypt's rounds, 10 to 16. Default 12.
	BcryptCost int

	// MaxStoredMemoryKiB bounds the memory that verifying a stored argon2id hash may take; a hash that asks for more
	// is ErrMalformedHash. Default and least value: the greater of MemoryKiB and 65536 (64 MiB). Raise it to verify
	// hashes made elsewhere with more, or before lowering MemoryKiB.
	MaxStoredMemoryKiB uint32

	// MaxConcurrent is how many hashes are computed at once, 1 to 1024. Default GOMAXPROCS. The memory in use is at
	// most MaxConcurrent × MemoryKiB (× MaxStoredMemoryKiB while hashes that ask for it are verified); what is
	// finished but not yet collected comes on top, as the garbage collector is tuned.
	MaxConcurrent int
	// MaxQueue is how many callers may wait for their turn, 1 to 65536. Default 4 × MaxConcurrent.
	MaxQueue int
	// QueueTimeout is how long a caller waits at most, 1 ms to 1 min. Default 2 s.
	QueueTimeout time.Duration

	// InsecureWeakParameters allows costs under the floor, for tests and migrations. It holds the reason.
	InsecureWeakParameters string
}

// A Hasher hashes and verifies passwords. It is safe for concurrent use and does not change after [NewHasher].
type Hasher struct {
	algorithm  Algorithm
	argon      argonParams
	bcryptCost int
	maxStored  uint32
	gate       *gate
	unknown    string // a hash in the configured form that no password has
}

// NewHasher compiles cfg, reporting everything that is wrong with it at once.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	setDefault(&cfg.Algorithm, Argon2id)
	setDefault(&cfg.MemoryKiB, 19456)
	setDefault(&cfg.Time, 2)
	setDefault(&cfg.Threads, 1)
	setDefault(&cfg.BcryptCost, 12)
	setDefault(&cfg.MaxConcurrent, runtime.GOMAXPROCS(0))
	setDefault(&cfg.MaxQueue, 4*cfg.MaxConcurrent)
	setDefault(&cfg.QueueTimeout, 2*time.Second)
	setDefault(&cfg.MaxStoredMemoryKiB, max(cfg.MemoryKiB, 65536))
	if err := cfg.check(); err != nil {
		return nil, err
	}
	h := &Hasher{
		algorithm:  cfg.Algorithm,
		argon:      argonParams{memoryKiB: cfg.MemoryKiB, time: cfg.Time, threads: cfg.Threads},
		bcryptCost: cfg.BcryptCost,
		maxStored:  cfg.MaxStoredMemoryKiB,
		gate:       newGate(cfg.MaxConcurrent, cfg.MaxQueue, cfg.QueueTimeout),
	}
	// Random bytes in the place of a salt and a digest: nobody has the password to it, and verifying it costs
	// exactly what verifying a real one costs.
	salt, key := make([]byte, saltBytes), make([]byte, keyBytes)
	rand.Read(salt)
	rand.Read(key)
	if h.algorithm == Bcrypt {
		h.unknown = formatBcrypt(h.bcryptCost, salt, key)
	} else {
		h.unknown = formatArgon(h.argon, salt, key)
	}
	return h, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (cfg *HasherConfig) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("password: "+format, args...)) }

	if cfg.Algorithm != Argon2id && cfg.Algorithm != Bcrypt {
		bad("Algorithm %q is not known: use %q or %q", cfg.Algorithm, Argon2id, Bcrypt)
	}
	if cfg.MemoryKiB > maxMemoryKiB || cfg.MemoryKiB < 8*uint32(cfg.Threads) {
		bad("MemoryKiB %d is out of range: use 8 × Threads to %d", cfg.MemoryKiB, maxMemoryKiB)
	}
	if cfg.Time > maxTime {
		bad("Time %d is out of range: use 1 to %d", cfg.Time, maxTime)
	}
	if cfg.Threads > maxThreads {
		bad("Threads %d is out of range: use 1 to %d", cfg.Threads, maxThreads)
	}
	if cfg.BcryptCost < minBcryptCost || cfg.BcryptCost > maxBcryptCost {
		bad("BcryptCost %d is out of range: use %d to %d", cfg.BcryptCost, minBcryptCost, maxBcryptCost)
	}
	if cfg.MaxStoredMemoryKiB < cfg.MemoryKiB || cfg.MaxStoredMemoryKiB > maxMemoryKiB {
		bad("MaxStoredMemoryKiB %d is out of range: use MemoryKiB (%d) to %d", cfg.MaxStoredMemoryKiB, cfg.MemoryKiB, maxMemoryKiB)
	}
	if cfg.MaxConcurrent < 1 || cfg.MaxConcurrent > 1024 {
		bad("MaxConcurrent %d is out of range: use 1 to 1024", cfg.MaxConcurrent)
	}
	if cfg.MaxQueue < 1 || cfg.MaxQueue > 65536 {
		bad("MaxQueue %d is out of range: use 1 to 65536", cfg.MaxQueue)
	}
	if cfg.QueueTimeout < time.Millisecond || cfg.QueueTimeout > time.Minute {
		bad("QueueTimeout %v is out of range: use 1ms to 1m", cfg.QueueTimeout)
	}
	if cfg.InsecureWeakParameters == "" {
		// OWASP Password Storage Cheat Sheet.
		if floor := cfg.MemoryKiB >= 19456 && cfg.Time >= 2 || cfg.MemoryKiB >= 47104; cfg.Algorithm == Argon2id && !floor {
			bad("argon2id with MemoryKiB %d and Time %d is under the OWASP floor: use at least 19456 and 2, or 47104 and 1",
				cfg.MemoryKiB, cfg.Time)
		}
		if cfg.Algorithm == Bcrypt && cfg.BcryptCost < 10 {
			bad("BcryptCost %d is under the OWASP floor: use at least 10", cfg.BcryptCost)
		}
	}
	return errors.Join(errs...)
}

// Hash returns the hash of password for storage: a PHC string (`$argon2id$v=19$m=...`) or a modular crypt string
// (`$2b$...`), with a new random salt. It waits for its turn; then the work cannot be interrupted.
// Errors: ErrTooLong, ErrInvalidUTF8, ErrOverloaded, or that of ctx.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if len(password) > maxPasswordBytes {
		return "", ErrTooLong
	}
	if !utf8.ValidString(password) {
		return "", ErrInvalidUTF8
	}
	text := []byte(normalize(password))
	if h.algorithm == Bcrypt && len(text) > bcryptMaxBytes {
		return "", ErrTooLong
	}
	if err := h.gate.enter(ctx); err != nil {
		return "", err
	}
	defer h.gate.leave()

	if h.algorithm == Bcrypt {
		hash, err := bcrypt.GenerateFromPassword(text, h.bcryptCost)
		if err != nil {
			return "", fmt.Errorf("password: %w", err)
		}
		return string(hash), nil
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	return formatArgon(h.argon, salt, h.argon.key(text, salt, keyBytes)), nil
}

// Verify reports whether stored is a hash of password, and, when it is, whether the password should be hashed anew
// because the hash was made with another algorithm or other parameters than the configured ones.
//
// A password that cannot have been hashed (too long, not UTF-8) does not match. A wrong password is not an error.
// Errors: ErrMalformedHash, ErrOverloaded, or that of ctx.
func (h *Hasher) Verify(ctx context.Context, stored, password string) (ok, rehash bool, err error) {
	parsed, err := parseHash(stored, h.maxStored)
	if err != nil {
		return false, false, err
	}
	// These two do not depend on the account, so that answering at once tells nothing about it.
	if len(password) > maxPasswordBytes || !utf8.ValidString(password) {
		return false, false, nil
	}
	text := []byte(normalize(password))
	if err := h.gate.enter(ctx); err != nil {
		return false, false, err
	}
	defer h.gate.leave()

	if parsed.algorithm == Bcrypt {
		// bcrypt reads the first 72 bytes only. The work is done all the same: an early answer would tell that this
		// account exists and has a bcrypt hash.
		fits := len(text) <= bcryptMaxBytes
		ok = bcrypt.CompareHashAndPassword([]byte(stored), text[:min(len(text), bcryptMaxBytes)]) == nil && fits
		return ok, ok && (h.algorithm != Bcrypt || parsed.bcryptCost != h.bcryptCost), nil
	}
	key := parsed.argon.key(text, parsed.salt, uint32(len(parsed.key)))
	ok = subtle.ConstantTimeCompare(key, parsed.key) == 1
	current := h.algorithm == Argon2id && parsed.argon == h.argon && len(parsed.salt) == saltBytes && len(parsed.key) == keyBytes
	return ok, ok && !current, nil
}

// VerifyUnknown does the work of Verify for an account that does not exist, so that the time of the answer does not
// tell which accounts do. The work is that of the configured parameters: accounts whose hash was made with others
// can be told apart by time until they log in and are hashed anew. Errors: ErrOverloaded, or that of ctx.
func (h *Hasher) VerifyUnknown(ctx context.Context, password string) error {
	_, _, err := h.Verify(ctx, h.unknown, password)
	return err
}

func (p argonParams) key(text, salt []byte, length uint32) []byte {
	return argon2.IDKey(text, salt, p.time, p.memoryKiB, p.threads, length)
}
