package pattern

import (
	"container/list"
	"time"
)

// A table remembers, for each of a number of keys, different values of a window.
type table struct {
	keys, values int
	window       time.Duration
	entries      map[uint64]*list.Element
	recent       *list.List // of *entry, the one that was quiet longest at the back
}

type entry struct {
	key    uint64
	values []value // oldest first
	told   time.Time
}

type value struct {
	hash uint64
	at   time.Time
}

func newTable(keys, values int, window time.Duration) *table {
	return &table{keys: keys, values: values, window: window, entries: map[uint64]*list.Element{}, recent: list.New()}
}

// add remembers a value of key, and returns how many different ones there are: no more
// than the table has room for.
func (t *table) add(key, hash uint64, now time.Time) int {
	el := t.entries[key]
	if el == nil {
		if len(t.entries) >= t.keys {
			oldest := t.recent.Back()
			delete(t.entries, oldest.Value.(*entry).key)
			t.recent.Remove(oldest)
		}
		el = t.recent.PushFront(&entry{key: key})
		t.entries[key] = el
	} else {
		t.recent.MoveToFront(el)
	}
	e := el.Value.(*entry)
	e.drop(now.Add(-t.window))
	for i, v := range e.values {
		if v.hash == hash { // seen again: it is the youngest now
			e.values = append(append(e.values[:i], e.values[i+1:]...), value{hash, now})
			return len(e.values)
		}
	}
	if len(e.values) == t.values {
		e.values = append(e.values[:0], e.values[1:]...)
	}
	e.values = append(e.values, value{hash, now})
	return len(e.values)
}

// drop forgets what is older than a window.
func (e *entry) drop(before time.Time) {
	n := 0
	for n < len(e.values) && !e.values[n].at.After(before) {
		n++
	}
	e.values = append(e.values[:0], e.values[n:]...)
}

// count returns how many different values key has.
func (t *table) count(key uint64, now time.Time) int {
	el := t.entries[key]
	if el == nil {
		return 0
	}
	e := el.Value.(*entry)
	e.drop(now.Add(-t.window))
	return len(e.values)
}

// tell reports whether key, which has a value, was not told of for an hour, and notes
// that it is now.
func (t *table) tell(key uint64, now time.Time) bool {
	e := t.entries[key].Value.(*entry)
	if !e.told.IsZero() && now.Sub(e.told) < Window {
		return false
	}
	e.told = now
	return true
}

// remove forgets one value of key.
func (t *table) remove(key, hash uint64) {
	el := t.entries[key]
	if el == nil {
		return
	}
	e := el.Value.(*entry)
	for i, v := range e.values {
		if v.hash == hash {
			e.values = append(e.values[:i], e.values[i+1:]...)
			return
		}
	}
}

// forget forgets the values of key, which it returns, and not that it was told of.
func (t *table) forget(key uint64) []value {
	el := t.entries[key]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	values := e.values
	e.values = nil
	return values
}

// A rate admits Events events in each Window.
type rate struct {
	begun      time.Time
	used       int
	suppressed uint64
}

// take returns how many events were suppressed since the last one, and whether there is
// room for another.
func (r *rate) take(now time.Time) (suppressed uint64, ok bool) {
	if r.begun.IsZero() || now.Sub(r.begun) >= Window {
		r.begun, r.used = now, 0
	}
	if r.used >= Events {
		r.suppressed++
		return 0, false
	}
	r.used++
	suppressed, r.suppressed = r.suppressed, 0
	return suppressed, true
}
