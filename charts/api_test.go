package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestWritesOverHTTPNeedASecret: without one the controller is told of no token, with one it has it as a file, and nobody else does.
func TestWritesOverHTTPNeedASecret(t *testing.T) {
	for _, ci := range ci {
		for _, o := range workloads(render(t, ci)) {
			container := at[[]any](podOf(o), "containers")[0].(map[string]any)
			told := slices.Contains(at[[]any](container, "args"), any("--api-token-file=/etc/surgewall/api/token"))
			if want := ci == "external" && at[string](container, "name") == "controller"; told != want {
				t.Errorf("%s: %s is told of a token: %v, want %v", ci, o.name(), told, want)
			}
			mounts, volumes := fmt.Sprint(at[[]any](container, "volumeMounts")), fmt.Sprint(at[[]any](podOf(o), "volumes"))
			if strings.Contains(mounts, "mountPath:/etc/surgewall/api") != told || strings.Contains(volumes, "items:[map[key:bearer path:token]] secretName:api-token") != told {
				t.Errorf("%s: %s has the volumes %s at %s", ci, o.name(), volumes, mounts)
			}
		}
	}
}

// TestPlansHaveAConfigMapOfTheirOwn: empty, so that an upgrade leaves what is in it alone, and the only one that the controller may write.
func TestPlansHaveAConfigMapOfTheirOwn(t *testing.T) {
	objects := render(t, "kind")
	plans := find(t, objects, "ConfigMap", "surgewall-plans")
	if _, has := plans["data"]; has {
		t.Errorf("an upgrade would take the plans away: %v", plans)
	}
	args := at[[]any](podOf(find(t, objects, "Deployment", "surgewall-controller")), "containers")[0].(map[string]any)["args"].([]any)
	if !slices.Contains(args, any("--plan-configmap=surgewall-plans")) {
		t.Errorf("the controller looks elsewhere: %v", args)
	}
}

// TestOnlyModeFloorMayWriteAutoscalers: by the policy of a fleet, or by a value.
func TestOnlyModeFloorMayWriteAutoscalers(t *testing.T) {
	rights := func(args ...string) bool {
		out, err := helm(t, append([]string{"template", "surgewall", "surgewall", "--values", values("kind"), "--kube-version", "1.33.0", "--show-only", "templates/controller.yaml"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), "resources: [horizontalpodautoscalers]\n    verbs: [get, update]")
	}
	for want, args := range map[bool][][]string{
		false: {nil, {"--set", "fleets.edge.policy.mode=observe"}},
		true:  {{"--set", "fleets.edge.policy.mode=floor"}, {"--set", "controller.floor=true"}},
	} {
		for _, a := range args {
			if got := rights(a...); got != want {
				t.Errorf("%v: may write autoscalers: %v", a, got)
			}
		}
	}
}
