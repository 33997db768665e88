package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The life of a signing key.
const (
	// keyLife is how long a key signs.
	keyLife = 90 * 24 * time.Hour
	// keyNotice is how long before it signs the next key is there for all to see.
	keyNotice = 24 * time.Hour
	// keyOverlap is how long a key verifies after the next one signs: as long as a token may live, and some minutes for
	// a process that has not yet seen that its time is over.
	keyOverlap = MaxAccessTTL + 10*time.Minute
	// keyInterval is how often a process looks at the keys.
	keyInterval = time.Minute
)

// A ring is the signing keys that are of use, in ascending order of their numbers. It does not change.
type ring struct {
	keys     []*signingKey
	verifier *Verifier
	jwks     []byte
}

// signing returns the key that signs at now.
func (r *ring) signing(now time.Time) *signingKey {
	for i := len(r.keys) - 1; i > 0; i-- {
		if !r.keys[i].record.SignsFrom.After(now) {
			return r.keys[i]
		}
	}
	return r.keys[0]
}

// Start loads the signing keys, and makes one if there is none, or the newest is not opened by any of the secrets. That
// goes to Config.OnKeyError: what such a key has signed is refused from then on; the families go on. With
// Config.OneSecret a newest key of another secret is not replaced: the error wraps [ErrOtherSecret]. Start is called
// before everything else, once the store can be used.
func (m *Manager) Start(ctx context.Context) error {
	if err := m.loadKeys(ctx, m.now(), true); err != nil {
		return fmt.Errorf("token: signing keys: %w", err)
	}
	return nil
}

// Run looks at the signing keys once a minute, for what other processes did and for what is due, until ctx ends. What
// goes wrong goes to Config.OnKeyError; the keys that were loaded stay in use.
func (m *Manager) Run(ctx context.Context) error {
	tick := time.NewTicker(keyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := m.loadKeys(ctx, m.now(), false); err != nil && ctx.Err() == nil && m.onKeyError != nil {
				m.onKeyError(fmt.Errorf("token: signing keys: %w", err))
			}
		}
	}
}

