package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/policy"
)

// write makes a file and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// evening is ten minutes at 20 requests per second and ten at 100, a row each minute.
func evening(t *testing.T) string {
	var b strings.Builder
	b.WriteString("time,count\n")
	for minute := range 20 {
		count := 1200
		if minute >= 10 {
			count = 6000
		}
		fmt.Fprintf(&b, "2026-06-14 20:%02d:00,%d\n", minute, count)
	}
	return write(t, "evening.csv", b.String())
}

func policyFile(t *testing.T, data string) string {
	return write(t, "policy.yaml", "kind: Service\nmetadata: {name: other}\n---\nkind: ConfigMap\nmetadata: {name: edge, labels: {surgewall.io/policy: \"true\"}}\ndata: {"+data+"}\n")
}

func TestASimulationScoresAPresetOnTheGivenEdges(t *testing.T) {
	code, out, log := call(t, nil, "simulate", "--trace", evening(t), "--capacity", "10", "-o", "json")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, log)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"overload_ratio", "pod_hours", "writes", "reversals", "under", "over", "max_replicas"} {
		if _, ok := got[field].(float64); !ok {
			t.Errorf("no number %q in %s", field, out)
		}
	}
	// 100 rps on edges of 10 that are meant to be 70 % busy need 15.
	if most := got["max_replicas"].(float64); most < 15 || most > 25 {
		t.Errorf("%g edges at most, want about 15", most)
	}
	if got["policy"] != "balanced" || got["against"] != nil {
		t.Errorf("policy %v against %v", got["policy"], got["against"])
	}
}

func TestAnEditIsComparedWithWhatWasBefore(t *testing.T) {
	before := policyFile(t, `target-rps-per-edge: "7", max-replicas: "40"`)
	after := policyFile(t, `target-rps-per-edge: "7", max-replicas: "40", scale-down-hold: "2m", preset: rapid`)
	page := filepath.Join(t.TempDir(), "page.html")
	code, out, log := call(t, nil, "simulate", "--trace", evening(t), "--policy", after, "--against", before, "--html", page)
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, log)
	}
	for _, want := range []string{"20m from 2026-06-14 20:00:00", "edges: 10 rps each, ready 10s after", "POLICY", "change", `scale-down-hold: "6m" -> "2m"`, "█", "20:19:", "plot: " + page} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", `class="ready before"`, `class="ready after"`, "scale-down-hold"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://", "ZgotmplZ", "NaN", "Inf"} {
		if bytes.Contains(text, []byte(never)) {
			t.Errorf("the page has %q", never)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours for what is no terminal")
	}
}

func TestAPresetIsComparedOnTheEdgesOfTheFleet(t *testing.T) {
	file := policyFile(t, `target-rps-per-edge: "7", max-replicas: "40"`)
	for _, args := range [][]string{{"--policy", file, "--against", "rapid"}, {"--policy", "rapid", "--against", file}} {
		code, out, log := call(t, nil, append([]string{"simulate", "--trace", evening(t)}, args...)...)
		if code != exitOK || !strings.Contains(out, "edges: 10 rps each") {
			t.Errorf("%v: exit %d: %s%s", args, code, out, log)
		}
	}
}

func TestOneKeyOfAPolicyIsTried(t *testing.T) {
	file := policyFile(t, `target-rps-per-edge: "7", max-replicas: "40"`)
	code, out, log := call(t, nil, "simulate", "--trace", evening(t), "--policy", file, "--against", file, "--set", "max-replicas=9", "--set", "tolerance=0.3")
	if code != exitOK || !strings.Contains(out, `max-replicas: "40" -> "9"`) || !strings.Contains(out, `tolerance: "0.18" -> "0.3"`) {
		t.Errorf("exit %d: %s%s", code, out, log)
	}
	if !strings.Contains(log, "max-replicas 9 edges serve 90 requests per second, the peak of the trace is") {
		t.Errorf("nobody warns that 9 edges cannot serve it: %s", log)
	}
}

