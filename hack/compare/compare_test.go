package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// play runs one line of the command and returns its rows by scaler.
func play(t *testing.T, args ...string) map[string]simulate.Score {
	t.Helper()
	c, err := parseFlags(args)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.run(t)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]simulate.Score{}
	for _, r := range rows {
		out[r.Scaler] = r.Score
	}
	return out
}

// What the others do on a step is known from their constants. If one of these
// fails, the harness drives them wrongly.
func TestTheOthersBehaveAsTheirConstantsSay(t *testing.T) {
	step := play(t, "--synthetic", "step", "--base", "100", "--k", "10", "--capacity", "10", "--only", "hpa,hpa-tuned,kpa")
	if n := step["hpa"].NeedWrite; n == nil || *n < 45 || *n > 75 {
		t.Errorf("the HPA doubles every 15 s, so ten times takes 45 to 75 s: %v", value(n))
	}
	if n := step["hpa-tuned"].NeedWrite; n == nil || *n > 17 {
		t.Errorf("without a limit the HPA needs one beat of 15 s: %v", value(n))
	}
	if n := step["kpa"].NeedWrite; n == nil || *n > 8 {
		t.Errorf("Knative panics above ×2 and is there within its 6 s window: %v", value(n))
	}
	small := play(t, "--synthetic", "step", "--k", "1.5", "--only", "kpa")["kpa"]
	if n := small.NeedWrite; n == nil || *n < 20 {
		t.Errorf("below ×2 Knative has only its 60 s mean: %v", value(n))
	}
	burst := play(t, "--synthetic", "exodus", "--base", "10000", "--k", "0.05", "--only", "hpa")["hpa"]
	if n := burst.FirstWrite; n == nil || *n < 300 {
		t.Errorf("the HPA waits 5 minutes before it removes: %v", value(n))
	}
}

func TestNobodyScalesInOnSilence(t *testing.T) {
	for name, score := range play(t, "--synthetic", "silence", "--k", "3", "--only", "hpa,rapid,balanced,steady") {
		if score.SilentScaleIns != 0 {
			t.Errorf("%s made %d scale-ins on missing data", name, score.SilentScaleIns)
		}
	}
}

// Baselines that were measured with the same code in another harness, on the
// flash of 12 May 1998. The width is that of seeds and of the phase of the beat.
func TestBaselinesOfTheFlashAreReproduced(t *testing.T) {
	data := os.Getenv("SURGEWALL_TRACES")
	file := filepath.Join(data, "worldcup98", "1998-05-12-flash.csv")
	if _, err := os.Stat(file); data == "" || err != nil {
		message := "NOT TESTED: no worldcup98/1998-05-12-flash.csv; set SURGEWALL_TRACES to the directory of recorded traces " +
			"(minute counts of the World Cup 98 logs with the header period,count)"
		if os.Getenv("SURGEWALL_REQUIRE_ALL") == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	rows := play(t, "--trace", file, "--from", "1998-05-12 05:30:00", "--to", "1998-05-12 08:00:00", "--capacity", "10",
		"--only", "hpa,hpa-tuned,hpa-5s,hpa-30s,kpa")
	for name, want := range map[string]struct{ overload, podHours float64 }{
		"hpa": {0.65, 33.0}, "hpa-tuned": {0.74, 20.0}, "hpa-5s": {0.96, 30.6}, "hpa-30s": {4.06, 29.2}, "kpa": {1.83, 17.0},
	} {
		got := rows[name]
		if math.Abs(100*got.OverloadRatio/want.overload-1) > 0.3 || math.Abs(got.PodHours/want.podHours-1) > 0.05 {
			t.Errorf("%s: %.3f %% overload at %.1f pod-hours, measured before: %.2f %% at %.1f", name, 100*got.OverloadRatio, got.PodHours, want.overload, want.podHours)
		}
	}
}

func TestTheTableNamesEveryScaler(t *testing.T) {
	c, err := parseFlags([]string{"--synthetic", "burst"})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := c.run(t)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c.print(&out, rows)
	for _, s := range scalers {
		if strings.Count(out.String(), s.name) < 2 {
			t.Errorf("%s has no row and no explanation", s.name)
		}
	}
}

func TestBadFlagsSaySo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(file, []byte("time,count\n0,1\n60,x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                               "exactly one of --trace, --synthetic and --suite is needed",
		"--trace a --synthetic step":     "exactly one of --trace, --synthetic and --suite is needed",
		"--suite --synthetic step":       "--suite brings its own traces: it goes with neither --trace nor --synthetic",
		"--synthetic wave":               `--synthetic: "wave" is not one of step, burst, square, ramp, exodus, day, silence`,
		"--synthetic step -o xml":        `-o: "xml" is not table or json`,
		"--synthetic step --only vpa":    `--only: "vpa" is not one of hpa, hpa-tuned, hpa-5s, hpa-30s, kpa, bound, oracle, rapid, balanced, steady`,
		"--trace " + file:                file + `: line 3: count: "x" is not a number from 0 to 1e12`,
		"--synthetic step --capacity -1": "--capacity: -1 is not above 0 requests per second",
	} {
		c, err := parseFlags(strings.Fields(args))
		if err == nil {
			_, err = c.run(t)
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", args, err, want)
		}
	}
}

func TestTheBoundsReactAtOnce(t *testing.T) {
	trace := simulate.Step(1000, 3, time.Minute, time.Minute, 1)
	o := simulate.Options{Capacity: 100, PodStart: 10 * time.Second, Min: 1}
	score, err := simulate.Run(trace, o, newReactive(70, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if score.NeedWrite == nil || *score.NeedWrite != 0 {
		t.Errorf("the reactive bound wrote the need after %v s", value(score.NeedWrite))
	}
	score, err = simulate.Run(trace, o, newOracle(70, trace, 12*time.Second, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if score.OverloadRatio != 0 {
		t.Errorf("the oracle let %g of the requests overload the fleet", score.OverloadRatio)
	}
}

func value(p *float64) any {
	if p == nil {
		return "never"
	}
	return *p
}
