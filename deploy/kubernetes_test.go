package deploy_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	disruption "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// A cluster is the manifests by kind.
type cluster struct {
	deployment apps.Deployment
	service    core.Service
	account    core.ServiceAccount
	namespace  core.Namespace
	settings   core.ConfigMap
	budget     disruption.PodDisruptionBudget
	policies   []networking.NetworkPolicy
}

// decode reads a document strictly, by the types of Kubernetes: what they do not know,
// or have twice, is an error.
func (c *cluster) decode(document string) error {
	var kind struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		return err
	}
	var into any
	var policy networking.NetworkPolicy
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 Deployment":
		into = &c.deployment
	case "v1 Service":
		into = &c.service
	case "v1 ServiceAccount":
		into = &c.account
	case "v1 Namespace":
		into = &c.namespace
	case "v1 ConfigMap":
		into = &c.settings
	case "policy/v1 PodDisruptionBudget":
		into = &c.budget
	case "networking.k8s.io/v1 NetworkPolicy":
		into = &policy
	default:
		return fmt.Errorf("%s %s is not tested", kind.APIVersion, kind.Kind)
	}
	text, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		return fmt.Errorf("%s: %w", kind.Kind, err)
	}
	strict, err := json.UnmarshalStrict(text, into) // as the server decodes: names have their case
	if err := errors.Join(append(strict, err)...); err != nil {
		return fmt.Errorf("%s: %w", kind.Kind, err)
	}
	if kind.Kind == "NetworkPolicy" {
		c.policies = append(c.policies, policy)
	}
	return nil
}

