package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose loads a compose file as Compose does: against its schema, and whole.
func loadCompose(t *testing.T, path string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{path}, cli.WithConsistency(true), cli.WithNormalization(true), cli.WithResolvedPaths(true), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func compose(t *testing.T) *types.Project {
	t.Helper()
	p, err := loadCompose(t, "compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheComposeFileFollowsItsSchema(t *testing.T) {
	p := compose(t)
	if got := p.ServiceNames(); !slices.Equal(got, []string{"merlon", "postgres", "redis"}) {
		t.Errorf("services %q", got)
	}
	// The judge judges.
	text := read(t, "compose/compose.yaml")
	for name, change := range map[string][2]string{
		"a member that is not known":  {"    pids_limit: 64", "    pid_limit: 64"},
		"a secret that is not there":  {"secrets: [redis_acl]", "secrets: [redis_password]"},
		"a network that is not there": {"networks: [edge]", "networks: [back]"},
		"a service that is not there": {"redis: {condition: service_healthy}", "valkey: {condition: service_healthy}"},
		"a list in place of a number": {"    mem_limit: 384m", "    mem_limit: [384m]"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := loadCompose(t, write(t, filepath.Join(t.TempDir(), "compose.yaml"), changed, 0o600)); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

func TestEveryServiceOfComposeIsConfined(t *testing.T) {
	for name, s := range compose(t).Services {
		if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: read_only %v, privileged %v, cap_drop %q, cap_add %q, security_opt %q", name, s.ReadOnly, s.Privileged, s.CapDrop, s.CapAdd, s.SecurityOpt)
		}
		if s.User == "" || s.User == "root" || strings.HasPrefix(s.User, "0") {
			t.Errorf("%s runs as %q", name, s.User)
		}
		if s.MemLimit <= 0 || s.CPUS <= 0 || s.PidsLimit <= 0 {
			t.Errorf("%s has no limit: memory %d, cpus %v, pids %d", name, s.MemLimit, s.CPUS, s.PidsLimit)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) < 2 || s.HealthCheck.Disable {
			t.Errorf("%s has no health check", name)
		}
		for key, value := range s.Environment {
			if value != nil && regexp.MustCompile(`(?i)(PASSWORD|SECRET|KEY|TOKEN|_URL)$`).MatchString(key) {
				t.Errorf("%s has the secret %s in its environment, where every process and engine shows it", name, key)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == "bind" {
				t.Errorf("%s mounts %s of the host", name, v.Source)
			}
		}
		if name == "merlon" {
			continue
		}
		// The stores are reached by sockets.
		if s.NetworkMode != "none" || len(s.Networks) > 0 || len(s.Ports) > 0 {
			t.Errorf("%s has a network: %q, %v, %v", name, s.NetworkMode, s.Networks, s.Ports)
		}
	}
}

func TestMerlonInComposeIsWhatTheImageIs(t *testing.T) {
	m := compose(t).Services["merlon"]
	dockerfile := read(t, "../Dockerfile")
	if want := "USER " + m.User + "\n"; !strings.Contains(dockerfile, want) {
		t.Errorf("the image does not have %s", want)
	}
	if want := `["/merlon", "health", "--config", "/etc/merlon/merlon.yaml"]`; !strings.Contains(dockerfile, want) ||
		!slices.Equal(m.HealthCheck.Test, []string{"CMD", "/merlon", "health", "--config", "/etc/merlon/merlon.yaml"}) {
		t.Errorf("the health check is %q, that of the image %s", m.HealthCheck.Test, want)
	}
	if grace := time.Duration(*m.StopGracePeriod); grace < (5+20+15)*time.Second {
		t.Errorf("stop_grace_period %v, want drain_time, the 20 s that requests have, and 15 s for traces and events", grace)
	}
	for _, store := range []string{"postgres", "redis"} {
		if m.DependsOn[store].Condition != "service_healthy" {
			t.Errorf("it does not wait for %s", store)
		}
	}
}

// makeSecrets runs the script of the documentation in a copy of the directory.
func makeSecrets(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("making the secrets needs root")
		}
		t.Skip("skipped: making the secrets needs root")
	}
	dir = t.TempDir()
	script := write(t, filepath.Join(dir, "make-secrets"), read(t, "compose/make-secrets"), 0o755)
	if out, err := exec.CommandContext(t.Context(), script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), script).CombinedOutput(); err == nil {
		t.Errorf("a second run succeeds, and has made other secrets:\n%s", out)
	}
	return filepath.Join(dir, "secrets")
}

// The settings and secrets of the compose file are ones that the program takes.
func TestTheSettingsOfComposeHaveNoFindings(t *testing.T) {
	secrets := makeSecrets(t)
	cert, key := certificate(t, "api.example.com")
	write(t, filepath.Join(secrets, "cert.pem"), cert, 0o400)
	write(t, filepath.Join(secrets, "key.pem"), key, 0o400)
	p := compose(t)
	env := []string{}
	for _, s := range p.Services["merlon"].Secrets {
		if _, err := os.Stat(filepath.Join(secrets, s.Source)); err != nil {
			t.Errorf("the secret %s is not made: %v", s.Source, err)
		}
		if !strings.Contains(s.Source, ".") { // below /run/secrets by the name of a setting
			env = append(env, "MERLON_"+strings.ToUpper(s.Source)+"_FILE="+filepath.Join(secrets, s.Source))
		}
	}
	for name, s := range p.Secrets {
		if filepath.Dir(s.File) != filepath.Join(p.WorkingDir, "secrets") || filepath.Base(s.File) != name {
			t.Errorf("the secret %s is the file %s", name, s.File)
		}
	}
	settings := strings.ReplaceAll(read(t, "compose/merlon.yaml"), "/run/secrets/", secrets+"/")
	config := write(t, filepath.Join(t.TempDir(), "merlon.yaml"), settings, 0o644)
	// W070 tells of metrics off loopback. They have a port that is not published.
	check(t, config, env...).wantNothing(t, "merlon.W070")
}
