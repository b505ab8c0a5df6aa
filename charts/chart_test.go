// Package charts tests what the chart renders, with the real helm.
package charts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/controllers/policy"
)

// object is one rendered manifest.
type object map[string]any

func (o object) kind() string { return at[string](o, "kind") }
func (o object) name() string { return at[string](o, "metadata", "name") }

// at follows keys into nested maps; a missing one gives the zero value.
func at[T any](from map[string]any, keys ...string) T {
	var value any = from
	for _, key := range keys {
		m, _ := value.(map[string]any)
		value = m[key]
	}
	typed, _ := value.(T)
	return typed
}

// helmBinary is the pinned helm where hack/tools has built it, or else the one on the PATH.
var helmBinary = sync.OnceValues(func() (string, error) {
	build := exec.Command("hack/tools/build", "helm")
	build.Dir = ".."
	if os.Getenv("SURGEWALL_REQUIRE_ALL") == "1" {
		out, err := build.Output()
		if err != nil {
			return "", fmt.Errorf("hack/tools/build helm: %w", err)
		}
		return filepath.Join(strings.TrimSpace(string(out)), "helm"), nil
	}
	cache := os.Getenv("SURGEWALL_CACHE")
	if cache == "" {
		cache = filepath.Join(os.Getenv("XDG_CACHE_HOME"), "surgewall")
		if os.Getenv("XDG_CACHE_HOME") == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", err
			}
			cache = filepath.Join(home, ".cache", "surgewall")
		}
	}
	built, err := filepath.Glob(filepath.Join(cache, "tools-*", "helm"))
	if err == nil && len(built) > 0 {
		return built[len(built)-1], nil
	}
	return exec.LookPath("helm")
})

func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	binary, err := helmBinary()
	if err != nil {
		if os.Getenv("SURGEWALL_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: helm is missing (%v): run hack/tools/build helm", err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("helm %s: %w\n%s%s", args[0], err, stderr.String(), out)
	}
	return out, err
}

// The chart's own sets of values: they cover every switch in both positions.
var ci = []string{"kind", "external"}

func values(name string) string { return "surgewall/ci/" + name + "-values.yaml" }

func render(t *testing.T, ci string, args ...string) []object {
	t.Helper()
	args = append([]string{"template", "surgewall", "surgewall", "--namespace", "demo", "--kube-version", "1.37.0", "--values", values(ci)}, args...)
	out, err := helm(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	var objects []object
	for decoder := yaml.NewDecoder(bytes.NewReader(out)); ; {
		var o map[string]any // not object: the decoder would give nested maps that type too
		if err := decoder.Decode(&o); err != nil {
			if len(objects) == 0 {
				t.Fatalf("nothing rendered: %v", err)
			}
			return objects
		}
		if o != nil {
			objects = append(objects, o)
		}
	}
}

func find(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	i := slices.IndexFunc(objects, func(o object) bool { return o.kind() == kind && o.name() == name })
	if i < 0 {
		t.Fatalf("no %s %s was rendered", kind, name)
	}
	return objects[i]
}

// podOf is the specification of the pods of an object that has some, or else nil.
func podOf(o object) map[string]any {
	if o.kind() == "Pod" {
		return at[map[string]any](o, "spec")
	}
	return at[map[string]any](o, "spec", "template", "spec")
}

// workloads are the objects with a pod template.
func workloads(objects []object) []object {
	return slices.DeleteFunc(slices.Clone(objects), func(o object) bool { return o.kind() != "Deployment" && o.kind() != "StatefulSet" })
}

func TestLint(t *testing.T) {
	for _, name := range ci {
		if _, err := helm(t, "lint", "--strict", "--quiet", "surgewall", "--values", values(name)); err != nil {
			t.Error(err)
		}
	}
}

func TestSchemaRefusesWhatTheChartWouldIgnore(t *testing.T) {
	for set, want := range map[string]string{
		"--set=surprise=1":                                           "surprise",
		"--set=shield.replica=3":                                     "replica",
		"--set=fleets.edge.replicas=3":                               "replicas", // the controller's
		"--set=fleets.edge.policy.max-replicas=3":                    "max-replicas",
		"--set=fleets.edge.policy.target-deployment=x":               "policy", // outside the Role
		"--set=fleets.Edge.cacheSize=1GiB":                           "Edge",
		"--set=fleets.shield.cacheSize=1GiB":                         "names are taken",
		"--set=fleetDefaults.cacheSize=1GB":                          "cacheSize",
		"--set=broker.mode=none":                                     "mode",
		"--set=shield.origin={ftp://origin.example.com}":             "origin",
		"--set=shield.origin=null":                                   "shield.origin",
		"--set=shield.sites.www.host=a":                              "origin",
		"--set=shield.sites.www.hots=a":                              "hots",
		"--set=shield.sites.WWW.host=a":                              "WWW",
		"--set=shield.privateRanges={10.0.0.1}":                      "privateRanges",
		"--set=shield.sites.w.origin-concurrency=0":                  "origin-concurrency",
		"--set=shield.sites.w.host=a,shield.sites.w.origin=http://a": "shield.origin and shield.sites",
		"--set=broker.mode=external":                                 "broker.external",
	} {
		_, err := helm(t, "template", "surgewall", "surgewall", "--kube-version", "1.37.0", "--values", values("kind"), set)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error does not say %q: %v", set, want, err)
		}
	}
}