func manifests(t *testing.T) cluster {
	t.Helper()
	var list struct {
		Resources []string
	}
	if err := yaml.Unmarshal([]byte(read(t, "kubernetes/kustomization.yaml")), &list); err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(there) != len(list.Resources)+1 {
		t.Errorf("kustomization.yaml lists %d of %d files", len(list.Resources), len(there)-1)
	}
	var c cluster
	for _, name := range list.Resources {
		for document := range strings.SplitSeq(read(t, filepath.Join("kubernetes", name)), "\n---\n") {
			if err := c.decode(document); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	return c
}

func TestTheManifestsAreOfTheTypesOfKubernetes(t *testing.T) {
	c := manifests(t)
	for kind, name := range map[string]string{"Deployment": c.deployment.Name, "Service": c.service.Name, "ServiceAccount": c.account.Name,
		"Namespace": c.namespace.Name, "ConfigMap": c.settings.Name, "PodDisruptionBudget": c.budget.Name} {
		if name != "merlon" {
			t.Errorf("the %s is called %q", kind, name)
		}
	}
	// The judge judges.
	text := read(t, "kubernetes/deployment.yaml")
	for name, change := range map[string][2]string{
		"a member that is not known": {"readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"},
		"a member that is twice":     {"            privileged: false\n", "            privileged: false\n            privileged: false\n"},
		"a text in place of a bool":  {"enableServiceLinks: false", `enableServiceLinks: "no"`},
		"a quantity that is none":    {"memory: 512Mi", "memory: 512Megs"},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Errorf("%s: nothing was changed", name)
		}
		if err := new(cluster).decode(changed); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

// The judge is the admission of Kubernetes itself (Pod Security Standards, restricted).
func TestThePodsMeetTheRestrictedStandard(t *testing.T) {
	c := manifests(t)
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	refused := func(pod core.PodTemplateSpec) []string {
		r := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
		return r.ForbiddenReasons
	}
	if got := refused(c.deployment.Spec.Template); len(got) > 0 {
		t.Errorf("the pods are refused: %q", got)
	}
	weak := c.deployment.Spec.Template.DeepCopy()
	weak.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
	if got := refused(*weak); len(got) != 1 {
		t.Errorf("pods that may gain privileges: %q, want one reason", got)
	}
	pod := c.deployment.Spec.Template.Spec
	s := pod.Containers[0].SecurityContext
	if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || pod.SecurityContext.RunAsUser == nil || *pod.SecurityContext.RunAsUser != 65532 {
		t.Errorf("the root can be written, or the user is another: %+v, %+v", s, pod.SecurityContext)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || c.account.AutomountServiceAccountToken == nil || *c.account.AutomountServiceAccountToken {
		t.Error("the pods get a token of the cluster")
	}
	// Variables MERLON_… that are no settings would be errors.
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Error("the pods get variables of the Service, which has the name of the settings")
	}
	if got := c.namespace.Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
}

func TestThePodsAreProbedDrainedAndBounded(t *testing.T) {
	c := manifests(t)
	spec := c.deployment.Spec
	pod, m := spec.Template.Spec, spec.Template.Spec.Containers[0]
	for name, tt := range map[string]struct {
		probe *core.Probe
		path  string
	}{"startup": {m.StartupProbe, "/health"}, "liveness": {m.LivenessProbe, "/health"}, "readiness": {m.ReadinessProbe, "/health/ready"}} {
		p := tt.probe
		if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != tt.path || p.HTTPGet.Scheme != core.URISchemeHTTPS || p.HTTPGet.Port != intstr.FromString("https") || p.TimeoutSeconds < 2 {
			t.Errorf("the %s probe: %+v, want HTTPS %s with a time-out above the second that the database has", name, p, tt.path)
		}
	}
	if start := m.StartupProbe.PeriodSeconds * m.StartupProbe.FailureThreshold; start < 7*60 {
		t.Errorf("a start may take %d s, want those of waiting for the database and a migration", start)
	}
	pre := m.Lifecycle.PreStop.Sleep.Seconds
	if grace := *pod.TerminationGracePeriodSeconds; grace < pre+5+20+15 {
		t.Errorf("%d s to end, want %d before, drain_time, the 20 of requests in flight, and 15 for traces and events", grace, pre)
	}
	for _, r := range []core.ResourceName{core.ResourceMemory, core.ResourceCPU, core.ResourceEphemeralStorage} {
		if request, limit := m.Resources.Requests[r], m.Resources.Limits[r]; request.IsZero() || limit.IsZero() {
			t.Errorf("no request or limit of %s", r)
		}
	}
	if u := spec.Strategy.RollingUpdate; u == nil || u.MaxUnavailable.IntValue() != 0 || u.MaxSurge.IntValue() != 1 {
		t.Errorf("a rollout takes pods away before others serve: %+v", u)
	}
	if want := fmt.Sprintf("expected_nodes: %d}", *spec.Replicas+int32(spec.Strategy.RollingUpdate.MaxSurge.IntValue())); !strings.Contains(c.settings.Data["merlon.yaml"], want) {
		t.Errorf("the settings do not have %s", want)
	}
	mine := labels.Set(spec.Template.Labels)
	for _, s := range pod.TopologySpreadConstraints {
		if !labels.SelectorFromSet(s.LabelSelector.MatchLabels).Matches(mine) {
			t.Errorf("the spread over %s is of other pods", s.TopologyKey)
		}
	}
	if len(pod.TopologySpreadConstraints) != 2 {
		t.Errorf("%d spreads, want zones and nodes", len(pod.TopologySpreadConstraints))
	}
	for what, selector := range map[string]map[string]string{"Deployment": spec.Selector.MatchLabels, "Service": c.service.Spec.Selector, "budget": c.budget.Spec.Selector.MatchLabels} {
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(mine) {
			t.Errorf("the %s selects other pods: %v", what, selector)
		}
	}
	if c.budget.Spec.MaxUnavailable.IntValue() != 1 || *spec.Replicas < 2 {
		t.Errorf("the budget: %v of %d", c.budget.Spec.MaxUnavailable, *spec.Replicas)
	}
}

func TestTheNetworkPolicyLetsInRequestsAndTheCollectorOnly(t *testing.T) {
	c := manifests(t)
	if len(c.policies) != 2 {
		t.Fatalf("%d policies, want that which denies and that of the pods", len(c.policies))
	}
	both := []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress}
	deny, mine := c.policies[0].Spec, c.policies[1].Spec
	if !slices.Equal(deny.PolicyTypes, both) || len(deny.PodSelector.MatchLabels)+len(deny.Ingress)+len(deny.Egress) > 0 {
		t.Errorf("the first policy lets something through: %+v", deny)
	}
	if !slices.Equal(mine.PolicyTypes, both) || !labels.SelectorFromSet(mine.PodSelector.MatchLabels).Matches(labels.Set(c.deployment.Spec.Template.Labels)) {
		t.Errorf("the second policy is of other pods: %+v", mine)
	}
	for _, in := range mine.Ingress {
		for _, port := range in.Ports {
			switch name := port.Port.StrVal; {
			case name == "https" && len(in.From) == 0, name == "metrics" && len(in.From) == 1:
			default:
				t.Errorf("port %v is open to %v", port.Port, in.From)
			}
		}
	}
	for _, out := range mine.Egress {
		if len(out.To) == 0 || len(out.Ports) == 0 {
			t.Errorf("it may reach everybody: %+v", out)
		}
	}
	// The public Service does not have the port of the metrics.
	if p := c.service.Spec.Ports; len(p) != 1 || p[0].TargetPort != intstr.FromString("https") {
		t.Errorf("the Service has %+v", p)
	}
}

// The settings of the ConfigMap are ones that the program takes, with the files of the
// Secrets where they are mounted.
func TestTheSettingsOfTheClusterHaveNoFindings(t *testing.T) {
	c := manifests(t)
	pod := c.deployment.Spec.Template.Spec
	mounted := map[string]string{}
	for _, m := range pod.Containers[0].VolumeMounts {
		mounted[m.Name] = m.MountPath
		if m.SubPath != "" {
			t.Errorf("%s is mounted by a subPath, which does not follow changes", m.Name)
		}
		if !m.ReadOnly && m.Name != "data" {
			t.Errorf("%s can be written", m.Name)
		}
	}
	secrets := t.TempDir()
	cert, key := certificate(t, "api.example.com")
	text := map[string]string{"tls.crt": cert, "tls.key": key, "secret_key": rand.Text() + rand.Text(),
		"database_url": "postgres://merlon:" + rand.Text() + "@postgresql.databases:5432/merlon", "redis_url": "rediss://merlon:" + rand.Text() + "@redis.databases:6379/0"}
	env := []string{}
	for _, v := range pod.Volumes {
		if v.Projected == nil {
			continue
		}
		if mounted[v.Name] != "/run/secrets" || v.Projected.DefaultMode == nil || *v.Projected.DefaultMode&0o007 != 0 {
			t.Errorf("the secrets are at %s, mode %v", mounted[v.Name], v.Projected.DefaultMode)
		}
		for _, s := range v.Projected.Sources {
			for _, item := range s.Secret.Items {
				path := write(t, filepath.Join(secrets, item.Path), text[item.Path], 0o440)
				if !strings.Contains(item.Path, ".") {
					env = append(env, "MERLON_"+strings.ToUpper(item.Path)+"_FILE="+path)
				}
			}
		}
	}
	if len(env) != 3 {
		t.Errorf("%d secrets are mounted, want three", len(env))
	}
	settings := c.settings.Data["merlon.yaml"]
	if settings == "" || mounted["settings"] != "/etc/merlon" || !slices.Contains(pod.Containers[0].Args, "/etc/merlon/merlon.yaml") {
		t.Errorf("the settings are at %s: %q", mounted["settings"], pod.Containers[0].Args)
	}
	settings = strings.NewReplacer("/run/secrets/", secrets+"/", "/var/lib/merlon/", t.TempDir()+"/").Replace(settings)
	config := write(t, filepath.Join(t.TempDir(), "merlon.yaml"), settings, 0o644)
	if err := os.Chmod(filepath.Dir(config), 0o755); err != nil {
		t.Fatal(err)
	}
	// W070 tells of metrics off loopback: the network policy admits the collector alone.
	check(t, config, env...).wantNothing(t, "merlon.W070")
}