// loadKeys brings the ring in line with the store, and the store with the time.
func (m *Manager) loadKeys(ctx context.Context, now time.Time, start bool) error {
	now = instant(now)
	var other error
	for range 5 { // others may be doing the same
		records, err := m.keyStore.Keys(ctx, m.algorithm)
		if err != nil {
			return err
		}
		if records, err = m.dropEnded(ctx, records, now); err != nil {
			return err
		}
		if len(records) > 0 && m.isForeign(records[len(records)-1]) {
			other = fmt.Errorf("key %s: %w", records[len(records)-1].ID, ErrOtherSecret)
			if start && m.oneSecret {
				return other
			}
		}
		keys, failed := m.openKeys(ctx, records)
		failed = errors.Join(other, failed)
		due, err := m.due(records, keys, now, start)
		if err != nil {
			return errors.Join(err, failed)
		}
		if due == nil {
			if start && failed != nil && m.onKeyError != nil {
				m.onKeyError(fmt.Errorf("token: signing keys: %w", failed))
			}
			return m.use(keys)
		}
		if err := m.addKey(ctx, *due); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return errors.New("other processes keep changing them")
}

// dropEnded deletes the keys of whose tokens none lives any more, and returns the others.
func (m *Manager) dropEnded(ctx context.Context, records []KeyRecord, now time.Time) ([]KeyRecord, error) {
	for len(records) > 1 && !now.Before(records[1].SignsFrom.Add(keyOverlap)) {
		if err := m.keyStore.DeleteKey(ctx, records[0].ID); err != nil {
			return nil, err
		}
		records = records[1:]
	}
	return records, nil
}

// openKeys decrypts what the secrets open, and encrypts under the present secret what was under a former one.
func (m *Manager) openKeys(ctx context.Context, records []KeyRecord) (keys []*signingKey, failed error) {
	for _, r := range records {
		k, err := m.openKey(ctx, r)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("key %s: %w", r.ID, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, failed
}

func (m *Manager) openKey(ctx context.Context, r KeyRecord) (*signingKey, error) {
	for i, s := range m.sealers {
		if s.id != r.SecretID {
			continue
		}
		private, err := s.open(&r)
		if err != nil {
			return nil, err
		}
		k, err := readKey(r.Algorithm, private)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			next := r
			m.sealers[0].seal(&next, private)
			// Where another process was faster, or the store is away, the former secret does for now.
			if m.keyStore.ResealKey(ctx, r.ID, r.SecretID, next.SecretID, next.Sealed) == nil {
				r = next
			}
		}
		k.record = r
		return k, nil
	}
	return nil, errors.New("it was encrypted under a secret that is neither the present nor a former one")
}

// DropForeign deletes the signing keys, of every algorithm, that were encrypted under a secret that is neither the
// present nor a former one, and returns how many these were: what they have signed is refused from then on. It is for a
// secret that was lost. A process that still has that secret makes such a key again at its next start.
func (m *Manager) DropForeign(ctx context.Context) (int, error) {
	n := 0
	for _, algorithm := range []Algorithm{EdDSA, ES256, RS256, HS256} {
		records, err := m.keyStore.Keys(ctx, algorithm)
		if err != nil {
			return n, fmt.Errorf("token: signing keys: %w", err)
		}
		for _, r := range records {
			if !m.isForeign(r) {
				continue
			}
			if err := m.keyStore.DeleteKey(ctx, r.ID); err != nil {
				return n, fmt.Errorf("token: signing keys: %w", err)
			}
			n++
		}
	}
	return n, nil
}

// isForeign reports whether r was encrypted under a secret that is neither the present nor a former one.
func (m *Manager) isForeign(r KeyRecord) bool {
	return !slices.ContainsFunc(m.sealers, func(s sealer) bool { return s.id == r.SecretID })
}

// due returns the record of a key that is to be made now, or nil.
func (m *Manager) due(records []KeyRecord, keys []*signingKey, now time.Time, start bool) (*KeyRecord, error) {
	if len(records) == 0 {
		return &KeyRecord{Algorithm: m.algorithm, Number: 1, SignsFrom: now}, nil
	}
	newest := records[len(records)-1]
	if len(keys) == 0 || keys[len(keys)-1].record.ID != newest.ID {
		if !start {
			return nil, errors.New("the newest one cannot be opened: has the secret been changed elsewhere?")
		}
		return &KeyRecord{Algorithm: m.algorithm, Number: newest.Number + 1, SignsFrom: now}, nil
	}
	end := newest.SignsFrom.Add(keyLife)
	if now.Before(end.Add(-keyNotice)) {
		return nil, nil
	}
	if soonest := now.Add(keyNotice); end.Before(soonest) {
		end = soonest
	}
	return &KeyRecord{Algorithm: m.algorithm, Number: newest.Number + 1, SignsFrom: end}, nil
}

func (m *Manager) addKey(ctx context.Context, r KeyRecord) error {
	private, err := makeKey(m.algorithm)
	if err != nil {
		return err
	}
	k, err := readKey(m.algorithm, private)
	if err != nil {
		return err
	}
	r.ID = k.record.ID
	m.sealers[0].seal(&r, private)
	return m.keyStore.AddKey(ctx, r)
}

// use makes keys the ring.
func (m *Manager) use(keys []*signingKey) error {
	verify := make([]Key, 0, len(keys))
	published := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range keys {
		verify = append(verify, k.verify)
		if k.public.Key != nil {
			published.Keys = append(published.Keys, k.public)
		}
	}
	set, err := NewKeySet(m.algorithm, verify...)
	if err != nil {
		return err
	}
	v, err := NewVerifier(VerifierConfig{Keys: set, Issuer: m.issuer, Audience: m.audience})
	if err != nil {
		return err
	}
	jwks, err := json.Marshal(published)
	if err != nil {
		return err
	}
	m.ring.Store(&ring{keys: keys, verifier: v, jwks: jwks})
	return nil
}

// Look brings the signing keys in line with the store at once, as Run does once a minute.
func (m *Manager) Look(ctx context.Context) error {
	if err := m.loadKeys(ctx, m.now(), false); err != nil {
		return fmt.Errorf("token: signing keys: %w", err)
	}
	return nil
}
