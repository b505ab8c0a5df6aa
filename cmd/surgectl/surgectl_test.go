package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/fleet"
)

func call(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log strings.Builder
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	code = run(t.Context(), args, lookup, strings.NewReader(""), &out, &log)
	return code, out.String(), log.String()
}

// controller answers with one fleet, in the types that the real one uses.
func controller(t *testing.T) string {
	at := time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)
	d := fleet.Record{
		At: at, Fleet: "edge", From: 4, To: 10, Desired: 10, Mode: "direct", Path: "spike", Reason: "spike: 1000 rps is 2.6 times the 390 rps before",
		Limits: []string{"max-replicas"}, Load: fleet.Load{OfferedRPS: 1000, HitRatio: .97}, Written: true, WrittenAt: at.Add(12 * time.Millisecond),
		Cause: "audience", Counterfactuals: []fleet.Counterfactual{{Key: "spike-ratio", Value: "2.6", To: 4, Text: "with spike-ratio 2.6 it would have stayed at 4"}},
		Inputs: &fleet.Inputs{Metric: "offered", Alarmed: true, Ratio: 2.6, Base: 390, TargetRPSPerEdge: 100, Threshold: 11.5},
	}
	status := fleet.Status{
		Fleet: "edge", Namespace: "cdn", Target: "surgewall-edge", Mode: "direct", Leader: "c-1",
		Policy: fleet.Policy{ResourceVersion: "7", Problems: []string{`max-replicas: "banana" is not a whole number`}},
		Signal: fleet.Signal{State: "LIVE", Known: 4, Live: 4}, Load: d.Load, Replicas: fleet.Replicas{Desired: 10, Spec: 10, Ready: 4},
		Decision: &d, LastChange: &d, Conditions: []fleet.Condition{
			{Type: "Blind", Status: "False", Reason: "LIVE"}, {Type: "ScaleWritten", Status: "True", Reason: "UpToDate"},
			{Type: "PolicyAccepted", Status: "False", Reason: "PolicyRejected"}, {Type: "ScalingLimited", Status: "True", Reason: "TooManyReplicas"},
		},
	}
	mux := http.NewServeMux()
	answer := func(value any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if since := r.URL.Query().Get("since"); since != "" {
				if _, err := time.Parse(time.RFC3339, since); err != nil {
					t.Errorf("since %q: %v", since, err)
				}
			}
			_ = json.NewEncoder(w).Encode(value)
		}
	}
	mux.HandleFunc("GET /v1/fleets", answer(fleet.FleetList{Fleets: []fleet.Status{status}}))
	mux.HandleFunc("GET /v1/fleets/edge", answer(status))
	mux.HandleFunc("GET /v1/fleets/edge/decisions", answer(fleet.DecisionList{Decisions: []fleet.Record{d}}))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(fleet.Problem{Error: "no policy ConfigMap names the fleet none"})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheForecastIsShownWithItsScore(t *testing.T) {
	for want, f := range map[string]*fleet.Forecast{
		"": nil,
		"forecast    nothing is known of the next minutes yet; not scored yet\n":                                                                                        {Mode: "shadow"},
		"forecast    812.0 rps at most in the next five minutes (daily); not scored yet\n":                                                                              {Mode: "auto", DemandRPS: 812, Method: "daily"},
		"forecast    812.0 rps at most in the next five minutes (daily); over 3h its error was -4% beside persistence, edges +0.3%: not good enough to keep edges by\n": {Mode: "auto", DemandRPS: 812, Method: "daily", ScoredSeconds: 10800, Skill: .04, Cost: .003},
		"forecast    812.0 rps at most in the next five minutes (weekly); over 8 days its error was -31% beside persistence, edges +2.0%: edges are kept for it\n":      {Mode: "auto", DemandRPS: 812, Method: "weekly", ScoredSeconds: 8 * 86400, Skill: .31, Cost: .02, Promoted: true},
		"over 8 days its error was -31% beside persistence, edges +2.0%: good enough to keep edges by, with forecast: auto\n":                                           {Mode: "shadow", ScoredSeconds: 8 * 86400, Skill: .31, Cost: .02, Promoted: true},
		"over 3h its error was +12% beside persistence, edges +0.0%: not good enough to keep edges by\n":                                                                {Mode: "shadow", ScoredSeconds: 10800, Skill: -.12},
	} {
		got := explain(fleet.Status{Fleet: "edge", Forecast: f})
		if !strings.Contains(got, want) || (f == nil) == strings.Contains(got, "forecast") {
			t.Errorf("%+v: want %q in\n%s", f, want, got)
		}
	}
}

