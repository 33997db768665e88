package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

func TestEnvironmentWinsOverTheFileAndTheFlagOverBoth(t *testing.T) {
	f := files{"merlon.yaml": []byte(production("listen: \":1\"\naudit: {keep: 3}"))}
	src := config.Source{File: "merlon.yaml", Open: f.open}
	s, problems := config.Load(src)
	if s.Listen != ":1" || s.Audit.Keep != 3 || s.Audit.MaxSizeMiB != 100 || len(problems) > 0 {
		t.Errorf("file: %+v\n%s", s, lines(problems))
	}
	src.Environ = []string{"PATH=/bin", "MERLON_LISTEN=:2", "MERLON_LISTEN=:9", "MERLON_AUDIT__KEEP=4", "MERLON_RATE_LIMITS__DEFAULT__WINDOW=2m",
		"MERLON_AUDIT__STDOUT=true", "MERLON_HOSTS=a.example, b.example ", "MERLON_TRUSTED_PROXIES=10.2.0.0/16,::1", "MERLON_ORIGINS="}
	s, problems = config.Load(src)
	if s.Listen != ":2" || s.Audit.Keep != 4 || s.RateLimits.Default.Window != 2*time.Minute || !s.Audit.Stdout || len(s.Origins) != 0 ||
		!slices.Equal(s.Hosts, []string{"a.example", "b.example"}) || len(s.TrustedProxies) != 2 || len(problems) > 0 {
		t.Errorf("environment: %+v\n%s", s, lines(problems))
	}
	src.Listen = "127.0.0.1:3"
	if s, _ = config.Load(src); s.Listen != "127.0.0.1:3" {
		t.Errorf("flag: %s", s.Listen)
	}
	src.Listen = "nonsense"
	_, problems = config.Load(src)
	if wantIDs(t, problems, "E023"); problems[0].Where != "--listen" {
		t.Errorf("flag: %s", lines(problems))
	}
}

func TestVariables(t *testing.T) {
	rows := map[string]struct {
		env  string
		want []string
		says string
	}{
		"a misspelt name":                      {"MERLON_HOST=a.example", []string{"E005"}, "MERLON_HOSTS"},
		"a misspelt section":                   {"MERLON_AUDT__KEEP=3", []string{"E005"}, "MERLON_AUDIT__KEEP"},
		"one underscore for two":               {"MERLON_AUDIT_KEEP=3", []string{"E005"}, "MERLON_AUDIT__KEEP"},
		"lower case":                           {"MERLON_listen=:1", []string{"E005"}, "MERLON_LISTEN"},
		"a file of what is no secret":          {"MERLON_LISTEN_FILE=/x", []string{"E005"}, "MERLON_"},
		"a name of Kubernetes":                 {"MERLON_SERVICE_HOST=10.0.0.1", []string{"E005"}, "enableServiceLinks"},
		"the bare prefix":                      {"MERLON_=1", []string{"E005"}, "no setting"},
		"another program's name":               {"MERLONX=1", nil, ""},
		"a variable without a value":           {"MERLON_LISTEN", nil, ""},
		"an empty number":                      {"MERLON_AUDIT__KEEP=", []string{"E007"}, "audit.keep"},
		"text for a number":                    {"MERLON_AUDIT__KEEP=many", []string{"E006"}, "audit.keep"},
		"a number out of range":                {"MERLON_AUDIT__KEEP=1001", []string{"E008"}, "1 to 1000"},
		"yes for true":                         {"MERLON_AUDIT__STDOUT=yes", []string{"E006"}, "true or false"},
		"a duration without a unit":            {"MERLON_CORS__MAX_AGE=600", []string{"E006"}, "unit"},
		"an empty element":                     {"MERLON_HOSTS=a.example,,b.example", []string{"E007"}, "hosts"},
		"a trailing comma":                     {"MERLON_HOSTS=a.example,", []string{"E007"}, "hosts"},
		"a list of objects":                    {"MERLON_RATE_LIMITS__RULES=x", []string{"E036"}, "file"},
		"a section":                            {"MERLON_AUDIT=x", []string{"E036"}, "audit"},
		"a setting of later":                   {"MERLON_UPSTREAMS=a", []string{"E011"}, "upstreams"},
		"a setting of later that says nothing": {"MERLON_OPERATIONS_LISTEN=", nil, ""},
		"Redis":                                {"MERLON_REDIS_URL=redis://h", nil, ""},
		"Redis that did not expand":            {"MERLON_REDIS_URL=", []string{"E007"}, "empty"},
		"Redis by a host alone":                {"MERLON_REDIS_URL=cache:6379", []string{"E065"}, "redis://"},
		"PostgreSQL":                           {"MERLON_DATABASE_URL=postgres://h/d", []string{"E085"}, "names no user"},
		"a control character":                  {"MERLON_AUDIT__LOG=a\x1b[2Jb", []string{"E006"}, "control"},
		"an empty secret":                      {"MERLON_DATABASE_URL=", []string{"E007"}, "empty"},
	}
	for name, row := range rows {
		_, problems := load(production(""), row.env)
		wantIDs(t, problems, row.want...)
		if len(row.want) > 0 {
			variable, _, _ := strings.Cut(row.env, "=")
			if len(problems) == 0 || problems[0].Where != variable || !strings.Contains(problems[0].String(), row.says) {
				t.Errorf("%s: %s, want it at %s with %q", name, lines(problems), variable, row.says)
			}
		}
	}
}

