package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestPurgeNeedsASecret: without one no pod is told of a token, with one edges and shields have it as a file, and the controller does not.
func TestPurgeNeedsASecret(t *testing.T) {
	for _, ci := range ci {
		for _, o := range workloads(render(t, ci)) {
			container := at[[]any](podOf(o), "containers")[0].(map[string]any)
			told := slices.Contains(at[[]any](container, "args"), any("--purge-token-file=/etc/surgewall/purge/token"))
			name := at[string](container, "name")
			if want := ci == "external" && (name == "edge" || name == "shield"); told != want {
				t.Errorf("%s: %s is told of a token: %v, want %v", ci, o.name(), told, want)
			}
			mounts, volumes := fmt.Sprint(at[[]any](container, "volumeMounts")), fmt.Sprint(at[[]any](podOf(o), "volumes"))
			if strings.Contains(mounts, "map[mountPath:/etc/surgewall/purge name:purge readOnly:true]") != told ||
				strings.Contains(volumes, "items:[map[key:bearer path:token]] secretName:purge-token") != told {
				t.Errorf("%s: %s has the volumes %s at %s", ci, o.name(), volumes, mounts)
			}
		}
	}
	if _, err := helm(t, "template", "surgewall", "surgewall", "--values", values("kind"), "--set", "purge.token=x"); err == nil {
		t.Error("a token among the values is taken")
	}
}
