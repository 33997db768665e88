package config_test

import (
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
)

func TestRedisIsWhatItsURLSays(t *testing.T) {
	type want struct {
		config.Redis
		password string
	}
	for url, want := range map[string]want{
		"redis://cache":                             {config.Redis{Network: "tcp", Address: "cache:6379"}, ""},
		"redis://cache/":                            {config.Redis{Network: "tcp", Address: "cache:6379"}, ""},
		"redis://[::1]:7000/3":                      {config.Redis{Network: "tcp", Address: "[::1]:7000", Database: 3}, ""},
		"rediss://merlon:a%2Fb%40c@cache.example:1": {config.Redis{Network: "tcp", Address: "cache.example:1", TLS: true, Username: "merlon"}, "a/b@c"},
		"valkeys://:x@cache":                        {config.Redis{Network: "tcp", Address: "cache:6379", TLS: true}, "x"},
		"unix:///run/redis/redis.sock":              {config.Redis{Network: "unix", Address: "/run/redis/redis.sock"}, ""},
		"unix://u:x@/run/redis.sock?db=4":           {config.Redis{Network: "unix", Address: "/run/redis.sock", Username: "u", Database: 4}, "x"},
	} {
		s, problems := load(production(""), "MERLON_REDIS_URL="+url)
		wantIDs(t, problems)
		got := s.Redis()
		password := got.Password.Reveal()
		got.Password = config.Secret{}
		if got != want.Redis || password != want.password {
			t.Errorf("%s: %+v; want %+v", url, got, want.Redis)
		}
	}
	s, _ := load(production(""))
	if s.Redis() != (config.Redis{}) {
		t.Errorf("without redis_url: %+v", s.Redis())
	}
}

// Whatever is written there is refused, without being shown, or names a server.
func FuzzRedisURL(f *testing.F) {
	for _, v := range []string{"redis://h", "rediss://u:p@[::1]:1/2", "unix://:p@/s?db=1", "redis://h?x", "redis://:%zz@h", "redis:h", "://", "redis://h/%31", "redis://h:1:2"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		const marker = "quuxly-kelp"
		s, problems := load(production(""), "MERLON_REDIS_URL="+v+marker)
		if len(problems) > 0 {
			if strings.Contains(lines(problems), marker) {
				t.Errorf("the value is shown: %s", lines(problems))
			}
			return
		}
		r := s.Redis()
		if r.Network != "tcp" && r.Network != "unix" || r.Address == "" || r.Database < 0 || r.Database > 65535 {
			t.Errorf("%q: %+v", v, r)
		}
	})
}
