package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/policy"
)

func TestTheControllerIsAskedForItsOpinion(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Data map[string]string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v1/fleets/edge/policy/check" || body.Data["max-replicas"] != "40" {
			t.Errorf("%s %v %v", r.URL.Path, body, err)
		}
		_ = json.NewEncoder(w).Encode(fleet.Opinion{
			Accepted: true, Changes: []policy.Change{{Key: "max-replicas", From: "20", To: "40"}},
			Now: &fleet.Verdict{From: 4, To: 20, Reason: "spike"}, Then: &fleet.Verdict{From: 4, To: 31, Reason: "spike too"},
		})
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte("kind: ConfigMap\nmetadata: {name: edge, labels: {surgewall.io/policy: \"true\"}}\ndata: {max-replicas: \"40\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, log := call(t, nil, "policy", "check", path, "--server", "--controller", server.URL)
	for _, want := range []string{"edge: accepted", `max-replicas: "20" -> "40"`, "now:  4 -> 20  spike", "then: 4 -> 31  spike too"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, lacks %q: %s%s", code, want, out, log)
		}
	}
}

func TestAFileThatIsTooLongIsNotCheckedInPart(t *testing.T) {
	const good = "kind: ConfigMap\nmetadata: {name: edge, labels: {surgewall.io/policy: \"true\"}}\n---\n"
	const bad = "kind: ConfigMap\nmetadata: {name: news, labels: {surgewall.io/policy: \"true\"}}\ndata: {max-replicas: banana}\n"
	path := filepath.Join(t.TempDir(), "policies.yaml")
	// The line break at the limit ends a document that is whole.
	filler := strings.Repeat("#"+strings.Repeat(" ", 62)+"\n", maxPolicies/64)
	if err := os.WriteFile(path, []byte(good+filler[len(good):]+bad), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, log := call(t, nil, "policy", "check", path)
	if code != exitFailure || out != "" || !strings.Contains(log, "policies.yaml: more than 4 MiB, nothing of it was checked") {
		t.Errorf("exit %d: %s%s", code, out, log)
	}
}