func TestSecretsComeFromOnePlaceEach(t *testing.T) {
	const base = "hosts: [a.example]\ntrusted_proxies: [10.0.0.1]\n"
	places := map[string]struct {
		yaml  string
		env   []string
		files files
	}{
		"file":        {"secret_key: " + testKey, nil, nil},
		"variable":    {"", []string{"MERLON_SECRET_KEY=" + testKey}, nil},
		"_FILE":       {"", []string{"MERLON_SECRET_KEY_FILE=/s/key"}, files{"/s/key": []byte(testKey + "\r\n")}},
		"/run":        {"", nil, files{"/run/secrets/secret_key": []byte(testKey + "\n")}},
		"credentials": {"", []string{"CREDENTIALS_DIRECTORY=/cred"}, files{"/cred/secret_key": []byte(testKey)}},
	}
	for a, pa := range places {
		s, problems := loadFiles(pa.files, base+pa.yaml, pa.env...)
		wantIDs(t, problems)
		if s.SecretKey.Reveal() != testKey {
			t.Errorf("%s: another key", a)
		}
		for b, pb := range places {
			if a == b {
				continue
			}
			all := files{}
			for _, m := range []files{pa.files, pb.files} {
				for k, v := range m {
					all[k] = v
				}
			}
			yaml := base + pa.yaml
			if pa.yaml == "" {
				yaml += pb.yaml
			}
			_, problems := loadFiles(all, yaml, append(slices.Clone(pa.env), pb.env...)...)
			wantIDs(t, problems, "E009")
		}
	}

	s, problems := loadFiles(files{"/p": []byte(testKey + "-1\n" + testKey + "-2\n")}, base+"secret_key: "+testKey, "MERLON_SECRET_KEY_PREVIOUS_FILE=/p")
	wantIDs(t, problems)
	if len(s.SecretKeyPrevious) != 2 || s.SecretKeyPrevious[1].Reveal() != testKey+"-2" {
		t.Errorf("%d previous keys", len(s.SecretKeyPrevious))
	}
	s, problems = load(base+"secret_key: "+testKey, "MERLON_SECRET_KEY_PREVIOUS="+testKey+"-1,"+testKey+"-2")
	wantIDs(t, problems)
	if len(s.SecretKeyPrevious) != 2 {
		t.Errorf("%d previous keys", len(s.SecretKeyPrevious))
	}
	_, problems = loadFiles(files{"/run/secrets/secret_key": []byte(testKey)}, base, "CREDENTIALS_DIRECTORY=/run/secrets/")
	wantIDs(t, problems)
	s, problems = loadFiles(files{"/run/secrets/redis_url": []byte("redis://h\n")}, production(""))
	wantIDs(t, problems)
	if s.RedisURL.Reveal() != "redis://h" {
		t.Error("redis_url is not that of its file")
	}
}

func TestFilesOfSecrets(t *testing.T) {
	for name, row := range map[string]struct {
		content []byte
		want    string
	}{
		"not readable":     {nil, "E010"},
		"empty":            {[]byte("\n"), "E007"},
		"too large":        {[]byte(strings.Repeat("x", 70_000)), "E010"},
		"of several lines": {[]byte(testKey + "\n" + testKey), "E006"},
		"not text":         {[]byte(testKey + "\xff"), "E006"},
		"of a short key":   {[]byte("short"), "E014"},
	} {
		_, problems := loadFiles(files{"/run/secrets/secret_key": row.content}, "hosts: [a.example]\ntrusted_proxies: [10.0.0.1]")
		wantIDs(t, problems, row.want)
		if len(problems) == 0 || problems[0].Where != "/run/secrets/secret_key" {
			t.Errorf("a file that is %s: %s", name, lines(problems))
		}
	}
	_, problems := load("hosts: [a.example]\ntrusted_proxies: [10.0.0.1]", "MERLON_SECRET_KEY_FILE=/missing")
	wantIDs(t, problems, "E010")
}