func TestFleetsCarryNoNumberOfReplicas(t *testing.T) {
	for _, name := range ci {
		fleets := 0
		for _, o := range workloads(render(t, name)) {
			replicas, set := at[map[string]any](o, "spec")["replicas"]
			if at[string](o, "metadata", "labels", "surgewall.io/fleet") == "" {
				if !set {
					t.Errorf("%s: %s has no number of replicas", name, o.name())
				}
				continue
			}
			fleets++
			if set {
				t.Errorf("%s: fleet %s has spec.replicas %v: an upgrade would scale it", name, o.name(), replicas)
			}
		}
		if fleets == 0 {
			t.Errorf("%s: no fleet was rendered", name)
		}
	}
}

// TestEveryPodIsRestricted holds the pods against the restricted Pod Security Standard and what we ask beyond it.
func TestEveryPodIsRestricted(t *testing.T) {
	for _, name := range ci {
		for _, o := range render(t, name) {
			pod := podOf(o)
			if pod == nil || at[[]any](pod, "containers") == nil {
				continue
			}
			bundled := strings.HasSuffix(o.name(), "-rabbitmq")
			expect := func(what string, got, want any) {
				t.Helper()
				if got != want {
					t.Errorf("%s: %s: %s is %v, want %v", name, o.name(), what, got, want)
				}
			}
			expect("runAsNonRoot", at[bool](pod, "securityContext", "runAsNonRoot"), true)
			expect("seccompProfile", at[string](pod, "securityContext", "seccompProfile", "type"), "RuntimeDefault")
			if uid := at[int](pod, "securityContext", "runAsUser"); uid < 10000 && !bundled || uid == 0 {
				t.Errorf("%s: %s runs as user %d, want 10000 or more", name, o.name(), uid)
			}
			expect("automountServiceAccountToken", at[bool](pod, "automountServiceAccountToken"), strings.HasSuffix(o.name(), "-controller"))
			for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
				expect(key, at[bool](pod, key), false)
			}
			for _, v := range at[[]any](pod, "volumes") {
				for kind := range v.(map[string]any) {
					if !slices.Contains([]string{"name", "secret", "configMap", "emptyDir"}, kind) {
						t.Errorf("%s: %s has a volume of kind %s", name, o.name(), kind)
					}
				}
			}
			containers := at[[]any](pod, "containers")
			for _, c := range containers {
				c := c.(map[string]any)
				expect("allowPrivilegeEscalation", at[map[string]any](c, "securityContext")["allowPrivilegeEscalation"], false)
				expect("readOnlyRootFilesystem", at[bool](c, "securityContext", "readOnlyRootFilesystem"), true)
				expect("capabilities", fmt.Sprint(at[map[string]any](c, "securityContext", "capabilities")), "map[drop:[ALL]]")
				for _, key := range []string{"readinessProbe", "livenessProbe", "resources"} {
					if len(at[map[string]any](c, key)) == 0 && (o.kind() != "Pod" || key == "resources") {
						t.Errorf("%s: %s has no %s", name, o.name(), key)
					}
				}
			}
		}
	}
}

