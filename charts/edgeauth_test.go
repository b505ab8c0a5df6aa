package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/edgeauth"
)

// TestEdgesAndShieldsShareAKey: both mount the one Secret, which the chart makes where none is named, and the controller has none of it.
func TestEdgesAndShieldsShareAKey(t *testing.T) {
	for _, c := range []struct {
		ci, secret, key string
		require         bool
		args            []string
	}{
		{"kind", "surgewall-edge-auth", "keys", false, nil},
		{"external", "edge-keys", "hmac", true, nil},
		{"kind", "", "", false, []string{"--set", "edgeAuth.enabled=false"}},
	} {
		objects := render(t, c.ci, c.args...)
		for _, o := range workloads(objects) {
			container := at[[]any](podOf(o), "containers")[0].(map[string]any)
			name, args := at[string](container, "name"), at[[]any](container, "args")
			wants := c.secret != "" && (name == "edge" || name == "shield")
			if slices.Contains(args, any("--edge-auth-key-file=/etc/surgewall/edge-auth/keys")) != wants ||
				slices.Contains(args, any("--edge-auth=require")) != (wants && c.require && name == "shield") ||
				slices.Contains(args, any("--edge-auth=prefer")) != (wants && !c.require && name == "shield") {
				t.Errorf("%s %v: %s has %v", c.ci, c.args, o.name(), args)
			}
			mounts, volumes := fmt.Sprint(at[[]any](container, "volumeMounts")), fmt.Sprint(at[[]any](podOf(o), "volumes"))
			if strings.Contains(mounts, "map[mountPath:/etc/surgewall/edge-auth name:edge-auth readOnly:true]") != wants ||
				strings.Contains(volumes, "items:[map[key:"+c.key+" path:keys]] secretName:"+c.secret+"]") != wants {
				t.Errorf("%s %v: %s has the volumes %s at %s", c.ci, c.args, o.name(), volumes, mounts)
			}
		}
		made := slices.IndexFunc(objects, func(o object) bool { return o.kind() == "Secret" && strings.HasSuffix(o.name(), "-edge-auth") })
		if (made >= 0) != (c.secret == "surgewall-edge-auth") {
			t.Errorf("%s %v: a Secret is made: %v", c.ci, c.args, made >= 0)
		}
		if made >= 0 {
			if _, err := edgeauth.ParseKeys([]byte(at[string](objects[made], "stringData", "keys"))); err != nil {
				t.Errorf("the key that was made: %v", err)
			}
		}
	}
}
