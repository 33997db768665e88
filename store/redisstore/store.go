package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// Eval runs a script on the server with EVALSHA, or with EVAL when the server answers NOSCRIPT, and returns its
// reply, a list of integers. It returns as soon as ctx ends, and must not repeat a script that may have run.
// keys and args are binary and not kept. It is called by many goroutines at a time; a client that pipelines their
// calls is the fastest.
type Eval func(ctx context.Context, s *Script, keys, args []string) ([]int64, error)

// Config configures a [Store].
type Config struct {
	// Eval reaches the server. Required.
	Eval Eval
	// Cluster says that the server is a Redis Cluster, where the keys of one script must be in one slot. Without
	// it, all requests of a call are decided by one script.
	Cluster bool
	// Prefix begins the names of all keys: 1 to 64 of a-z, A-Z, 0-9, "_", "-", "." and ":". Services that share
	// a server and not their limits need different ones. Empty means "merlon".
	Prefix string
}

// Store is a [ratelimit.Store] in Redis. It keeps nothing itself.
type Store struct {
	eval    Eval
	cluster bool
	prefix  string
	ratelimit.Namespaces
}

var (
	_ ratelimit.Store   = (*Store)(nil)
	_ ratelimit.Claimer = (*Store)(nil)
)

// New makes a [Store]. It does not call Eval.
func New(c Config) (*Store, error) {
	var errs []error
	if c.Eval == nil {
		errs = append(errs, errors.New("redisstore: Eval is nil: give a function that runs a script"))
	}
	if c.Prefix == "" {
		c.Prefix = "merlon"
	}
	if len(c.Prefix) > 64 || strings.ContainsFunc(c.Prefix, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.:", r))
	}) {
		errs = append(errs, fmt.Errorf("redisstore: Prefix %q does not fit: give 1 to 64 of a-z, A-Z, 0-9 and _-.:, no others", c.Prefix))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Store{eval: c.Eval, cluster: c.Cluster, prefix: c.Prefix + ":{"}, nil
}

// Take implements [ratelimit.Store].
func (s *Store) Take(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	if err := check(reqs, res); err != nil {
		return err
	}
	for i := range reqs {
		res[i].Stamp = 0
	}
	groups := s.groups(reqs, res, func(int) bool { return true })
	if err := s.run(ctx, takeScript, groups, reqs, res); err != nil || len(groups) == 1 {
		return err
	}
	// Scripts in several slots have decided each for itself.
	for i := range reqs {
		if !res[i].Allowed {
			return s.give(ctx, reqs, res)
		}
	}
	return nil
}

// GiveBack implements [ratelimit.Store].
func (s *Store) GiveBack(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	if err := check(reqs, res); err != nil {
		return err
	}
	return s.give(ctx, reqs, slices.Clone(res))
}

// give returns what has a stamp, and writes to res what is left then.
func (s *Store) give(ctx context.Context, reqs []ratelimit.Request, res []ratelimit.Result) error {
	groups := s.groups(reqs, res, func(i int) bool { return !reqs[i].Peek && res[i].Stamp != 0 })
	return s.run(ctx, giveScript, groups, reqs, res)
}

func check(reqs []ratelimit.Request, res []ratelimit.Result) error {
	if len(res) < len(reqs) {
		return ratelimit.ErrResults
	}
	for i := range reqs {
		if l := reqs[i].Limit; l == nil || l.Validate() != nil {
			return ratelimit.ErrInvalidLimit
		}
	}
	return nil
}

// group is the requests of a call that one script decides about.
type group struct {
	tag        string
	keys, args []string
	index      []int // of the requests
}

// groups sorts the requests that are wanted by their slots.
func (s *Store) groups(reqs []ratelimit.Request, res []ratelimit.Result, wanted func(i int) bool) []group {
	var groups []group
	for i := range reqs {
		if !wanted(i) {
			continue
		}
		key, tag := name(s.prefix, &reqs[i].Key, reqs[i].Limit)
		at := slices.IndexFunc(groups, func(g group) bool { return !s.cluster || g.tag == tag })
		if at < 0 {
			at = len(groups)
			n := len(reqs) - i
			groups = append(groups, group{tag: tag, keys: make([]string, 0, n), args: make([]string, 0, n), index: make([]int, 0, n)})
		}
		g := &groups[at]
		g.keys = append(g.keys, key)
		g.args = append(g.args, argument(&reqs[i], res[i].Stamp))
		g.index = append(g.index, i)
	}
	return groups
}

// run runs a script for each group, all at the same time, and fills the results.
func (s *Store) run(ctx context.Context, script *Script, groups []group, reqs []ratelimit.Request, res []ratelimit.Result) error {
	switch len(groups) {
	case 0:
		return nil
	case 1:
		return s.runOne(ctx, script, &groups[0], reqs, res)
	}
	errs := make([]error, len(groups))
	var wg sync.WaitGroup
	for i := range groups[1:] {
		wg.Go(func() { errs[i+1] = s.runOne(ctx, script, &groups[i+1], reqs, res) })
	}
	errs[0] = s.runOne(ctx, script, &groups[0], reqs, res)
	wg.Wait()
	return errors.Join(errs...)
}

// perRequest is how many integers a script replies with for each request.
const perRequest = 5

func (s *Store) runOne(ctx context.Context, script *Script, g *group, reqs []ratelimit.Request, res []ratelimit.Result) error {
	reply, err := s.eval(ctx, script, g.keys, g.args)
	if err != nil {
		return err
	}
	if len(reply) != perRequest*len(g.keys) {
		return fmt.Errorf("redisstore: the script replied with %d integers; want %d", len(reply), perRequest*len(g.keys))
	}
	for i, index := range g.index {
		n := reply[perRequest*i:]
		r := &res[index]
		*r = ratelimit.Result{
			Allowed: n[0] == 1, Limit: reqs[index].Limit.Max, Remaining: int(n[1]),
			Reset: time.Duration(n[2]) * time.Microsecond, RetryAfter: time.Duration(n[3]) * time.Microsecond, Stamp: n[4],
		}
	}
	return nil
}

// Flags of an argument.
const (
	flagPeek = 1 << iota
	flagMicroseconds
)

// nanoseconds is up to which length of time a script counts in nanoseconds: what a number of Lua holds, by far.
const nanoseconds = 1 << 52

// argument packs what a script needs to know of a request, as count.lua reads it.
func argument(r *ratelimit.Request, stamp int64) string {
	l := r.Limit
	flags := 0
	if r.Peek {
		flags |= flagPeek
	}
	interval := (int64(l.Window) + int64(l.Max) - 1) / int64(l.Max) // rounded up: never a higher rate
	if interval*int64(l.Burst) > nanoseconds {
		flags |= flagMicroseconds
		interval = (interval + 999) / 1000
	}
	if l.Algorithm == ratelimit.SlidingWindow {
		interval = 0
	}
	b := make([]byte, 0, 40)
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(l.Max))[:3]
	b = le.AppendUint32(b, uint32(l.Burst))[:6]
	b = le.AppendUint64(b, uint64(l.Window/time.Microsecond))[:12]
	b = le.AppendUint32(b, max(r.Weight, 1))
	b = append(b, byte(flags))
	b = le.AppendUint64(b, uint64(interval))[:24]
	b = le.AppendUint64(b, uint64(stamp))[:31]
	return string(b)
}