func TestTheTraceMayBeALogOrCompressedOrPiped(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	for second := range 60 {
		for range 30 {
			fmt.Fprintf(z, "192.0.2.1 - - [14/Jun/2026:20:00:%02d +0000] \"GET / HTTP/1.1\" 200 5\n", second)
		}
	}
	z.Close()
	path := write(t, "access.log.gz", zipped.String())
	code, out, log := call(t, nil, "simulate", "--trace", path, "--capacity", "10", "--from", "2026-06-14T20:00:10Z", "--to", "2026-06-14 20:00:50")
	if code != exitOK || !strings.Contains(out, "40s from 2026-06-14 20:00:10, 0.0012 million requests, peak 30 rps") {
		t.Errorf("exit %d: %s%s", code, out, log)
	}
	var piped, errors strings.Builder
	code = run(t.Context(), []string{"simulate", "--trace", "-", "--capacity", "10"}, os.LookupEnv, strings.NewReader(strings.Repeat("30\n", 60)), &piped, &errors)
	if code != exitOK || !strings.Contains(piped.String(), "peak 30 rps") {
		t.Errorf("exit %d: %s%s", code, piped.String(), errors.String())
	}
}

func TestWhatASimulationRefuses(t *testing.T) {
	trace := evening(t)
	several := write(t, "several.yaml", "kind: ConfigMap\nmetadata: {name: a}\n---\nkind: ConfigMap\nmetadata: {name: b}\n")
	for name, c := range map[string]struct {
		args string
		code int
		want string
	}{
		"no trace":       {"", exitUsage, "exactly one of --trace and --recorded is needed"},
		"two traces":     {"--trace x --recorded 1h", exitUsage, "exactly one of --trace and --recorded is needed"},
		"pod start":      {"--trace x --pod-start 1500ms", exitUsage, "--pod-start: 1.5s is not allowed: want a whole number of seconds from 0s to 1h"},
		"capacity":       {"--trace x --capacity -1", exitUsage, "--capacity: -1 is not allowed"},
		"initial":        {"--trace x --initial 9000", exitUsage, "--initial: 9000 is not allowed: want 0 to 5000 edges"},
		"stdin twice":    {"--trace - --policy -", exitUsage, "only one of --trace, --policy and --against can be standard input"},
		"no such file":   {"--trace /nowhere", exitFailure, "--trace: open /nowhere"},
		"no such policy": {"--trace " + trace + " --policy fast", exitFailure, "fast is neither a file nor a preset: want a file with a policy ConfigMap, or rapid, balanced, steady"},
		"several":        {"--trace " + trace + " --policy " + several, exitFailure, "the policies of 2 fleets, choose one with --fleet: a, b"},
		"other fleet":    {"--trace " + trace + " --policy " + policyFile(t, "") + " --fleet news", exitFailure, "no policy of the fleet news, which --fleet names; it has edge"},
		"other fleets":   {"--trace " + trace + " --policy " + several + " --fleet news", exitFailure, "no policy of the fleet news, which --fleet names; it has a, b"},
		"a bad policy":   {"--trace " + trace + " --policy " + policyFile(t, `spike-ration: "2", max-replicas: "0"`), exitFailure, `did you mean "spike-ratio"?`},
		"no string":      {"--trace " + trace + " --policy " + policyFile(t, `max-replicas: 9`), exitFailure, "line 6: max-replicas: 9 must be a string: put it in quotes"},
		"a bad trace":    {"--trace " + write(t, "x.csv", "time,count\n0,1\n60,many\n"), exitFailure, `x.csv: line 3: count: "many" is not a number from 0 to 1e12`},
		"from":           {"--trace " + trace + " --from yesterday", exitFailure, `--from: "yesterday" is not a time`},
		"nothing left":   {"--trace " + trace + " --from 2030-01-01T00:00:00Z", exitFailure, "nothing of the trace, which covers 2026-06-14 20:00:00 to 2026-06-14 20:20:00"},
		"no page":        {"--trace " + trace + " --html /nowhere/page.html", exitFailure, "--html: open /nowhere/page.html"},
	} {
		code, _, log := call(t, nil, append([]string{"simulate"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(log, c.want) {
			t.Errorf("%s: exit %d, want %d with %q: %s", name, code, c.code, c.want, log)
		}
	}
	if code, out, log := call(t, nil, "simulate", "--trace", trace, "--policy", several, "--fleet", "b"); code != exitOK {
		t.Errorf("exit %d: %s%s", code, out, log)
	}
}

func TestValuesOfASimulationAreCompleted(t *testing.T) {
	for flag, want := range map[string]string{"--policy": "rapid\nsteady", "--set": "scale-down-hold=", "--pod-start": "10s", "--recorded": "6h"} {
		args := []string{"__complete", "simulate", flag, ""}
		if _, out, _ := call(t, nil, args...); !strings.Contains(strings.ReplaceAll(out, "balanced\n", ""), want) {
			t.Errorf("%s: %q lacks %q", flag, out, want)
		}
	}
}

func TestProgressIsShownOfALongRun(t *testing.T) {
	r := &replay{}
	r.seconds.Store(25)
	trace, err := readTrace(strings.NewReader(strings.Repeat("1\n", 100)), "-", 1)
	if err != nil {
		t.Fatal(err)
	}
	if p := progress([]*replay{r, {}}, trace); p != 0.125 {
		t.Errorf("progress %g, want an eighth", p)
	}
}

// recorder is a controller that recorded five minutes of a fleet.
func recorder(t *testing.T, fleets ...string) string {
	t.Helper()
	p := policy.Default("edge")
	p.TargetRPSPerEdge, p.MaxReplicas = 7, 40
	status := fleet.Status{Fleet: "edge", Policy: fleet.Policy{Values: p.Values()}}
	windows := fleet.Windows{Fleet: "edge", Start: time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC), LeadSeconds: 6.2}
	for second := range 300 {
		rate := float32(40)
		if second >= 150 {
			rate = 200
		}
		replicas := int32(9)
		if second >= 200 {
			replicas = 33
		}
		windows.OfferedRPS, windows.Replicas = append(windows.OfferedRPS, &rate), append(windows.Replicas, replicas)
		if second < 3 {
			windows.OfferedRPS[second] = nil
		}
	}
	mux := http.NewServeMux()
	answer := func(path string, value any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(value) })
	}
	var list fleet.FleetList
	for _, name := range fleets {
		list.Fleets = append(list.Fleets, fleet.Status{Fleet: name})
	}
	answer("/v1/fleets", list)
	answer("/v1/fleets/edge", status)
	answer("/v1/fleets/edge/windows", windows)
	answer("/v1/fleets/new", status)
	answer("/v1/fleets/new/windows", fleet.Windows{})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhatTheControllerRecordedIsReplayed(t *testing.T) {
	url := recorder(t, "edge")
	code, out, log := call(t, nil, "simulate", "--recorded", "1h", "--policy", "rapid", "--controller", url, "-o", "json")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, log)
	}
	var got receipt
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Against == nil || got.Against.Policy != "in force" || got.Policy != "rapid" {
		t.Errorf("%q against %+v", got.Policy, got.Against)
	}
	// The preset is tried at the fleet's own size: a target of 7, and so edges of 10.
	if got.Edges.CapacityRPS != 10 || got.Edges.PodStart != 6 || got.Trace.Seconds != 297 || got.MaxReplicas > 40 {
		t.Errorf("%+v, %+v, at most %d edges", got.Edges, got.Trace, got.MaxReplicas)
	}
	if text := strings.Join(got.Changes, " "); !strings.Contains(text, "spike-ratio") || strings.Contains(text, "max-replicas") {
		t.Errorf("changes: %s", text)
	}
}