// TestRoleIsTheOneThatTheControllerIsTestedUnder: the integration tests of controllers/kube run with exactly the rights of role.yaml, so a
// Role with the same rules is enough, and nothing in it is unused.
func TestRoleIsTheOneThatTheControllerIsTestedUnder(t *testing.T) {
	body, err := os.ReadFile("../controllers/kube/kubetest/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tested map[string]any
	if err := yaml.Unmarshal(body, &tested); err != nil {
		t.Fatal(err)
	}
	objects := render(t, "kind")
	role := find(t, objects, "Role", "surgewall-controller")
	if got, want := fmt.Sprint(at[[]any](role, "rules")), fmt.Sprint(at[[]any](tested, "rules")); got != want {
		t.Errorf("the chart's rules are\n%s, those of role.yaml are\n%s", got, want)
	}
	for _, name := range ci {
		for _, o := range render(t, name) {
			if o.kind() == "ClusterRole" || o.kind() == "ClusterRoleBinding" || o.kind() == "Role" && o.name() != role.name() {
				t.Errorf("%s: %s %s gives rights beyond that Role", name, o.kind(), o.name())
			}
		}
	}
	two := at[[]any](find(t, render(t, "external"), "Role", role.name()), "rules")
	for _, rule := range two {
		rule := rule.(map[string]any)
		if fmt.Sprint(rule["resources"]) == "[deployments/scale]" && fmt.Sprint(rule["resourceNames"]) != "[surgewall-edge surgewall-live]" {
			t.Errorf("with two fleets the Role lets the controller scale %v", rule["resourceNames"])
		}
	}
}

func TestPolicyIsNamedAsItsFleetAndRestartsNothing(t *testing.T) {
	objects := render(t, "external")
	for fleet, want := range map[string]map[string]any{
		"edge": {"preset": "steady", "target-deployment": "surgewall-edge"},
		"live": {"preset": "steady", "target-deployment": "surgewall-live", "max-replicas": "200", "target-rps-per-edge": "1000000"},
	} {
		policy := find(t, objects, "ConfigMap", fleet)
		if at[string](policy, "metadata", "labels", "surgewall.io/policy") != "true" {
			t.Errorf("the policy of %s lacks the label that the controller watches", fleet)
		}
		if got := at[map[string]any](policy, "data"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the policy of %s is %v, want %v", fleet, got, want)
		}
	}
	other := render(t, "external", "--set-string", "fleets.live.policy.max-replicas=300")
	before := at[map[string]any](find(t, objects, "Deployment", "surgewall-live"), "spec")
	after := at[map[string]any](find(t, other, "Deployment", "surgewall-live"), "spec")
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("an edit of the policy changes the Deployment: the controller takes it live, a restart would empty the caches")
	}
}

// TestBinariesTakeTheirArguments holds the arguments and policies against the code that reads them, so that a renamed flag fails here and
// not in a cluster.
func TestBinariesTakeTheirArguments(t *testing.T) {
	type settings interface {
		Bind(*pflag.FlagSet)
		Validate() error
	}
	for _, name := range ci {
		objects := render(t, name)
		for _, o := range workloads(objects) {
			container := at[[]any](o, "spec", "template", "spec", "containers")[0].(map[string]any)
			var s settings
			switch at[string](container, "name") {
			case "edge":
				s = config.NewEdge()
			case "shield":
				s = config.NewShield()
			case "controller":
				s = config.NewController()
			default:
				continue
			}
			flags := pflag.NewFlagSet(o.name(), pflag.ContinueOnError)
			s.Bind(flags)
			var args []string
			var file []byte
			for _, arg := range at[[]any](container, "args") {
				if path, ok := strings.CutPrefix(arg.(string), "--config="); ok {
					file = mounted(t, objects, o, container, path)
					continue
				}
				args = append(args, arg.(string))
			}
			if err := flags.Parse(args); err != nil {
				t.Errorf("%s: %s: %v", name, o.name(), err)
			}
			environment := func(key string) (string, bool) {
				return "edge", key == "SURGEWALL_AMQP_USERNAME" || key == "SURGEWALL_POD"
			}
			if _, err := config.Load(flags, "shield.yaml", file, environment); err != nil {
				t.Errorf("%s: %s: %v", name, o.name(), err)
			}
			if err := s.Validate(); err != nil {
				t.Errorf("%s: %s: %v", name, o.name(), err)
			}
		}
		for _, o := range objects {
			if o.kind() != "ConfigMap" || at[string](o, "metadata", "labels", "surgewall.io/policy") == "" {
				continue
			}
			data := map[string]string{}
			for key, value := range at[map[string]any](o, "data") {
				data[key] = value.(string)
			}
			if _, err := policy.Parse(o.name(), data); err != nil {
				t.Errorf("%s: the policy of %s is refused: %v", name, o.name(), err)
			}
		}
	}
}