func TestDotenvIsReadInDevelopmentOnly(t *testing.T) {
	env := files{".env": []byte("# local\nexport MERLON_AUDIT__KEEP=7\nOTHER=x\nMERLON_LISTEN='127.0.0.1:7'\nMERLON_SECRET_KEY=" + testKey + "\n")}
	s, problems := loadFiles(env, "environment: development", "MERLON_LISTEN=127.0.0.1:8")
	wantIDs(t, problems)
	if s.Audit.Keep != 7 || s.Listen != "127.0.0.1:8" || s.SecretKey.Reveal() != testKey || s.SecretKeyGenerated {
		t.Errorf("%+v", s)
	}
	s, problems = loadFiles(env, "", "MERLON_ENVIRONMENT=development")
	wantIDs(t, problems)
	if s.Audit.Keep != 7 {
		t.Error("development of the environment does not read .env")
	}
	if s, _ = loadFiles(env, production("")); s.Audit.Keep != 10 {
		t.Error("production reads .env")
	}
	if s, _ = loadFiles(env, production("environment: development"), "MERLON_ENVIRONMENT=production"); s.Audit.Keep != 10 {
		t.Error("production of the environment reads .env")
	}
	for content, want := range map[string]string{"MERLON_LISTN=:1": "E005", "MERLON_ENVIRONMENT=production": "E033", "MERLON_X": "E033", "MERLON_AUDIT__KEEP=0": "E008"} {
		_, problems := loadFiles(files{".env": []byte(content)}, "environment: development")
		wantIDs(t, problems, want)
		if len(problems) > 0 && !strings.HasPrefix(problems[0].Where, ".env") {
			t.Errorf("%q: at %s", content, problems[0].Where)
		}
	}
	_, problems = loadFiles(files{".env": []byte("MERLON_ENVIRONMENT=development")}, "environment: development")
	wantIDs(t, problems)
	_, problems = loadFiles(files{".env": nil}, "environment: development")
	wantIDs(t, problems, "E033")
	_, problems = loadFiles(files{".env": []byte("MERLON_SECRET_KEY=" + testKey)}, "environment: development\nsecret_key: "+testKey)
	wantIDs(t, problems, "E009")
}

