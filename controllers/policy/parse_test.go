package policy

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestTheExampleConfigMapIsTheDefaults(t *testing.T) {
	file, err := os.ReadFile("../../config/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var configMap struct {
		Metadata struct {
			Name   string
			Labels map[string]string
		}
		Data map[string]string
	}
	if err := yaml.Unmarshal(file, &configMap); err != nil {
		t.Fatal(err)
	}
	got, err := Parse(configMap.Metadata.Name, configMap.Data)
	if err != nil {
		t.Fatal(err)
	}
	if want := Default("edge"); got != want {
		t.Errorf("the example differs from the defaults: %v", Diff(want, got))
	}
	for _, k := range Keys() {
		if _, ok := configMap.Data[k.Name]; !ok {
			t.Errorf("the example does not show the key %s", k.Name)
		}
	}
	if configMap.Metadata.Labels["surgewall.io/policy"] != "true" {
		t.Error("the example lacks the label that the controller selects")
	}
}

func TestDefaults(t *testing.T) {
	want := Policy{
		TargetDeployment: "edge", Mode: Direct, Preset: Balanced, TargetRPSPerEdge: 100,
		MinReplicas: 2, MaxReplicas: 20, SpikeRatio: 1.4, SpikeFalseAlarmInterval: 24 * time.Hour,
		StableWindow: time.Minute, ScaleUpMaxStep: Step{Percent: 4900}, ScaleDownMaxStep: Step{Percent: 50},
		ScaleDownHold: 6 * time.Minute, Tolerance: 0.18, Forecast: ForecastShadow, ForecastBudget: 0.05, Pause: PauseNone,
	}
	if got := Default("edge"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if safe := Safe("edge"); safe.Mode != Observe {
		t.Errorf("the safe policy writes: mode %s", safe.Mode)
	}
}

func TestPresetFirstThenNumbers(t *testing.T) {
	p, err := Parse("edge", map[string]string{"preset": "rapid", "scale-down-hold": "45s", "target-deployment": "web-edge"})
	if err != nil {
		t.Fatal(err)
	}
	if p.SpikeRatio != 1.35 || p.ScaleDownHold != 45*time.Second || p.TargetDeployment != "web-edge" {
		t.Errorf("ratio %v, hold %v, target %s", p.SpikeRatio, p.ScaleDownHold, p.TargetDeployment)
	}
	for _, preset := range []Preset{Rapid, Balanced, Steady} {
		p, err := Parse("edge", map[string]string{"preset": string(preset)})
		if err != nil {
			t.Errorf("preset %s: %v", preset, err)
		}
		again, err := Parse("edge", p.Values())
		if err != nil || again != p {
			t.Errorf("preset %s is not what it writes: %v, %v", preset, err, Diff(p, again))
		}
	}
}

func TestBadConfigMaps(t *testing.T) {
	const (
		replicas = "allowed: 1 to 5000 replicas"
		span     = "allowed: a duration from 0s to 24h"
		calendar = "allowed: windows of the form `NAME: MINUTE HOUR DAY MONTH WEEKDAY for DURATION [ramp DURATION] floor EDGES|factor TIMES [zone ZONE]`, with ';' or a new line between them, or empty"
		steps    = "allowed: 1 to 5000 replicas, or 1% to 100%"
		name     = "allowed: lower-case letters, digits, '-' and '.', at most 253 characters, a letter or digit at both ends"
	)
	type data = map[string]string
	for _, tc := range []struct {
		data data
		want []string
	}{
		{data{"max-replicas": "banana"}, []string{`max-replicas: "banana" is not a whole number; ` + replicas}},
		{data{"max-replicas": ""}, []string{`max-replicas: "" is not a whole number; ` + replicas}},
		{data{"max-replicas": " 5"}, []string{`max-replicas: " 5" is not a whole number; ` + replicas}},
		{data{"max-replicas": "5.0"}, []string{`max-replicas: "5.0" is not a whole number; ` + replicas}},
		{data{"max-replicas": "+5"}, []string{`max-replicas: "+5" is not a whole number; ` + replicas}},
		{data{"max-replicas": "0x10"}, []string{`max-replicas: "0x10" is not a whole number; ` + replicas}},
		{data{"max-replicas": "99999999999999999999"}, []string{`max-replicas: "99999999999999999999" is out of range; ` + replicas}},
		{data{"max-replicas": "5001"}, []string{`max-replicas: "5001" is out of range; ` + replicas}},
		{data{"min-replicas": "0"}, []string{`min-replicas: "0" is out of range; ` + replicas}},
		{data{"min-replicas": "-1"}, []string{`min-replicas: "-1" is out of range; ` + replicas}},
		{data{"min-replicas": "8", "max-replicas": "4"}, []string{`min-replicas: "8" is more than max-replicas; allowed: 1 to max-replicas (4)`}},
		{data{"min-replicas": "30"}, []string{`min-replicas: "30" is more than max-replicas; allowed: 1 to max-replicas (20)`}},
		{data{"max-replicas": "1"}, []string{`min-replicas: "2" is more than max-replicas; allowed: 1 to max-replicas (1)`}},
		{data{"max-replica": "5"}, []string{`max-replica: "5" belongs to no known key; did you mean "max-replicas"?; allowed: the known keys`}},
		{data{"maxReplicas": "5"}, []string{`maxReplicas: "5" belongs to no known key; did you mean "max-replicas"?; allowed: the known keys`}},
		{data{"spike_ratio": "2"}, []string{`spike_ratio: "2" belongs to no known key; did you mean "spike-ratio"?; allowed: the known keys`}},
		{data{"zzz": "1"}, []string{`zzz: "1" belongs to no known key; allowed: target-deployment, mode, preset, target-rps-per-edge, target-in-flight-per-edge, target-mbps-per-edge, capacity-rps-per-edge, max-rps-per-edge, min-replicas, max-replicas, spike-ratio, spike-false-alarm-interval, stable-window, scale-up-max-step, scale-down-max-step, scale-down-hold, tolerance, calendar, forecast, forecast-budget, pause, hold-replicas, hold-until`}},
		{data{"spike-ratio": "NaN"}, []string{`spike-ratio: "NaN" is not a number; allowed: 1.05 to 100 times the edges that run`}},
		{data{"spike-ratio": "Inf"}, []string{`spike-ratio: "Inf" is not a number; allowed: 1.05 to 100 times the edges that run`}},
		{data{"spike-ratio": "1"}, []string{`spike-ratio: "1" is out of range; allowed: 1.05 to 100 times the edges that run`}},
		{data{"spike-ratio": "1,5"}, []string{`spike-ratio: "1,5" is not a number; allowed: 1.05 to 100 times the edges that run`}},
		{data{"target-rps-per-edge": "1e400"}, []string{`target-rps-per-edge: "1e400" is out of range; allowed: 0.1 to 1000000 requests per second`}},
		{data{"target-rps-per-edge": "0"}, []string{`target-rps-per-edge: "0" is out of range; allowed: 0.1 to 1000000 requests per second`}},
		{data{"target-rps-per-edge": "-100"}, []string{`target-rps-per-edge: "-100" is out of range; allowed: 0.1 to 1000000 requests per second`}},
		{data{"target-rps-per-edge": "100rps"}, []string{`target-rps-per-edge: "100rps" is not a number; allowed: 0.1 to 1000000 requests per second`}},
		{data{"target-rps-per-edge": "0x1p4"}, []string{`target-rps-per-edge: "0x1p4" is not a number; allowed: 0.1 to 1000000 requests per second`}},
		{data{"max-rps-per-edge": "50"}, []string{`max-rps-per-edge: "50" is less than target-rps-per-edge; allowed: 0, or at least target-rps-per-edge (100)`}},
		{data{"scale-down-hold": "300"}, []string{`scale-down-hold: "300" is not a duration such as 90s, 5m or 1h30m; ` + span}},
		{data{"scale-down-hold": "-5m"}, []string{`scale-down-hold: "-5m" is out of range; ` + span}},
		{data{"scale-down-hold": "48h"}, []string{`scale-down-hold: "48h" is out of range; ` + span}},
		{data{"scale-down-hold": "1 day"}, []string{`scale-down-hold: "1 day" is not a duration such as 90s, 5m or 1h30m; ` + span}},
		{data{"stable-window": "1s"}, []string{`stable-window: "1s" is out of range; allowed: a duration from 5s to 2m`}},
		{data{"spike-false-alarm-interval": "1s"}, []string{`spike-false-alarm-interval: "1s" is out of range; allowed: a duration from 1m to 8760h`}},
		{data{"scale-down-max-step": "200%"}, []string{`scale-down-max-step: "200%" is out of range; ` + steps}},
		{data{"scale-down-max-step": "0"}, []string{`scale-down-max-step: "0" is out of range; ` + steps}},
		{data{"scale-down-max-step": "0%"}, []string{`scale-down-max-step: "0%" is out of range; ` + steps}},
		{data{"scale-down-max-step": "a lot"}, []string{`scale-down-max-step: "a lot" is not a whole number or a percentage such as 20%; ` + steps}},
		{data{"scale-up-max-step": "%"}, []string{`scale-up-max-step: "%" is not a whole number or a percentage such as 20%; allowed: 1 to 5000 replicas, or 1% to 100000%`}},
		{data{"scale-up-max-step": "6000"}, []string{`scale-up-max-step: "6000" is out of range; allowed: 1 to 5000 replicas, or 1% to 100000%`}},
		{data{"tolerance": "10%"}, []string{`tolerance: "10%" is not a number; allowed: 0 to 0.5 fraction of the target`}},
		{data{"tolerance": "0.9"}, []string{`tolerance: "0.9" is out of range; allowed: 0 to 0.5 fraction of the target`}},
		{data{"mode": "dry-run"}, []string{`mode: "dry-run" is not an allowed value; allowed: one of observe, direct, floor`}},
		{data{"mode": "Direct"}, []string{`mode: "Direct" is not an allowed value; allowed: one of observe, direct, floor`}},
		{data{"preset": "fast"}, []string{`preset: "fast" is not an allowed value; allowed: one of rapid, balanced, steady`}},
		{data{"preset": ""}, []string{`preset: "" is not an allowed value; allowed: one of rapid, balanced, steady`}},
		{data{"pause": "yes"}, []string{`pause: "yes" is not an allowed value; allowed: one of false, true, scale-down, scale-up`}},
		{data{"target-deployment": "Web_Edge"}, []string{`target-deployment: "Web_Edge" is not a name of a Kubernetes object; ` + name}},
		{data{"target-deployment": ""}, []string{`target-deployment: "" is not a name of a Kubernetes object; ` + name}},
		{data{"target-deployment": "-edge"}, []string{`target-deployment: "-edge" is not a name of a Kubernetes object; ` + name}},
		{data{"hold-replicas": "50"}, []string{`hold-replicas: "50" is outside min-replicas and max-replicas; allowed: 0, or 2 to 20 replicas`}},
		{data{"hold-replicas": "5", "hold-until": "tomorrow"}, []string{`hold-until: "tomorrow" is not a time; allowed: a time in RFC 3339 such as 2026-06-14T23:30:00Z, or empty`}},
		{data{"hold-replicas": "5", "hold-until": "1999-01-01T00:00:00Z"}, []string{`hold-until: "1999-01-01T00:00:00Z" is out of range; allowed: a time in RFC 3339 such as 2026-06-14T23:30:00Z, or empty`}},
		{data{"hold-until": "2026-06-14T23:30:00Z"}, []string{`hold-until: "2026-06-14T23:30:00Z" has no hold-replicas to end; allowed: empty, or together with hold-replicas`}},
		{data{"mode": "hpa"}, []string{`mode: "hpa" is not an allowed value; allowed: one of observe, direct, floor`}},
		{data{"calendar": "evening"}, []string{`calendar: "evening" has a window that does not begin with a name and ':': "evening"; ` + calendar}},
		{data{"calendar": "Evening: 0 18 * * * for 5h floor 9"}, []string{`calendar: "Evening: 0 18 * * * for 5h floor 9" has a window that does not begin with a name and ':': "Evening: 0 18 * * * for 5h floor 9"; ` + calendar}},
		{data{"calendar": "a: 0 18 * * for 5h floor 9"}, []string{`calendar: "a: 0 18 * * for 5h floor 9" has in the window "a" fewer than the five fields MINUTE HOUR DAY MONTH WEEKDAY; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * floor 9"}, []string{`calendar: "a: 0 18 * * * floor 9" has in the window "a" no length: for DURATION; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h"}, []string{`calendar: "a: 0 18 * * * for 5h" has in the window "a" not exactly one of floor EDGES and factor TIMES; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h floor 9 factor 2"}, []string{`calendar: "a: 0 18 * * * for 5h floor 9 factor 2" has in the window "a" not exactly one of floor EDGES and factor TIMES; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h floor"}, []string{`calendar: "a: 0 18 * * * for 5h floor" has in the window "a" floor without a value; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h for 6h floor 9"}, []string{`calendar: "a: 0 18 * * * for 5h for 6h floor 9" has in the window "a" for twice; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * during 5h floor 9"}, []string{`calendar: "a: 0 18 * * * during 5h floor 9" has in the window "a" the word "during", which is none of for, ramp, floor, factor, zone; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5 floor 9"}, []string{`calendar: "a: 0 18 * * * for 5 floor 9" has in the window "a" for "5", where a duration from 1m to 168h in whole seconds is allowed; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 30s floor 9"}, []string{`calendar: "a: 0 18 * * * for 30s floor 9" has in the window "a" for "30s", where a duration from 1m to 168h in whole seconds is allowed; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h ramp 25h floor 9"}, []string{`calendar: "a: 0 18 * * * for 5h ramp 25h floor 9" has in the window "a" ramp "25h", where a duration from 0s to 24h in whole seconds is allowed; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h floor 0"}, []string{`calendar: "a: 0 18 * * * for 5h floor 0" has in the window "a" floor "0", where 1 to 5000 edges are allowed; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h factor 1"}, []string{`calendar: "a: 0 18 * * * for 5h factor 1" has in the window "a" factor "1", where 1.01 to 100 times are allowed; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h factor nan"}, []string{`calendar: "a: 0 18 * * * for 5h factor nan" has in the window "a" factor "nan", where 1.01 to 100 times are allowed; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h floor 9 zone Mars"}, []string{`calendar: "a: 0 18 * * * for 5h floor 9 zone Mars" has in the window "a" the unknown time zone "Mars"; ` + calendar}},
		{data{"calendar": "a: 0 18 * * * for 5h floor 9 zone Local"}, []string{`calendar: "a: 0 18 * * * for 5h floor 9 zone Local" has in the window "a" the unknown time zone "Local"; ` + calendar}},
		{data{"calendar": "a: 0 25 * * * for 5h floor 9"}, []string{`calendar: "a: 0 25 * * * for 5h floor 9" has in the window "a" the schedule "0 25 * * *": "end of range (25) above maximum (23): 25"; ` + calendar}},
		{data{"calendar": "a: TZ=UTC 18 * * * for 5h floor 9"}, []string{`calendar: "a: TZ=UTC 18 * * * for 5h floor 9" has in the window "a" the schedule "TZ=UTC 18 * * *" with a character that cron does not know; ` + calendar}},
		{data{"calendar": "a: 0 18 30 2 * for 5h floor 9"}, []string{`calendar: "a: 0 18 30 2 * for 5h floor 9" has in the window "a" the schedule "0 18 30 2 *", which never comes; ` + calendar}},
		{data{"calendar": "a: 0 * * * * for 2h floor 9"}, []string{`calendar: "a: 0 * * * * for 2h floor 9" has in the window "a" for 2h, and it begins again after 1h; ` + calendar}},
		{data{"calendar": "a: 0 1 * * * for 2h floor 9; a: 0 5 * * * for 1h floor 4"}, []string{`calendar: "a: 0 1 * * * for 2h floor 9; a: 0 5 * * * for 1h floor 4" has two windows with the name "a"; ` + calendar}},
		{data{"calendar": "a: 0 1 * * * for 2h floor 30"}, []string{`calendar: "a: 0 1 * * * for 2h floor 30 zone UTC" has in the window "a" a floor of 30, more than max-replicas; allowed: floors up to max-replicas (20)`}},
		{data{"calendar": strings.Repeat("#", 8193)}, []string{`calendar: "` + strings.Repeat("#", 64) + `"… is longer than 8192 bytes; ` + calendar}},
		{data{"mode": "a\nb"}, []string{`mode: "a\nb" is not an allowed value; allowed: one of observe, direct, floor`}},
		{data{"mode": strings.Repeat("x", 1000)}, []string{`mode: "` + strings.Repeat("x", 64) + `"… is not an allowed value; allowed: one of observe, direct, floor`}},
		// Every problem at once, and min-replicas is not blamed for a bad max-replicas.
		{data{"max-replicas": "banana", "min-replicas": "30", "tolerance": "-1", "hold": "2"}, []string{
			`hold: "2" belongs to no known key; allowed: ` + strings.Join(slices.Collect(names()), ", "),
			`max-replicas: "banana" is not a whole number; ` + replicas,
			`tolerance: "-1" is out of range; allowed: 0 to 0.5 fraction of the target`,
		}},
	} {
		got, err := Parse("edge", tc.data)
		var errs Errors
		if !errors.As(err, &errs) {
			t.Errorf("%v: error %v, want Errors", tc.data, err)
			continue
		}
		if lines := errs.Lines(); !slices.Equal(lines, tc.want) {
			t.Errorf("%v:\n got %s\nwant %s", tc.data, strings.Join(lines, "\n     "), strings.Join(tc.want, "\n     "))
		}
		if got != (Policy{}) {
			t.Errorf("%v: half a policy came out: %+v", tc.data, got)
		}
	}
}

func names() func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, k := range Keys() {
			if !yield(k.Name) {
				return
			}
		}
	}
}

func TestDiffNamesWhatChanged(t *testing.T) {
	before := Default("edge")
	after, err := Parse("edge", map[string]string{"target-rps-per-edge": "40", "pause": "scale-down"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range Diff(before, after) {
		got = append(got, c.String())
	}
	if want := []string{`target-rps-per-edge: "100" -> "40"`, `pause: "false" -> "scale-down"`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if d := Diff(before, before); d != nil {
		t.Errorf("a policy differs from itself: %v", d)
	}
}

func TestHold(t *testing.T) {
	until := time.Date(2026, 6, 14, 23, 30, 0, 0, time.UTC)
	p := Policy{HoldReplicas: 7, HoldUntil: until}
	if n, ok := p.Held(until.Add(-time.Second)); n != 7 || !ok {
		t.Errorf("before its end: %d, %v", n, ok)
	}
	if _, ok := p.Held(until); ok {
		t.Error("a hold outlives its end")
	}
	p.HoldUntil = time.Time{}
	if _, ok := p.Held(until); !ok {
		t.Error("a hold without an end ended")
	}
}

func TestStep(t *testing.T) {
	for _, tc := range []struct {
		step Step
		n    int
		want int
	}{{Step{Replicas: 4}, 100, 4}, {Step{Percent: 20}, 10, 2}, {Step{Percent: 20}, 3, 1}, {Step{Percent: 900}, 2, 18}, {Step{Percent: 100}, 0, 1}} {
		if got := tc.step.Of(tc.n); got != tc.want {
			t.Errorf("%v of %d: got %d, want %d", tc.step, tc.n, got, tc.want)
		}
	}
}

func TestEdgeClamp(t *testing.T) {
	if got := (Policy{TargetRPSPerEdge: 100}).EdgeClamp(); got != 5000 {
		t.Errorf("without the key: %v", got)
	}
	if got := (Policy{TargetRPSPerEdge: 100, MaxRPSPerEdge: 250}).EdgeClamp(); got != 250 {
		t.Errorf("with the key: %v", got)
	}
}

// A policy that is accepted is the policy that it writes, and one that is
// refused says so on lines of bounded length.
func FuzzParse(f *testing.F) {
	for k, v := range Default("edge").Values() {
		f.Add(k, v, "max-replicas", "9")
	}
	f.Add("calendar", "a: 0 18 * * 1-5 for 5h ramp 20m factor 2.5 zone Europe/Berlin; b: */30 0-6 1 jan,feb ? for 1m floor 3", "mode", "floor")
	f.Add("calendar", "a: 0 18 29 2 * for 5h floor 9\nb: 5 4 * * sun for 90s floor 2", "max-replicas", "3")
	f.Add("hold-until", "9999-12-31T23:59:59-23:59", "hold-replicas", "3")
	f.Add("target-rps-per-edge", "-0", "x", "\x00")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		data := map[string]string{k1: v1, k2: v2}
		before := maps.Clone(data)
		p, err := Parse("edge", data)
		if !maps.Equal(before, data) {
			t.Fatal("Parse changed its input")
		}
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatalf("an error without problems: %v", err)
			}
			for _, line := range errs.Lines() {
				if strings.ContainsAny(line, "\n\r") || len(line) > 1500 {
					t.Fatalf("not one bounded line: %q", line)
				}
			}
			return
		}
		again, err := Parse("edge", p.Values())
		if err != nil || again != p {
			t.Fatalf("%v: written and read: %v, %v", data, err, Diff(p, again))
		}
		if p.MinReplicas > p.MaxReplicas || !(p.TargetRPSPerEdge > 0) {
			t.Fatalf("accepted: %+v", p)
		}
	})
}
