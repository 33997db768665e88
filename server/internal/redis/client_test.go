//go:build unix

package redis_test

import (
	"context"
	"crypto/rand"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/internal/redistest"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/redis"
)

// client makes a client of what a redis_url says.
func client(t *testing.T, url string) *redis.Client {
	t.Helper()
	set, problems := config.Load(config.Source{Environ: []string{"MERLON_ENVIRONMENT=development", "MERLON_REDIS_URL=" + url}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c := redis.New(set.Redis())
	t.Cleanup(c.Close)
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

const enough = 20 * time.Second

// use connects and counts, and returns the first error.
func use(t *testing.T, c *redis.Client) error {
	t.Helper()
	if err := c.Connect(within(t, enough)); err != nil {
		return err
	}
	k := ratelimit.NewKey("test")
	k.Add(ratelimit.KindOther, rand.Text())
	limit := ratelimit.Limit{Max: 100, Window: time.Minute}
	res := make([]ratelimit.Result, 1)
	err := c.Take(within(t, enough), []ratelimit.Request{{Key: k, Limit: &limit}}, res)
	if err == nil && (!res[0].Allowed || res[0].Remaining != 99) {
		t.Errorf("%+v; want the first of a hundred", res[0])
	}
	return err
}

// wrong uses the server that a URL names and returns the error. On a busy machine any server may be late: another
// reason than that is waited for, if another is wanted.
func wrong(t *testing.T, url, want string) error {
	t.Helper()
	c := client(t, url)
	for end := time.Now().Add(enough); ; time.Sleep(10 * time.Millisecond) {
		err := use(t, c)
		if err == nil || want == "timeout" || redis.ReasonOf(err).Code != "timeout" || time.Now().After(end) {
			return err
		}
	}
}

// secret is in no error.
const secret = "fixture-tide-pool"

func TestWhatIsWrongWithAServerIsSaid(t *testing.T) {
	plain := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", secret)
	full := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	_, port, _ := net.SplitHostPort(plain.Addr)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 "+port)
	few := redistest.Start(t)
	few.Do("ACL", "SETUSER", "merlon", "on", ">"+secret, "~other:*", "+@all")
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	tests := []struct{ name, url, want string }{
		{"a server", "redis://" + plain.Addr, ""},
		{"its socket", "unix://" + plain.Socket, ""},
		{"another database", "redis://" + plain.Addr + "/3", ""},
		{"a password", "redis://:" + secret + "@" + locked.Addr, ""},
		{"no password", "redis://" + locked.Addr, "wrong_password"},
		{"a wrong password", "redis://:" + secret + "x@" + locked.Addr, "wrong_password"},
		{"a user that is not there", "redis://ada:" + secret + "@" + locked.Addr, "wrong_password"},
		{"a user without the keys", "redis://merlon:" + secret + "@" + few.Addr, "no_permission"},
		{"a database that is not there", "redis://" + plain.Addr + "/99", "no_database"},
		{"a full server", "redis://" + full.Addr, "full"},
		{"a replica", "redis://" + replica.Addr, "read_only"},
		{"a web server", "redis://" + strings.TrimPrefix(web.URL, "http://"), "not_redis"},
		{"a clear-text server where TLS is asked for, which waits for a line to end", "rediss://" + plain.Addr, "timeout"},
		{"a web server where TLS is asked for", "rediss://" + strings.TrimPrefix(web.URL, "http://"), "not_tls"},
		{"nobody", "redis://" + closedPort(t), "refused"},
		{"no socket", "unix:///nowhere/redis.sock", "refused"},
		{"a host that does not exist", "redis://redis.invalid", "host_unknown"},
		{"a server of long ago", "redis://" + fake(t, map[string]string{"INFO": "$22\r\nredis_version:4.0.14\r\n"}), "too_old"},
		{"a server that never answers", "redis://" + silent(t), "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := wrong(t, tt.url, tt.want)
			if (err == nil) != (tt.want == "") {
				t.Fatalf("error %v; want %q", err, tt.want)
			}
			if err == nil {
				return
			}
			if r := redis.ReasonOf(err); r.Code != tt.want || r.Fix == "" {
				t.Errorf("%v: reason %+v; want %s", err, r, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

// Servers before version 7 wrap what went wrong in a script into text.
func TestReasonsInTheWordsOfServers(t *testing.T) {
	for answer, want := range map[string]string{
		"-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a read only replica.":                        "read_only",
		"-ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed when used memory > 'maxmemory'.":                      "full",
		"-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: Write commands not allowed after non deterministic commands.": "too_old",
		"-MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.":                                   "writes_refused",
		"-NOREPLICAS Not enough good replicas to write.":                                                                                         "writes_refused",
		"-LOADING Redis is loading the dataset in memory":                                                                                        "not_ready",
		"-CLUSTERDOWN The cluster is down":                     "not_ready",
		"-BUSY Redis is busy running a script.":                "not_ready",
		"-ERR unknown command 'EVALSHA'":                       "no_scripts",
		"-NOAUTH Authentication required.":                     "wrong_password",
		"-WRONGTYPE Operation against a key holding the wrong": "failure",
	} {
		err := wrong(t, "redis://"+fake(t, map[string]string{"EVALSHA": answer}), want)
		if err == nil || redis.ReasonOf(err).Code != want {
			t.Errorf("%s: %v; want %s", answer, redis.ReasonOf(err), want)
		}
	}
}

// hears publishes until it hears of it.
func hears(t *testing.T, c *redis.Client, channel string) {
	t.Helper()
	if err := c.Connect(within(t, enough)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	heard, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- c.Subscribe(ctx, channel, func() {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	}()
	for {
		if err := c.Publish(ctx, channel); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard:
			cancel()
			<-ended
			return
		case err := <-ended:
			t.Fatalf("the subscription ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// The rights that docs/operating.md asks for are enough.
func TestAUserWithFewRightsWillDo(t *testing.T) {
	srv := redistest.Start(t)
	srv.Do(append([]string{"ACL", "SETUSER", "merlon", "on", ">" + secret, "resetchannels"},
		strings.Fields("~merlon:* &merlon:revocations +eval +evalsha +get +set +setrange +del +time +ping +publish +subscribe")...)...)
	if err := wrong(t, "redis://merlon:"+secret+"@"+srv.Addr, ""); err != nil {
		t.Error(err)
	}
	hears(t, client(t, "redis://merlon:"+secret+"@"+srv.Addr), "merlon:revocations")
	srv.Do("ACL", "SETUSER", "merlon", "+select")
	if err := wrong(t, "redis://merlon:"+secret+"@"+srv.Addr+"/3", ""); err != nil {
		t.Errorf("another database: %v", err)
	}
}

func TestAUserWithFewRightsWillDoInACluster(t *testing.T) {
	servers := redistest.StartCluster(t, 3)
	for _, s := range servers {
		s.Do(append([]string{"ACL", "SETUSER", "merlon", "on", ">" + secret},
			strings.Fields("~merlon:* &merlon:revocations +eval +evalsha +get +set +setrange +del +time +ping +publish +subscribe +cluster|slots +cluster|shards")...)...)
	}
	c := client(t, "redis://merlon:"+secret+"@"+servers[0].Addr)
	for range 20 { // keys of all servers
		if err := use(t, c); err != nil {
			t.Fatal(err)
		}
	}
	if _, cluster := c.Describe(); !cluster {
		t.Error("the cluster is not found out")
	}
	hears(t, c, "merlon:revocations")
}

// A certificate of an authority that this machine does not know; one that it knows is tested with the program.
func TestAStrangersCertificateIsRefused(t *testing.T) {
	dir := t.TempDir()
	redistest.Certificate(t, dir, "localhost")
	srv := redistest.StartTLS(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	err := wrong(t, "rediss://localhost:"+srv.TLSPort, "certificate")
	if err == nil || redis.ReasonOf(err).Code != "certificate" {
		t.Errorf("%v: want the certificate to be the reason", err)
	}
}

func TestAServerThatIsNotThereYet(t *testing.T) {
	srv := redistest.Start(t)
	srv.Kill()
	c := client(t, "redis://"+srv.Addr)
	limit := ratelimit.Limit{Max: 100, Window: time.Minute}
	reqs := []ratelimit.Request{{Key: ratelimit.NewKey("test"), Limit: &limit}}
	if err := c.Take(t.Context(), reqs, make([]ratelimit.Result, 1)); err == nil {
		t.Error("no error before the first connection")
	}
	if err := c.GiveBack(t.Context(), reqs, make([]ratelimit.Result, 1)); err == nil {
		t.Error("no error before the first connection")
	}
	if v, _ := c.Describe(); v != "" {
		t.Errorf("version %q of nobody", v)
	}
	if err := use(t, c); err == nil || redis.ReasonOf(err).Code != "refused" {
		t.Error(err)
	}
	srv.Restart()
	for end := time.Now().Add(enough); use(t, c) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("does not connect to a server that came late")
		}
	}
	if v, cluster := c.Describe(); v == "" || cluster {
		t.Errorf("version %q, cluster %v", v, cluster)
	}
	c.Close()
	if err := use(t, c); err == nil {
		t.Error("no error after Close")
	}
}

// A connection that cannot be made is waited for no longer than the caller says, and is not made twice at a time.
func TestConnectEndsWithItsContext(t *testing.T) {
	srv := redistest.Start(t)
	srv.Stop()
	t.Cleanup(srv.Continue)
	c := client(t, "redis://"+srv.Addr)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := c.Connect(within(t, 30*time.Millisecond)); redis.ReasonOf(err).Code != "timeout" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	srv.Continue()
	for end := time.Now().Add(enough); use(t, c) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("does not connect to a server that woke up")
		}
	}
}

// All who wait for the first connection have it, and closing meanwhile waits for none of them.
func TestManyWaitForOneConnection(t *testing.T) {
	srv := redistest.Start(t)
	c := client(t, "redis://"+srv.Addr)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := c.Connect(within(t, enough)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range 50 {
		c := redis.New(config.Redis{Network: "tcp", Address: srv.Addr})
		for range 4 {
			wg.Go(func() { _ = c.Connect(within(t, enough)) })
		}
		wg.Go(c.Close)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(enough):
		t.Fatal("some wait for ever")
	}
}

// Many more calls than places, of a server that hangs: each ends by its deadline, and nothing is stuck afterwards.
func TestManyCallsOfAServerThatHangs(t *testing.T) {
	srv := redistest.Start(t)
	c := client(t, "redis://"+srv.Addr)
	if err := use(t, c); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	limit := ratelimit.Limit{Max: 100, Window: time.Minute}
	var wg sync.WaitGroup
	for range 3000 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := c.Take(ctx, []ratelimit.Request{{Key: ratelimit.NewKey("test"), Limit: &limit}}, make([]ratelimit.Result, 1)); err == nil {
				t.Error("a server that hangs has answered")
			}
		})
	}
	wg.Wait()
	srv.Continue()
	for end := time.Now().Add(enough); use(t, c) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("does not work with a server that woke up")
		}
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// silent takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	return serve(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<20)); <-t.Context().Done() })
}

func serve(t *testing.T, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				talk(c)
			}()
		}
	}()
	return l.Addr().String()
}

// fake is a server as before version 6: it knows PING, INFO and no HELLO, and what else the answers say.
func fake(t *testing.T, answers map[string]string) string {
	t.Helper()
	all := map[string]string{"PING": "+PONG", "INFO": "$21\r\nredis_version:5.0.0\r\n", "CLUSTER": "-ERR This instance has cluster support disabled"}
	maps.Copy(all, answers)
	return serve(t, func(c net.Conn) {
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			for _, command := range commands(string(buf[:n])) {
				answer, known := all[command]
				if !known {
					answer = "-ERR unknown command '" + command + "'"
				}
				if _, err := c.Write([]byte(answer + "\r\n")); err != nil {
					return
				}
			}
		}
	})
}

// commands returns the first word of each command, as the client writes them: whole, and in one piece.
func commands(text string) []string {
	var words []string
	for _, c := range strings.Split(text, "*")[1:] {
		if lines := strings.Split(c, "\r\n"); len(lines) > 2 {
			words = append(words, lines[2])
		}
	}
	return words
}
