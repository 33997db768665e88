package linear_test

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// A keyCall is a call about the keys of one owner, who began with one key.
type keyCall struct {
	family int
	kind   string // "verify", "rotate", "revoke", "revoke owner"
	key    int    // which one, but for "revoke owner"
	next   int    // the number of the new key, of "rotate"
	atOnce bool   // the old key ends with the rotation, and not a day later
}

// A keyAnswer is its answer.
type keyAnswer struct {
	// said is "ok", "not found", "conflict"; of "verify" "ok", "revoked", "expired", or "refused" where it is not told
	// why; "unknown" when there was no answer.
	said  string
	count int // how many were revoked, of "revoke owner"
}

// keys are the keys of an owner, a bit for each.
type keys struct {
	made, replaced, ended, revoked uint64
}

// keyModel is what the keys of an owner may do, one call after the other.
//
// A family of keys is its own partition: what happens to one owner's keys has nothing to do with another's.
func keyModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: byFamily(func(input any) int { return input.(keyCall).family }),
		Init:      func() []any { return []any{keys{made: 1}} },
		Step: func(state, input, output any) []any {
			before := state.(keys)
			answer := output.(keyAnswer)
			after, want := before.take(input.(keyCall))
			if answer.said == "refused" && want.said != "ok" {
				answer = want
			}
			switch {
			case answer.said == "unknown":
				return []any{before, after}
			case answer == want:
				return []any{after}
			}
			return nil
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+b", state) },
	}
	return m.ToModel()
}

// take returns the keys after a call, and the answer.
func (k keys) take(c keyCall) (keys, keyAnswer) {
	bit := uint64(1) << c.key
	is := func(set uint64) bool { return set&bit != 0 }
	switch c.kind {
	case "verify":
		switch {
		case !is(k.made):
			return k, keyAnswer{said: "not found"}
		case is(k.revoked):
			return k, keyAnswer{said: "revoked"}
		case is(k.ended):
			return k, keyAnswer{said: "expired"}
		}
		return k, keyAnswer{said: "ok"}
	case "rotate":
		switch {
		case !is(k.made) || is(k.revoked):
			return k, keyAnswer{said: "not found"}
		case is(k.replaced):
			return k, keyAnswer{said: "conflict"}
		}
		k.made |= 1 << c.next
		k.replaced |= bit
		if c.atOnce {
			k.ended |= bit
		}
		return k, keyAnswer{said: "ok"}
	case "revoke":
		if !is(k.made) || is(k.revoked) {
			return k, keyAnswer{said: "not found"}
		}
		k.revoked |= bit
		return k, keyAnswer{said: "ok"}
	case "revoke owner":
		n := 0
		for left := k.made &^ k.revoked; left != 0; left &= left - 1 {
			n++
		}
		k.revoked = k.made
		return k, keyAnswer{"ok", n}
	}
	panic("no such call: " + c.kind)
}

// byFamily splits a history into those of single families.
func byFamily(family func(input any) int) func([]porcupine.Operation) [][]porcupine.Operation {
	return func(all []porcupine.Operation) [][]porcupine.Operation {
		of := map[int][]porcupine.Operation{}
		for _, op := range all {
			f := family(op.Input)
			of[f] = append(of[f], op)
		}
		var out [][]porcupine.Operation
		for _, ops := range of {
			out = append(out, ops)
		}
		return out
	}
}