// mounted is the content of a file of a container that a ConfigMap brings.
func mounted(t *testing.T, objects []object, o object, container map[string]any, path string) []byte {
	t.Helper()
	for _, m := range at[[]any](container, "volumeMounts") {
		mount := m.(map[string]any)
		name, ok := strings.CutPrefix(path, at[string](mount, "mountPath")+"/")
		if !ok {
			continue
		}
		for _, v := range at[[]any](podOf(o), "volumes") {
			if volume := v.(map[string]any); volume["name"] == mount["name"] {
				data := at[map[string]any](find(t, objects, "ConfigMap", at[string](volume, "configMap", "name")), "data")
				return []byte(at[string](data, name))
			}
		}
	}
	t.Fatalf("%s: nothing is mounted at %s", o.name(), path)
	return nil
}

// TestSitesReachTheShields: the sites are the shield's file, and a change of them restarts the shields.
func TestSitesReachTheShields(t *testing.T) {
	objects := render(t, "external")
	shields := find(t, objects, "StatefulSet", "surgewall-shield")
	container := at[[]any](podOf(shields), "containers")[0].(map[string]any)
	settings := config.NewShield()
	flags := pflag.NewFlagSet("shield", pflag.ContinueOnError)
	settings.Bind(flags)
	if err := flags.Parse([]string{"--origin-host-header=origin"}); err != nil {
		t.Fatal(err)
	}
	file := mounted(t, objects, shields, container, "/etc/surgewall/shield/shield.yaml")
	if _, err := config.Load(flags, "shield.yaml", file, func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
	sites, err := settings.AllSites()
	if err != nil || len(sites) != 2 {
		t.Fatalf("%d sites, %v", len(sites), err)
	}
	shop, www := sites[0], sites[1] // Helm sorts them; their order says nothing
	if shop.Name != "shop" || !shop.Private || shop.OriginConcurrency != 16 || shop.OriginHostHeader != "keep" || www.OriginHostHeader != "origin" || len(www.Origins) != 2 {
		t.Errorf("the sites are %+v", sites)
	}
	pod := func(objects []object) string {
		return fmt.Sprint(at[map[string]any](find(t, objects, "StatefulSet", "surgewall-shield"), "spec", "template"))
	}
	if before, after := pod(objects), pod(render(t, "external", "--set=shield.sites.shop.origin-concurrency=17")); before != after {
		t.Error("the shields would restart, and lose what they store, for other sites, which they take without")
	}
}

// TestGracePeriodCoversTheDrain: config/edge.yaml asks for more than the sum of the two times plus 3 seconds.
func TestGracePeriodCoversTheDrain(t *testing.T) {
	for _, name := range ci {
		for _, o := range workloads(render(t, name)) {
			pod := at[map[string]any](o, "spec", "template", "spec")
			sum := 0
			for _, arg := range at[[]any](at[[]any](pod, "containers")[0].(map[string]any), "args") {
				var seconds int
				if n, _ := fmt.Sscanf(arg.(string), "--drain-delay=%ds", &seconds); n == 1 {
					sum += seconds
				} else if n, _ := fmt.Sscanf(arg.(string), "--drain-timeout=%ds", &seconds); n == 1 {
					sum += seconds
				}
			}
			if grace := at[int](pod, "terminationGracePeriodSeconds"); grace <= sum+3 {
				t.Errorf("%s: %s is killed after %d s, its drain may take %d s", name, o.name(), grace, sum)
			}
		}
	}
}

func TestCollectorKnowsTheMemoryLimit(t *testing.T) {
	for limit, want := range map[string]string{"512Mi": "460MiB", "2Gi": "1843MiB", "1500M": "", "null": ""} {
		objects := render(t, "kind", "--set", "controller.resources.limits.memory="+limit)
		for name, want := range map[string]string{"Deployment/surgewall-controller": want, "Deployment/surgewall-edge": "", "StatefulSet/surgewall-shield": ""} {
			kind, name, _ := strings.Cut(name, "/")
			container := at[[]any](find(t, objects, kind, name), "spec", "template", "spec", "containers")[0].(map[string]any)
			got := ""
			for _, v := range at[[]any](container, "env") {
				if v := v.(map[string]any); v["name"] == "GOMEMLIMIT" {
					got = v["value"].(string)
				}
			}
			if got != want { // edges and shields divide the limit themselves
				t.Errorf("%s: with a limit of %s GOMEMLIMIT is %q, want %q", name, limit, got, want)
			}
		}
	}
}

func TestImageByDigestBeatsTheTag(t *testing.T) {
	const want = "registry.example.com/surgewall/surgewall@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, o := range workloads(render(t, "external")) {
		containers := at[[]any](o, "spec", "template", "spec", "containers")
		if got := at[string](containers[0].(map[string]any), "image"); got != want {
			t.Errorf("%s runs %s, want %s", o.name(), got, want)
		}
	}
}