func TestWhatItShows(t *testing.T) {
	url := controller(t)
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{[]string{"fleets"}, []string{"FLEET", "edge", "LIVE", "4/4", "1000", "97%", "c-1", "CONDITIONS", "  PolicyAccepted:PolicyRejected,ScalingLimited:TooManyReplicas  ", "spike: 1000 rps"}},
		{[]string{"status"}, []string{"ScalingLimited:TooManyReplicas"}},
		{[]string{"fleets", "-o", "json"}, []string{`"fleet": "edge"`, `"offered_rps": 1000`}},
		{[]string{"explain", "edge"}, []string{"because     spike: 1000 rps is 2.6 times", "4 of 4 edges heard", "a rise to 2.6 times 390.0 rps", "4 -> 10", "otherwise   with spike-ratio 2.6 it would have stayed at 4", "cause       audience", "metric      offered needs the most edges", `refused   max-replicas: "banana"`, "Blind=False"}},
		{[]string{"explain", "edge", "-o", "json"}, []string{`"is_leader": false`}},
		{[]string{"decisions", "edge", "--since", "10m"}, []string{"FROM", "spike", "12ms"}},
		{[]string{"decisions", "edge", "-o", "json"}, []string{`"written": true`}},
		{[]string{"__complete", "explain", ""}, []string{"edge\n"}},
	} {
		code, out, log := call(t, map[string]string{"SURGEWALL_CONTROLLER": url}, tc.args...)
		if code != exitOK {
			t.Errorf("%v: exit %d: %s", tc.args, code, log)
		}
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v lacks %q:\n%s", tc.args, want, out)
			}
		}
	}
}

func TestAFleetWithNothingWrongIsOK(t *testing.T) {
	if got := wrong([]fleet.Condition{{Type: "Blind", Status: "False", Reason: "PARTIAL"}, {Type: "ScaleWritten", Status: "True"}}); got != "ok" {
		t.Errorf("%q", got)
	}
}

func TestErrors(t *testing.T) {
	url := controller(t)
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"explain", "none", "--controller", url}, exitFailure, "no policy ConfigMap names the fleet none"},
		{[]string{"fleets", "--controller", "http://127.0.0.1:1"}, exitFailure, "connection refused\nNobody answers at http://127.0.0.1:1. --controller or SURGEWALL_CONTROLLER names"},
		{[]string{"fleets", "--controller", "127.0.0.1:8082"}, exitUsage, "want http://host:port"},
		{[]string{"fleets", "-o", "xml"}, exitUsage, `--output: "xml" is not allowed`},
		{[]string{"explain"}, exitUsage, "accepts 1 arg"},
		{[]string{"flets"}, exitUsage, "fleets"},
		{[]string{"policy", "check", "/nowhere"}, exitFailure, "/nowhere"},
	} {
		code, _, log := call(t, nil, tc.args...)
		if code != tc.code || !strings.Contains(log, tc.want) {
			t.Errorf("%v: exit %d, want %d with %q: %s", tc.args, code, tc.code, tc.want, log)
		}
	}
}

func TestVersionHelpAndCompletion(t *testing.T) {
	for arg, want := range map[string]string{"version": "devel", "--help": "surgectl policy check policy.yaml", "completion bash": "bash completion"} {
		if code, out, log := call(t, nil, strings.Fields(arg)...); code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, no %q in %s%s", arg, code, want, out, log)
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	if code, out, log := call(t, nil, "policy", "check", "../../config/policy.yaml"); code != exitOK || out != "edge: accepted\n" {
		t.Errorf("the documented policy: exit %d: %s%s", code, out, log)
	}
	const file = `kind: ConfigMap
metadata: {name: sports, labels: {surgewall.io/policy: "true"}}
data: {preset: rapid, max-replicas: "40"}
---
kind: Service
metadata: {name: other}
---
kind: ConfigMap
metadata: {name: unrelated}
data: {nginx.conf: "x"}
---
kind: ConfigMap
metadata: {name: news, labels: {surgewall.io/policy: "true"}}
data: {max-replicas: 40, spike-ration: "2", min-replicas: "50"}
`
	path := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, log := call(t, nil, "policy", "check", path)
	for _, want := range []string{
		"sports: accepted\n", `max-replicas: "40" (default "20")`, `spike-ratio: "1.35" (default "1.4")`,
		"news: line 14: max-replicas: 40 must be a string: put it in quotes",
		`news: min-replicas: "50" is more than max-replicas`, `news: spike-ration: "2" belongs to no known key; did you mean "spike-ratio"?`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if code != exitFailure || !strings.Contains(log, "1 of 2 policies would be refused") {
		t.Errorf("exit %d: %s", code, log)
	}
	if strings.Contains(out, "unrelated") {
		t.Errorf("a ConfigMap that is no policy is checked:\n%s", out)
	}
	if err := os.WriteFile(path, []byte("kind: ConfigMap\nmetadata: {name: edge}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call(t, nil, "policy", "check", path); code != exitFailure || !strings.Contains(out, "edge: label surgewall.io/policy: must be") {
		t.Errorf("without the label: exit %d: %s", code, out)
	}
	if code, out, _ := call(t, nil, "policy", "keys"); code != exitOK || !strings.Contains(out, "scale-down-hold") {
		t.Errorf("keys: exit %d: %s", code, out)
	}
}
