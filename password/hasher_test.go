package password_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/merlonhq/merlon/password"
)

// cheap hashes in well under a millisecond.
func cheap() password.HasherConfig {
	return password.HasherConfig{MemoryKiB: 64, Time: 1, BcryptCost: 4, MaxConcurrent: 4, MaxQueue: 1000,
		InsecureWeakParameters: "the tests hash often"}
}

func newHasher(t testing.TB, cfg password.HasherConfig) *password.Hasher {
	t.Helper()
	h, err := password.NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func hash(t testing.TB, h *password.Hasher, text string) string {
	t.Helper()
	s, err := h.Hash(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheZeroConfigIsArgon2idAtTheOWASPFloor(t *testing.T) {
	h := newHasher(t, password.HasherConfig{})
	stored := hash(t, h, "tram-lamp-onion")
	want := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	if !want.MatchString(stored) {
		t.Errorf("Hash = %q, want a match of %v", stored, want)
	}
	ok, rehash, err := h.Verify(t.Context(), stored, "tram-lamp-onion")
	if !ok || rehash || err != nil {
		t.Errorf("Verify = %v, %v, %v, want true, false, nil", ok, rehash, err)
	}
}

func TestCostsUnderTheFloorAreRefused(t *testing.T) {
	reason := "an old machine"
	for name, tt := range map[string]struct {
		cfg  password.HasherConfig
		want string // in the error; empty: accepted
	}{
		"argon2id with a little too little memory":       {password.HasherConfig{MemoryKiB: 19455, Time: 2}, "19455"},
		"argon2id at the floor":                          {password.HasherConfig{MemoryKiB: 19456, Time: 2}, ""},
		"one pass with a little too little memory":       {password.HasherConfig{MemoryKiB: 47103, Time: 1}, "47103"},
		"one pass with enough memory":                    {password.HasherConfig{MemoryKiB: 47104, Time: 1}, ""},
		"many passes do not make up for memory":          {password.HasherConfig{MemoryKiB: 12288, Time: 16}, "12288"},
		"weak argon2id with a reason":                    {password.HasherConfig{MemoryKiB: 64, Time: 1, InsecureWeakParameters: reason}, ""},
		"bcrypt 9":                                       {password.HasherConfig{Algorithm: "bcrypt", BcryptCost: 9}, "9"},
		"bcrypt 10":                                      {password.HasherConfig{Algorithm: "bcrypt", BcryptCost: 10}, ""},
		"bcrypt 9 with a reason":                         {password.HasherConfig{Algorithm: "bcrypt", BcryptCost: 9, InsecureWeakParameters: reason}, ""},
		"bcrypt 3 is not even possible with a reason":    {password.HasherConfig{Algorithm: "bcrypt", BcryptCost: 3, InsecureWeakParameters: reason}, "3"},
		"bcrypt 17 takes seconds":                        {password.HasherConfig{Algorithm: "bcrypt", BcryptCost: 17}, "17"},
		"another algorithm":                              {password.HasherConfig{Algorithm: "argon2i"}, "argon2i"},
		"more than a gibibyte":                           {password.HasherConfig{MemoryKiB: 1<<20 + 1}, "1048577"},
		"seventeen passes":                               {password.HasherConfig{Time: 17}, "17"},
		"seventeen threads":                              {password.HasherConfig{Threads: 17}, "17"},
		"a negative number at once":                      {password.HasherConfig{MaxConcurrent: -1, MaxQueue: 1}, "MaxConcurrent"},
		"a negative queue":                               {password.HasherConfig{MaxQueue: -1}, "MaxQueue"},
		"an hour in the queue":                           {password.HasherConfig{QueueTimeout: 3600e9}, "1h0m0s"},
		"stored hashes bounded under the configured one": {password.HasherConfig{MemoryKiB: 65536, MaxStoredMemoryKiB: 19456}, "MaxStoredMemoryKiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := password.NewHasher(tt.cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewHasher: %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

func TestAllConfigurationErrorsAreReportedAtOnce(t *testing.T) {
	_, err := password.NewHasher(password.HasherConfig{Algorithm: "md5", Time: 99, MaxQueue: -2})
	for _, want := range []string{`"md5"`, "99", "-2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewHasher: %v, want it to name %s", err, want)
		}
	}
}

// Hashes made by other implementations: the argon2 reference code's tests, and the bcrypt vectors of jBCrypt.
func TestHashesOfOtherImplementationsVerify(t *testing.T) {
	h := newHasher(t, cheap())
	for name, tt := range map[string]struct {
		stored, password string
		want             bool
	}{
		"argon2id, 256 KiB": {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password", true},
		"argon2id, threads": {"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password", true},
		"argon2id, wrong":   {"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "Password", false},
		"bcrypt":            {"$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc", true},
		"bcrypt as 2y":      {"$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc", true},
		"bcrypt as 2b":      {"$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abc", true},
		"bcrypt, wrong":     {"$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "abd", false},
		"bcrypt, empty":     {"$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			ok, rehash, err := h.Verify(t.Context(), tt.stored, tt.password)
			if ok != tt.want || rehash != tt.want || err != nil {
				t.Errorf("Verify = %v, %v, %v, want %v, %v, nil", ok, rehash, err, tt.want, tt.want)
			}
		})
	}
}

func TestAHashIsMadeAnewWhenAlgorithmOrParametersDiffer(t *testing.T) {
	old := cheap()
	stored := hash(t, newHasher(t, old), "tram-lamp-onion")
	change := func(f func(*password.HasherConfig)) password.HasherConfig {
		cfg := old
		f(&cfg)
		return cfg
	}
	for name, tt := range map[string]struct {
		cfg    password.HasherConfig
		rehash bool
	}{
		"the same":         {old, false},
		"another queue":    {change(func(c *password.HasherConfig) { c.MaxQueue = 3 }), false},
		"another memory":   {change(func(c *password.HasherConfig) { c.MemoryKiB = 65 }), true},
		"another time":     {change(func(c *password.HasherConfig) { c.Time = 2 }), true},
		"other threads":    {change(func(c *password.HasherConfig) { c.Threads = 2 }), true},
		"bcrypt":           {change(func(c *password.HasherConfig) { c.Algorithm = password.Bcrypt }), true},
		"only bcrypt cost": {change(func(c *password.HasherConfig) { c.BcryptCost = 5 }), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHasher(t, tt.cfg)
			if ok, rehash, err := h.Verify(t.Context(), stored, "tram-lamp-onion"); !ok || rehash != tt.rehash || err != nil {
				t.Errorf("Verify = %v, %v, %v, want true, %v, nil", ok, rehash, err, tt.rehash)
			}
			if ok, rehash, err := h.Verify(t.Context(), stored, "tram-lamp-union"); ok || rehash || err != nil {
				t.Errorf("Verify of a wrong password = %v, %v, %v, want false, false, nil", ok, rehash, err)
			}
		})
	}
}

func TestABcryptPasswordIsNeverTruncated(t *testing.T) {
	cfg := cheap()
	cfg.Algorithm = password.Bcrypt
	h := newHasher(t, cfg)
	limit := strings.Repeat("é", 36) // 72 bytes
	stored := hash(t, h, limit)
	if ok, rehash, err := h.Verify(t.Context(), stored, limit); !ok || rehash || err != nil {
		t.Errorf("Verify of 72 bytes = %v, %v, %v, want true, false, nil", ok, rehash, err)
	}
	if _, err := h.Hash(t.Context(), limit+"x"); !errors.Is(err, password.ErrTooLong) {
		t.Errorf("Hash of 73 bytes: %v, want ErrTooLong", err)
	}
	if ok, _, err := h.Verify(t.Context(), stored, limit+"x"); ok || err != nil {
		t.Errorf("Verify of 73 bytes that begin with the password = %v, %v, want false, nil", ok, err)
	}
	// 77 bytes as typed, 52 in the normal form that counts.
	if _, err := h.Hash(t.Context(), strings.Repeat("e\u0301", 25)+"xx"); err != nil {
		t.Errorf("Hash of 52 bytes in normal form: %v", err)
	}
}

func TestThePasswordIsTheSameHoweverItWasTyped(t *testing.T) {
	h := newHasher(t, cheap())
	for name, tt := range map[string]struct {
		set, typed string
		want       bool
	}{
		"composed and decomposed":          {"caf\u00e9 del mar", "cafe\u0301 del mar", true},
		"a no-break space":                 {"open sesame now", "open\u00a0sesame\u3000now", true},
		"an accent matters":                {"caf\u00e9 del mar", "cafe del mar", false},
		"case matters":                     {"Open sesame now", "open sesame now", false},
		"superscript two is not two":       {"x\u00b2 open sesame", "x2 open sesame", false},
		"a space at the end is part of it": {"open sesame now ", "open sesame now", false},
		"a NUL ends nothing":               {"open sesame\x00now", "open sesame\x00not", false},
	} {
		t.Run(name, func(t *testing.T) {
			if ok, _, err := h.Verify(t.Context(), hash(t, h, tt.set), tt.typed); ok != tt.want || err != nil {
				t.Errorf("Verify = %v, %v, want %v, nil", ok, err, tt.want)
			}
		})
	}
}

func TestWhatCannotHaveBeenHashedIsRefusedByHashAndDoesNotMatch(t *testing.T) {
	h := newHasher(t, cheap())
	stored := hash(t, h, strings.Repeat("x", 4096))
	for name, tt := range map[string]struct {
		password string
		want     error
	}{
		"4097 bytes":                {strings.Repeat("x", 4097), password.ErrTooLong},
		"a stray continuation byte": {"open sesame \x80", password.ErrInvalidUTF8},
		"a surrogate":               {"open sesame \xed\xa0\x80", password.ErrInvalidUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := h.Hash(t.Context(), tt.password); !errors.Is(err, tt.want) {
				t.Errorf("Hash: %v, want %v", err, tt.want)
			}
			if ok, _, err := h.Verify(t.Context(), stored, tt.password); ok || err != nil {
				t.Errorf("Verify = %v, %v, want false, nil", ok, err)
			}
		})
	}
}

func TestAMalformedStoredHashIsAnErrorAndCostsNothing(t *testing.T) {
	h := newHasher(t, cheap())
	salt, key := "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for name, stored := range map[string]string{
		"empty":                          "",
		"plain text":                     "tram-lamp-onion",
		"four gibibytes of memory":       "$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + key,
		"a little over the bound":        "$argon2id$v=19$m=65537,t=2,p=1$" + salt + "$" + key,
		"a million passes":               "$argon2id$v=19$m=256,t=1000000,p=1$" + salt + "$" + key,
		"more threads than allowed":      "$argon2id$v=19$m=256,t=2,p=255$" + salt + "$" + key,
		"less memory than threads need":  "$argon2id$v=19$m=8,t=2,p=2$" + salt + "$" + key,
		"no pass":                        "$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + key,
		"no thread":                      "$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + key,
		"a leading zero":                 "$argon2id$v=19$m=0256,t=2,p=1$" + salt + "$" + key,
		"a sign":                         "$argon2id$v=19$m=+256,t=2,p=1$" + salt + "$" + key,
		"an overflow":                    "$argon2id$v=19$m=99999999999999999999,t=2,p=1$" + salt + "$" + key,
		"parameters in another order":    "$argon2id$v=19$t=2,m=256,p=1$" + salt + "$" + key,
		"a parameter too many":           "$argon2id$v=19$m=256,t=2,p=1,data=AA$" + salt + "$" + key,
		"argon2i":                        "$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"the old version":                "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + key,
		"padding":                        "$argon2id$v=19$m=256,t=2,p=1$" + salt + "=$" + key + "=",
		"bits left over":                 "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key[:42] + "5",
		"a line feed":                    "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "\n",
		"an empty salt":                  "$argon2id$v=19$m=256,t=2,p=1$$" + key,
		"an empty key":                   "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$",
		"a key of eight bytes":           "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + salt,
		"a huge key":                     "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + strings.Repeat("AAAA", 1<<16),
		"bcrypt with rounds for a month": "$2a$31$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt 17":                      "$2a$17$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt 3":                       "$2a$03$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"the faulty bcrypt":              "$2x$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt without a minor version": "$2$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt with a cost of letters":  "$2a$0x$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"bcrypt cut short":               "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0",
		"bcrypt in another alphabet":     "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0+",
	} {
		t.Run(name, func(t *testing.T) {
			ok, rehash, err := h.Verify(t.Context(), stored, "password")
			if ok || rehash || !errors.Is(err, password.ErrMalformedHash) {
				t.Fatalf("Verify = %v, %v, %v, want false, false, ErrMalformedHash", ok, rehash, err)
			}
			if len(stored) > 10 && strings.Contains(err.Error(), stored[len(stored)-10:]) {
				t.Errorf("the error %q shows the stored hash", err)
			}
		})
	}
}

func TestAnUnknownAccountAnswersAsAWrongPasswordDoes(t *testing.T) {
	for _, algorithm := range []password.Algorithm{password.Argon2id, password.Bcrypt} {
		cfg := cheap()
		cfg.Algorithm = algorithm
		h := newHasher(t, cfg)
		if err := h.VerifyUnknown(t.Context(), "tram-lamp-onion"); err != nil {
			t.Errorf("%s: VerifyUnknown: %v", algorithm, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.VerifyUnknown(ctx, "tram-lamp-onion"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: VerifyUnknown of a cancelled context: %v, want context.Canceled", algorithm, err)
		}
	}
}

func TestConcurrentCallersGetTheirOwnAnswers(t *testing.T) {
	h := newHasher(t, cheap())
	words := []string{"tram-lamp-onion", "open sesame now", "caf\u00e9 del mar"}
	var stored []string
	for _, w := range words {
		stored = append(stored, hash(t, h, w))
	}
	var wg sync.WaitGroup
	for i := range 90 {
		wg.Go(func() {
			ok, _, err := h.Verify(t.Context(), stored[i%3], words[i/3%3])
			if want := i%3 == i/3%3; ok != want || err != nil {
				t.Errorf("Verify %d = %v, %v, want %v", i, ok, err, want)
			}
		})
	}
	wg.Wait()
}

func BenchmarkHash(b *testing.B) {
	h := newHasher(b, password.HasherConfig{})
	b.ReportAllocs()
	for b.Loop() {
		hash(b, h, "tram-lamp-onion")
	}
}