// TestDefinitionsAreThoseOfConfig: config/rabbitmq is where permissions are written and tested, the chart carries a copy because Helm
// reads nothing outside of a chart.
func TestDefinitionsAreThoseOfConfig(t *testing.T) {
	source, err := os.ReadFile("../config/rabbitmq/definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	carried, err := os.ReadFile("surgewall/files/definitions.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(source, carried) {
		t.Fatal("the chart's copy is out of step: cp config/rabbitmq/definitions.json charts/surgewall/files/")
	}

	objects := render(t, "kind", "--set", "fleets.live.cacheSize=1GiB")
	var got, want map[string]any
	secret := find(t, objects, "Secret", "surgewall-rabbitmq-definitions")
	if err := json.Unmarshal([]byte(at[string](secret, "stringData", "definitions.json")), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(source, &want); err != nil {
		t.Fatal(err)
	}
	for _, entry := range got["users"].([]any) {
		u := entry.(map[string]any)
		credentials := find(t, objects, "Secret", "surgewall-amqp-"+u["name"].(string))
		if password := at[string](credentials, "stringData", "password"); len(password) != 32 || password != u["password"] {
			t.Errorf("user %v: the broker and its client got different passwords", u["name"])
		}
		delete(u, "password")
		u["password_hash"] = ""
	}
	// The user live has what the user edge has; without it, nothing differs from the file.
	for _, key := range []string{"users", "permissions", "topic_permissions"} {
		field := "user"
		if key == "users" {
			field = "name"
		}
		var rest, edge, live []any
		for _, entry := range got[key].([]any) {
			e := entry.(map[string]any)
			switch e[field] {
			case "live":
				live = append(live, without(e, field))
			case "edge":
				edge = append(edge, without(e, field))
				rest = append(rest, e)
			default:
				rest = append(rest, e)
			}
		}
		if len(live) == 0 || fmt.Sprint(live) != fmt.Sprint(edge) {
			t.Errorf("%s of fleet live are %v, of fleet edge %v", key, live, edge)
		}
		got[key] = rest
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("definitions are\n%v, want\n%v", got, want)
	}
}

func without(m map[string]any, key string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// TestBrokerRestartsOnlyForItsConfiguration: passwords are random in a render without a cluster, so they must not decide the checksum.
func TestBrokerRestartsOnlyForItsConfiguration(t *testing.T) {
	checksum := func(args ...string) string {
		o := find(t, render(t, "kind", args...), "StatefulSet", "surgewall-rabbitmq")
		return at[string](o, "spec", "template", "metadata", "annotations", "checksum/config")
	}
	first := checksum()
	if first == "" || first != checksum() {
		t.Error("two renders of the same values give different checksums")
	}
	if first == checksum("--set", "fleets.live.cacheSize=1GiB") {
		t.Error("a new broker user does not reach the broker")
	}
	if first != checksum("--set-string", "fleets.edge.policy.max-replicas=9") {
		t.Error("an edit of a policy restarts the broker")
	}
}

func TestNoPasswordInArgumentsOrEnvironment(t *testing.T) {
	for _, name := range ci {
		for _, o := range workloads(render(t, name)) {
			body, err := json.Marshal(at[[]any](o, "spec", "template", "spec", "containers"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(body, []byte(`"key":"password"`)) || bytes.Contains(body, []byte("amqp-url")) {
				t.Errorf("%s: %s has a password outside of a file", name, o.name())
			}
		}
	}
}
