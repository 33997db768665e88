package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxNotice is how long before it signs a key can be published.
const maxNotice = 30 * 24 * time.Hour

// maxRotated is how many keys of one algorithm Rotate lets there be.
const maxRotated = 16

// Rotate makes a signing key before the time of the present one is over. It is published at once and signs after
// notice, 0 to 30 days: longer than a minute, the time in which other processes see it, and than whoever verifies tokens
// keeps the published keys. The keys before it verify until their last tokens are over. It works beside processes that
// run, on their key store and with their secret, and needs no Start.
func (m *Manager) Rotate(ctx context.Context, notice time.Duration) (KeyRecord, error) {
	if notice < 0 || notice > maxNotice {
		return KeyRecord{}, fmt.Errorf("token: rotate: the notice is %v: use 0 to %v", notice, maxNotice)
	}
	r, _, err := m.nextKey(ctx, notice)
	if err != nil {
		return KeyRecord{}, fmt.Errorf("token: rotate: %w", err)
	}
	return r, nil
}

// Replace makes a signing key that signs at once, and deletes all others of every algorithm: what they have signed, or
// whoever knows them signs, is refused by each process within a minute, when it sees that. Families go on: their apps
// renew their tokens. It returns how many it deleted. Like Rotate it works beside processes that run; after an error it
// can be repeated.
func (m *Manager) Replace(ctx context.Context) (KeyRecord, int, error) {
	r, others, err := m.nextKey(ctx, 0)
	if err != nil {
		return KeyRecord{}, 0, fmt.Errorf("token: replace: %w", err)
	}
	for _, a := range []Algorithm{EdDSA, ES256, RS256, HS256} {
		if a == m.algorithm {
			continue
		}
		more, err := m.keyStore.Keys(ctx, a)
		if err != nil {
			return r, 0, fmt.Errorf("token: replace: %w", err)
		}
		others = slices.Concat(others, more)
	}
	for i, o := range others {
		if err := m.keyStore.DeleteKey(ctx, o.ID); err != nil {
			return r, i, fmt.Errorf("token: replace: %w", err)
		}
	}
	return r, len(others), nil
}

// nextKey adds a key behind all others of its algorithm, and returns these too.
func (m *Manager) nextKey(ctx context.Context, notice time.Duration) (KeyRecord, []KeyRecord, error) {
	for range 5 { // others may be doing the same
		records, err := m.keyStore.Keys(ctx, m.algorithm)
		if err != nil {
			return KeyRecord{}, nil, err
		}
		number := int64(1)
		if n := len(records); n > 0 {
			// What one secret cannot open another would be sealed beside: processes that run could not open it.
			if _, err := m.openKey(ctx, records[n-1]); err != nil {
				return KeyRecord{}, nil, fmt.Errorf("the newest key cannot be opened: give the secret of the processes that run: %w", err)
			}
			if n >= maxRotated && notice > 0 {
				return KeyRecord{}, nil, fmt.Errorf("there are %d keys already: wait until the first ones are over", n)
			}
			number = records[n-1].Number + 1
		}
		private, err := makeKey(m.algorithm)
		if err != nil {
			return KeyRecord{}, nil, err
		}
		k, err := readKey(m.algorithm, private)
		if err != nil {
			return KeyRecord{}, nil, err
		}
		r := KeyRecord{ID: k.record.ID, Algorithm: m.algorithm, Number: number, SignsFrom: instant(m.now()).Add(notice)}
		m.sealers[0].seal(&r, private)
		if err = m.keyStore.AddKey(ctx, r); err == nil {
			return r, records, nil
		}
		if !errors.Is(err, ErrConflict) {
			return KeyRecord{}, nil, err
		}
	}
	return KeyRecord{}, nil, errors.New("other processes keep changing the signing keys")
}