// What is replayed begins with the edges that ran then, not with those of the beginning of the recording.
func TestAReplayBeginsWithTheEdgesOfItsTime(t *testing.T) {
	for from, want := range map[string]int{"2026-06-14T20:00:03Z": 9, "2026-06-14T20:03:19Z": 9, "2026-06-14T20:03:20Z": 33} {
		url := recorder(t, "edge")
		s := &simulation{options: &options{controller: url}, recorded: time.Hour, from: from}
		cmd := simulateCommand(s.options)
		cmd.SetContext(t.Context())
		if _, _, err := s.load(cmd, []source{{name: "rapid", preset: true, keys: map[string]string{}}}); err != nil || s.initial != want {
			t.Errorf("from %s: %v, %d edges at the start, want %d", from, err, s.initial, want)
		}
	}
}

func TestWhatTheControllerDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct{ url, args, want string }{
		"several fleets": {recorder(t, "edge", "news"), "", "--fleet: the controller has 2, choose one: edge, news"},
		"no fleet":       {recorder(t), "", "the controller has no fleet"},
		"nothing yet":    {recorder(t), "--fleet new", "recorded of the fleet new in the last 1h: nothing was heard in this time"},
		"no controller":  {"http://127.0.0.1:1", "", "ask the controller"},
	} {
		args := append([]string{"simulate", "--recorded", "1h", "--controller", c.url}, strings.Fields(c.args)...)
		if code, _, log := call(t, nil, args...); code != exitFailure || !strings.Contains(log, c.want) {
			t.Errorf("%s: exit %d, want %q: %s", name, code, c.want, log)
		}
	}
}
