package password

import "testing"

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=08,t=2,p=1$$",
		"$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"$2a$31$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
		"$2$", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s, 65536)
		switch {
		case err != nil:
		case h.algorithm == Argon2id:
			// One hash has one spelling, and what it may cost is bounded.
			if again := formatArgon(h.argon, h.salt, h.key); again != s {
				t.Errorf("%q was read and is written as %q", s, again)
			}
			if p := h.argon; p.memoryKiB > 65536 || p.time > 16 || p.threads > 16 || p.time < 1 || p.threads < 1 || len(h.key) > 64 {
				t.Errorf("%q was read with %+v and a key of %d bytes", s, p, len(h.key))
			}
		case h.bcryptCost < 4 || h.bcryptCost > 16 || len(s) != 60:
			t.Errorf("%q was read with cost %d", s, h.bcryptCost)
		}
	})
}

func TestTheHashForUnknownAccountsIsRead(t *testing.T) {
	for _, algorithm := range []Algorithm{Argon2id, Bcrypt} {
		h, err := NewHasher(HasherConfig{Algorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parseHash(h.unknown, 65536)
		if err != nil || parsed.algorithm != algorithm {
			t.Errorf("parseHash(%q) = %+v, %v, want %s", h.unknown, parsed, err, algorithm)
		}
		// Equal work: the parameters are those of a new hash.
		if algorithm == Argon2id && (parsed.argon != argonParams{19456, 2, 1} || len(parsed.key) != 32) {
			t.Errorf("parameters %+v, want m=19456,t=2,p=1", parsed.argon)
		}
		if algorithm == Bcrypt && parsed.bcryptCost != 12 {
			t.Errorf("cost %d, want 12", parsed.bcryptCost)
		}
	}
}
