package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/controllers/updates"
)

// TestContentTokensAreAFile: the controller alone has the tokens' hashes, as a file from a Secret, which is the user's or one that the chart
// makes; without either nobody has.
func TestContentTokensAreAFile(t *testing.T) {
	for _, c := range []struct {
		ci, items string
		args      []string
	}{
		{"external", "items:[map[key:hashes path:tokens]] secretName:content-tokens", nil},
		{"external", "items:[map[key:hashes path:tokens]] secretName:content-tokens", []string{"--set", "controller.contentTokens.create=true"}},
		{"kind", "items:[map[key:tokens path:tokens]] secretName:surgewall-content", nil},
		{"kind", "", []string{"--set", "controller.contentTokens.create=false"}},
	} {
		objects := render(t, c.ci, c.args...)
		for _, o := range workloads(objects) {
			container := at[[]any](podOf(o), "containers")[0].(map[string]any)
			told := slices.Contains(at[[]any](container, "args"), any("--content-token-file=/etc/surgewall/content/tokens"))
			if want := c.items != "" && at[string](container, "name") == "controller"; told != want {
				t.Errorf("%s %v: %s is told of tokens: %v, want %v", c.ci, c.args, o.name(), told, want)
			}
			mounts, volumes := fmt.Sprint(at[[]any](container, "volumeMounts")), fmt.Sprint(at[[]any](podOf(o), "volumes"))
			if strings.Contains(mounts, "mountPath:/etc/surgewall/content name:content readOnly:true") != told || told && !strings.Contains(volumes, c.items) {
				t.Errorf("%s %v: %s has the volumes %s at %s", c.ci, c.args, o.name(), volumes, mounts)
			}
		}
		made := slices.IndexFunc(objects, func(o object) bool { return o.kind() == "Secret" && o.name() == "surgewall-content" })
		if want := strings.HasSuffix(c.items, "surgewall-content"); (made >= 0) != want {
			t.Errorf("%s %v: a Secret is made: %v, want %v", c.ci, c.args, made >= 0, want)
		}
		if made < 0 {
			continue
		}
		token, lines := at[string](objects[made], "stringData", "token"), at[string](objects[made], "stringData", "tokens")
		tokens, err := updates.ParseTokens(lines)
		if err != nil || len(tokens) != 1 || !tokens[0].All() || !strings.Contains(lines, updates.Hash(token)) || len(token) < 32 {
			t.Errorf("the token that was made: %v: %d characters, line %q", err, len(token), lines)
		}
	}
}