func TestTheFile(t *testing.T) {
	deep := strings.Repeat("{a: ", 40) + strings.Repeat("}", 40)
	laughs := "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
	for i := 1; i < 8; i++ {
		a, b := string(rune('0'+i)), string(rune('0'+i-1))
		laughs += "x" + a + ": &x" + a + " [" + strings.Repeat("*x"+b+", ", 9) + "*x" + b + "]\n"
	}
	rows := map[string]struct {
		yaml string
		want string // the only id
		at   string
	}{
		"empty":                       {"", "", ""},
		"only a comment":              {"# nothing\n", "", ""},
		"with a byte order mark":      {"\ufefflisten: \":1\"", "", ""},
		"with a document start":       {"---\nlisten: \":1\"\n...\n", "", ""},
		"with an anchor and an alias": {"hosts: &h [a.example]\ncors: {exposed_headers: [X-A]}\norigins: []\nsecurity_contact: \"\"\nheaders: {profile: &p api}\n", "", ""},
		"of two documents":            {"listen: \":1\"\n---\nlisten: \":2\"", "E002", ":3"},
		"that is a list":              {"[a]", "E002", ":1"},
		"that is text":                {"hello", "E002", ":1"},
		"with a tag":                  {"listen: !!str x", "E002", ":1"},
		"with a merge key":            {"<<: {listen: \":1\"}", "E002", ":1"},
		"with a complex key":          {"? [a]\n: b", "E002", ":"},
		"with a directive":            {"%YAML 1.2\n---\nlisten: \":1\"", "E002", ":1"},
		"with an alias of nothing":    {"listen: *x", "E002", ":1"},
		"with a tab for indentation":  {"tls:\n\tcert: x", "E002", ":2"},
		"not UTF-8":                   {"listen: \"\xff\"", "E002", ""},
		"with a NUL":                  {"listen: \"\x00\"", "E002", ""},
		"nested too deep":             {"a: " + deep, "E002", ":1"},
		"nested too deep in brackets": {strings.Repeat("[", 1_000), "E002", ":1"},
		"nested too deep in dashes":   {strings.Repeat("- ", 1_000), "E002", ":1"},
		"too large":                   {strings.Repeat("#\n", 40_000), "E001", ""},
		"of too many tokens":          {"a: [" + strings.Repeat("1,", 30_000) + "]", "E002", ""},
		"of a dotted key":             {"audit.keep: 3", "E003", ":"},
	}
	for name, row := range rows {
		text := row.yaml
		if row.want == "" {
			text = row.yaml + "\n"
		}
		env := []string{"MERLON_SECRET_KEY=" + testKey, "MERLON_HOSTS=a.example", "MERLON_TRUSTED_PROXIES=10.0.0.1"}
		_, problems := load(text, env...)
		want := []string{}
		if row.want != "" {
			want = append(want, row.want)
		}
		wantIDs(t, problems, want...)
		if len(problems) > 0 && !strings.HasPrefix(problems[0].Where, "merlon.yaml"+row.at) {
			t.Errorf("a file %s: at %s, want %s", name, problems[0].Where, row.at)
		}
	}
	_, problems := load(production(laughs))
	if !slices.Contains(ids(problems), "E002") {
		t.Errorf("aliases of aliases: %v", ids(problems))
	}
	s, problems := load(production("rate_limits:\n  rules:\n    - {name: a, match: &m [POST /a], limit: 1, window: 1s, by: [address]}\n    - {name: b, match: *m, limit: 1, window: 1m, by: [account]}\n"))
	if len(s.RateLimits.Rules) != 2 || s.RateLimits.Rules[1].Match[0] != "POST /a" {
		t.Errorf("an alias: %s", lines(problems))
	}
	_, problems = load(nestedLines(300))
	if !slices.Contains(ids(problems), "E002") {
		t.Errorf("300 sections in each other: %v", ids(problems))
	}
	_, problems = load("a: &a\n  b: *a\n")
	if len(problems) == 0 {
		t.Error("an anchor inside itself is accepted")
	}
	_, problems = config.Load(config.Source{File: "absent.yaml", Open: files{}.open})
	if wantIDs(t, problems, "E001"); problems[0].String() != "merlon.E001 absent.yaml: cannot be read: file does not exist; correct the path or the file's permissions" {
		t.Errorf("%s", problems[0])
	}
}

func nestedLines(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestAllProblemsAreReportedTogetherWithTheirLines(t *testing.T) {
	const text = `environment: production
listem: ":8443"
secret_key: short
origins: ["http://app.example.com", "*"]
hosts: api.example.com
cors:
  max_agee: 1h
  methods: [GET, TRACE]
max_size_mib: 5
sessions: {idle_timeout: 13h}
audit:
  keep: "3"
  keep: 4
`
	_, problems := load(text, "MERLON_AUDIT__STDUOT=true")
	got := map[string]string{}
	for _, p := range problems {
		got[strings.TrimPrefix(p.ID, "merlon.")+" "+p.Where] = p.String()
	}
	for want, says := range map[string]string{
		"E003 merlon.yaml:2":        `unknown setting "listem"; did you mean listen?`,
		"E014 merlon.yaml:3":        "secret_key",
		"E017 merlon.yaml:4":        `"*"`,
		"E018 merlon.yaml:4":        "plain HTTP",
		"E006 merlon.yaml:5":        "hosts must be a list",
		"E003 merlon.yaml:7":        "did you mean cors.max_age?",
		"E012 merlon.yaml:8":        `"TRACE"`,
		"E003 merlon.yaml:9":        "did you mean audit.max_size_mib?",
		"E028 merlon.yaml:10":       "13h",
		"E006 merlon.yaml:12":       "audit.keep",
		"E004 merlon.yaml:13":       "first at merlon.yaml:12",
		"E005 MERLON_AUDIT__STDUOT": "did you mean MERLON_AUDIT__STDOUT?",
		"E016 settings":             "tls",
	} {
		if !strings.Contains(got[want], says) {
			t.Errorf("%s: %q, want %q", want, got[want], says)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("more than expected: %v", got)
	}
}

func TestARejectedValueThatMayBeASecretIsNotShown(t *testing.T) {
	for _, text := range []string{"origins: [\"https://user:hunter-two@app.example.com\"]", "hosts: [\"user:hunter-two@h\"]",
		"tls: {key: \"-----BEGIN PRIVATE KEY-----hunter-two\"}", "trusted_proxies: [\"http://u:hunter-two@proxy\"]"} {
		_, problems := load(production(text))
		if out := lines(problems); len(problems) == 0 || strings.Contains(out, "hunter-two") {
			t.Errorf("%s: %s", text, out)
		}
	}
}
