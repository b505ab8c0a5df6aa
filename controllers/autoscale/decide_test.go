package autoscale

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

var start = time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)

func parse(t testing.TB, data map[string]string) policy.Policy {
	t.Helper()
	p, err := policy.Parse("edge", data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fleet drives Decide as a controller would: edges report once a second, each
// at its own phase, a decision is made every 250 ms, and each one is carried out
// at once.
type fleet struct {
	t      testing.TB
	policy policy.Policy
	rate   func(seconds float64) float64 // offered to the whole fleet
	edges  int
	random *rand.Rand
	signal func(seconds float64) Signal

	state     State
	spec      int
	reported  []float64
	decisions []Decision
}

func newFleet(t testing.TB, p policy.Policy, edges, spec int, rate func(float64) float64) *fleet {
	return &fleet{
		t: t, policy: p, edges: edges, spec: spec, rate: rate,
		random: rand.New(rand.NewPCG(1, 2)), reported: make([]float64, edges),
		signal: func(float64) Signal { return Live },
	}
}

func poisson(r *rand.Rand, mean float64) float64 {
	if mean > 50 {
		return max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
	}
	limit, product, n := math.Exp(-mean), r.Float64(), 0.0
	for product > limit {
		product *= r.Float64()
		n++
	}
	return n
}

const tick = 0.25

func (f *fleet) run(from, to float64) {
	f.t.Helper()
	for s := from; s < to; s += tick {
		for i := range f.edges {
			phase := float64(i) / float64(f.edges)
			if math.Mod(s-phase+1e9, 1) < tick || s == 0 {
				// The window is the second before; its mean rate is close to that at its middle.
				f.reported[i] = poisson(f.random, (f.rate(s-1)+f.rate(s-0.5)+f.rate(s))/3/float64(f.edges))
			}
		}
		var sum float64
		for _, r := range f.reported {
			sum += r
		}
		d, next := Decide(f.policy, Load{Signal: f.signal(s), Offered: sum, SpecReplicas: f.spec}, f.state, start.Add(time.Duration(s*float64(time.Second))))
		f.state = next
		if d.To != f.spec {
			f.decisions = append(f.decisions, d)
		}
		f.spec = d.To
	}
}

func (f *fleet) log() string {
	var b strings.Builder
	for _, d := range f.decisions {
		fmt.Fprintf(&b, "%6.2fs %d -> %d %s %v: %s\n", d.At.Sub(start).Seconds(), d.From, d.To, d.Path, d.Limits, d.Reason)
	}
	return b.String()
}

func step(at, before, after float64) func(float64) float64 {
	return func(s float64) float64 {
		if s < at {
			return before
		}
		return after
	}
}

func TestAStepIsFollowedWithinASecond(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "200"})
	for _, k := range []float64{1.5, 2, 3, 5, 10} {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			f := newFleet(t, p, 10, 10, step(60, 900, 900*k))
			f.run(0, 60)
			if len(f.decisions) > 0 {
				t.Fatalf("changed before the step:\n%s", f.log())
			}
			f.run(60, 80)
			if len(f.decisions) == 0 {
				t.Fatal("the step was not followed")
			}
			if first := f.decisions[0].At.Sub(start).Seconds() - 60; first > 1 {
				t.Errorf("first raise %.2f s after the step:\n%s", first, f.log())
			}
			need := int(math.Ceil(9 * k))
			full := slices.IndexFunc(f.decisions, func(d Decision) bool { return float64(d.To) >= 0.9*float64(need) })
			if full < 0 || f.decisions[full].At.Sub(start).Seconds() > 62 {
				t.Errorf("nine tenths of %d edges were not asked for within 2 s:\n%s", need, f.log())
			}
			if f.spec > need*13/10+1 {
				t.Errorf("a step was extrapolated to %d edges where %d are needed:\n%s", f.spec, need, f.log())
			}
		})
	}
}

func TestASmallLastingStepIsFollowed(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "200", "tolerance": "0.05"})
	f := newFleet(t, p, 20, 10, step(60, 1000, 1300))
	f.run(0, 64)
	if len(f.decisions) == 0 || f.decisions[0].Path != PathShift {
		t.Errorf("a lasting rise of 1.3 was not followed within 4 s:\n%s", f.log())
	}
}

func TestARampIsExtrapolatedOverThePodStart(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "100"})
	ramp := func(s float64) float64 { return 500 + 4500*min(max(s-60, 0)/20, 1) } // ×10 in 20 s
	f := newFleet(t, p, 5, 5, ramp)
	f.run(0, 66)
	if len(f.decisions) == 0 || f.decisions[0].At.Sub(start) > 63*time.Second {
		t.Fatalf("not detected in 3 s:\n%s", f.log())
	}
	// At 66 s the load is 1850 rps; the edges that are asked for now serve at 76 s, when it is 4100.
	if f.spec < 26 || !slices.ContainsFunc(f.decisions, func(d Decision) bool { return d.Inputs.Slope > 0 }) {
		t.Errorf("%d edges are asked for: the ramp was not extrapolated:\n%s", f.spec, f.log())
	}
	f.run(66, 120)
	if f.spec < 50 || f.spec > 85 {
		t.Errorf("%d edges at the end of the ramp where 50 are needed:\n%s", f.spec, f.log())
	}
}

func TestPoissonNoiseChangesNothing(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "200", "min-replicas": "1", "scale-down-hold": "1m"})
	for _, rps := range []float64{0, 0.5, 5, 95, 450, 2000} {
		t.Run(fmt.Sprint(rps), func(t *testing.T) {
			f := newFleet(t, p, 4, max(1, int(math.Ceil(rps/100))), step(0, rps, rps))
			f.run(0, 3600)
			if len(f.decisions) > 0 {
				t.Errorf("flaps on noise:\n%s", f.log())
			}
		})
	}
}

func TestScaleInAfterTheHoldAndInSteps(t *testing.T) {
	p := parse(t, map[string]string{"stable-window": "10s", "scale-down-hold": "5m", "scale-down-max-step": "50%"})
	f := newFleet(t, p, 4, 10, step(400, 950, 150))
	f.run(0, 460) // a fifth of the hold
	if len(f.decisions) > 0 {
		t.Fatalf("changed within the hold:\n%s", f.log())
	}
	f.run(460, 760)
	var path []int
	for i, d := range f.decisions {
		path = append(path, d.To)
		if d.From-d.To > 5 {
			t.Errorf("a step of %d edges", d.From-d.To)
		}
		if i > 0 && d.At.Sub(f.decisions[i-1].At) < downPause {
			t.Errorf("two steps within %v", d.At.Sub(f.decisions[i-1].At))
		}
	}
	if len(path) == 0 || len(path) > 5 || path[len(path)-1] != 2 {
		t.Errorf("edges went %v, want a few steps down to 2:\n%s", path, f.log())
	}
}

// What comes back again and again is kept edges for, once that is clear.
func TestAWaveIsKeptEdgesForOnceItIsKnown(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "60"})
	f := newFleet(t, p, 4, 20, func(s float64) float64 {
		if math.Mod(s, 600) < 300 {
			return 1900
		}
		return 4800
	})
	f.run(0, 6*600)
	var late int
	for _, d := range f.decisions {
		if d.At.Sub(start) > 2500*time.Second {
			late++
		}
	}
	if late > 0 || f.spec < 48 {
		t.Errorf("%d changes after four waves:\n%s", late, f.log())
	}
}

// The interval is what it says, on the noise of a fleet that nothing happens to:
// asked once a second it is twice as long, and in controllers/simulate, where
// reports come as they do to the controller, once.
func TestEvidenceThresholdGivesTheInterval(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const interval, runs = 5 * time.Minute, 150
	threshold, total := evidenceThreshold(interval), 0
	for range runs {
		var recent history
		for i := range 6000 {
			recent = recent.add(sample{at: int64(i) * int64(time.Second), rate: poisson(r, 2000), weight: 1}, pointsWithin)
			if i < 60 {
				continue
			}
			total++
			if detect(recent.points(make([]point, 0, maxPoints)), 1).evidence > threshold {
				break
			}
		}
	}
	if mean := total / runs; mean < 450 || mean > 800 {
		t.Errorf("an alarm every %d s on average, want about 600", mean)
	}
}

// A fleet that was loaded a moment ago has to notice the next spike as quickly
// as the first: the level must have followed the fall, and the fall must not have
// been learned as noise.
func TestASpikeSoonAfterAFallIsFollowedWithinASecond(t *testing.T) {
	p := parse(t, map[string]string{"preset": "rapid", "target-rps-per-edge": "80", "max-replicas": "6",
		"stable-window": "6s", "scale-down-hold": "8s", "scale-down-max-step": "100%"})
	for _, calm := range []float64{12, 20, 45} {
		at := 60.0
		rate := func(s float64) float64 {
			switch {
			case s < 30:
				return 40
			case s < 60:
				return 320
			case s < 60+calm:
				return 40
			}
			return 240
		}
		f := newFleet(t, p, 4, 2, rate)
		f.run(0, at+calm)
		before := len(f.decisions)
		f.run(at+calm, at+calm+10)
		if len(f.decisions) == before && f.spec < 3 {
			t.Fatalf("after %v s of calm the second spike was not followed:\n%s", calm, f.log())
		}
		for _, d := range f.decisions[before:] {
			if d.To > d.From {
				if late := d.At.Sub(start).Seconds() - (at + calm); late > 1.5 {
					t.Errorf("after %v s of calm the second spike was followed after %.2f s:\n%s", calm, late, f.log())
				}
				break
			}
		}
	}
}

// A hold of seconds holds wholly: nothing is given back before it is over.
func TestAShortHoldHoldsWholly(t *testing.T) {
	p := parse(t, map[string]string{"preset": "rapid", "target-rps-per-edge": "80", "max-replicas": "8",
		"stable-window": "6s", "scale-down-hold": "8s", "scale-down-max-step": "100%"})
	f := newFleet(t, p, 4, 2, func(s float64) float64 {
		if s >= 60 && s < 64 {
			return 560
		}
		return 240
	})
	f.run(0, 90)
	for _, d := range f.decisions {
		if at := d.At.Sub(start).Seconds(); d.To < d.From && at > 60 && at < 71.5 {
			t.Errorf("scaled in %.1f s after the end of a spike that is held for 8 s:\n%s", at-64, f.log())
		}
	}
	if f.spec >= 7 {
		t.Errorf("still %d edges long after the hold:\n%s", f.spec, f.log())
	}
}

// With a stable-window below ten seconds the mean is trusted as soon as the
// window is nearly full.
func TestAShortStableWindowIsTrusted(t *testing.T) {
	p := parse(t, map[string]string{"target-rps-per-edge": "80", "max-replicas": "8", "stable-window": "6s", "scale-down-hold": "8s"})
	f := newFleet(t, p, 6, 6, func(float64) float64 { return 417 })
	f.run(0, 120)
	if f.spec != 6 {
		t.Errorf("417 rps at 80 rps run on %d edges, want 6:\n%s", f.spec, f.log())
	}
}

func TestSilenceIsNotZero(t *testing.T) {
	p := parse(t, map[string]string{"stable-window": "5s", "scale-down-hold": "10s", "scale-down-max-step": "100%"})
	for _, signal := range []Signal{Partial, Blind} {
		f := newFleet(t, p, 4, 10, step(60, 950, 0))
		f.signal = func(s float64) Signal {
			if s >= 60 {
				return signal
			}
			return Live
		}
		f.run(0, 600)
		if f.spec != 10 {
			t.Errorf("%s: %d edges are left:\n%s", signal, f.spec, f.log())
		}
		// When the signal is back and the load really gone, edges go after a hold.
		f.signal = func(float64) Signal { return Live }
		f.run(600, 608)
		if f.spec != 10 && signal == Blind {
			t.Errorf("no warm-up after the signal came back:\n%s", f.log())
		}
		f.run(608, 660)
		if f.spec != 2 {
			t.Errorf("%d edges without any load:\n%s", f.spec, f.log())
		}
	}
}

func TestARestartInTheMiddleOfASpikeKeepsTheEdges(t *testing.T) {
	p := parse(t, map[string]string{"scale-down-hold": "1m", "scale-down-max-step": "100%"})
	f := newFleet(t, p, 4, 12, step(0, 400, 400)) // asked for more than the load needs now
	f.run(0, 55)
	if f.spec != 12 {
		t.Errorf("a controller that just started removed edges:\n%s", f.log())
	}
	f.run(55, 75)
	if f.spec > 5 {
		t.Errorf("%d edges after the hold:\n%s", f.spec, f.log())
	}
}

func TestSomebodyElsesRaiseIsKeptForAHold(t *testing.T) {
	f := newFleet(t, parse(t, map[string]string{"scale-down-hold": "1m", "scale-down-max-step": "100%"}), 4, 4, step(0, 390, 390))
	f.run(0, 100)
	f.spec = 12
	f.run(100, 159)
	if f.spec != 12 {
		t.Errorf("a raise by hand was undone at once:\n%s", f.log())
	}
	f.run(159, 180)
	if f.spec != 4 {
		t.Errorf("%d edges after the hold:\n%s", f.spec, f.log())
	}
}

// Times that come with the wall clock alone may go back. What is known is of
// another time then, and what runs is kept as after a start.
func TestAClockThatIsSetBackMakesNobodyDeaf(t *testing.T) {
	for _, back := range []time.Duration{7 * time.Second, time.Hour} {
		p := parse(t, map[string]string{"max-replicas": "100"})
		r := rand.New(rand.NewPCG(3, 4))
		var s State
		var d Decision
		spec := 10
		play := func(seconds int, from time.Time, rate float64) {
			for i := range seconds {
				d, s = Decide(p, Load{Signal: Live, Offered: poisson(r, rate), SpecReplicas: spec}, s, from.Add(time.Duration(i)*time.Second))
				spec = d.To
			}
		}
		play(90, start, 900)
		later := start.Add(90*time.Second - back)
		play(60, later, 800)
		if spec != 10 {
			t.Errorf("back by %s: %d edges of 10 are kept: %s", back, spec, d.Reason)
		}
		later = later.Add(time.Minute)
		play(3, later, 2700)
		if spec < 25 {
			t.Errorf("back by %s: %d edges after a step to 2700 rps: %s", back, spec, d.Reason)
		}
		play(900, later.Add(3*time.Second), 800)
		if spec > 12 {
			t.Errorf("back by %s: %d edges a quarter of an hour after the spike: %s", back, spec, d.Reason)
		}
	}
}

func TestPartialSignalStillRaises(t *testing.T) {
	f := newFleet(t, parse(t, nil), 4, 5, step(60, 450, 1500))
	f.signal = func(s float64) Signal {
		if s > 55 {
			return Partial
		}
		return Live
	}
	f.run(0, 63)
	if f.spec < 14 {
		t.Errorf("%d edges for 1500 rps:\n%s", f.spec, f.log())
	}
}

func TestLimitsAndReasons(t *testing.T) {
	type data = map[string]string
	steady := func(l Load, p policy.Policy) Decision {
		var d Decision
		var s State
		for i := range 5 {
			d, s = Decide(p, l, s, start.Add(time.Duration(i)*time.Second))
		}
		return d
	}
	for _, tc := range []struct {
		name   string
		data   data
		load   Load
		to     int
		path   Path
		limits []Limit
		reason string
	}{
		{"enough", nil, Load{Signal: Live, Offered: 450, SpecReplicas: 5}, 5, PathStable, nil,
			"stable: 450 rps over 5s needs 5 edges at 100 rps"},
		{"within the tolerance", nil, Load{Signal: Live, Offered: 540, SpecReplicas: 5}, 5, PathStable, []Limit{LimitTolerance},
			"stable: 540 rps over 5s needs 6 edges at 100 rps; limited by tolerance 0.18"},
		{"raise", nil, Load{Signal: Live, Offered: 850, SpecReplicas: 5}, 9, PathStable, nil,
			"stable: 850 rps over 5s needs 9 edges at 100 rps"},
		{"ceiling", data{"max-replicas": "7"}, Load{Signal: Live, Offered: 850, SpecReplicas: 5}, 7, PathStable, []Limit{LimitMax},
			"stable: 850 rps over 5s needs 9 edges at 100 rps; limited by max-replicas 7"},
		{"step up", data{"scale-up-max-step": "2"}, Load{Signal: Live, Offered: 850, SpecReplicas: 5}, 7, PathStable, []Limit{LimitStepUp},
			"stable: 850 rps over 5s needs 9 edges at 100 rps; limited by scale-up-max-step 2"},
		{"from one to the floor", nil, Load{Signal: Live, Offered: 10, SpecReplicas: 1}, 2, PathBounds, []Limit{LimitMin},
			"bounds: 1 edge asked for, outside min-replicas 2 and max-replicas 20"},
		{"to the floor without a signal", data{"min-replicas": "4"}, Load{Signal: Blind, SpecReplicas: 1}, 4, PathBounds, []Limit{LimitMin, LimitSignalBlind},
			"bounds: 1 edge asked for, outside min-replicas 4 and max-replicas 20"},
		{"above the ceiling", data{"max-replicas": "7"}, Load{Signal: Live, Offered: 100, SpecReplicas: 30}, 7, PathBounds, []Limit{LimitMin, LimitWarmUp},
			"bounds: 30 edges asked for, outside min-replicas 2 and max-replicas 7"},
		{"warm-up", nil, Load{Signal: Live, Offered: 250, SpecReplicas: 8}, 8, PathHold, []Limit{LimitWarmUp},
			"hold: what runs is kept for 6m after a start, a gap of the signal or a foreign raise, 4s of it passed; 236 rps needs 3 edges at 100 rps"},
		{"off", nil, Load{Signal: Live, Offered: 850, SpecReplicas: 0}, 0, PathFreeze, []Limit{LimitScaledToZero},
			"freeze: the Deployment is scaled to zero and stays so until somebody scales it up"},
		{"paused", data{"pause": "scale-up"}, Load{Signal: Live, Offered: 850, SpecReplicas: 5}, 5, PathFreeze, []Limit{LimitPause},
			"freeze: the policy pauses changes (pause: scale-up)"},
		{"pinned", data{"hold-replicas": "12", "hold-until": "2026-06-14T21:00:00Z"}, Load{Signal: Live, Offered: 850, SpecReplicas: 5}, 12, PathPin, nil,
			"pin: hold-replicas is 12 until 2026-06-14T21:00:00Z"},
		{"blind", nil, Load{Signal: Blind, SpecReplicas: 5}, 5, PathFreeze, []Limit{LimitMin, LimitWarmUp, LimitSignalBlind},
			"freeze: the signal is BLIND: replicas stay as they are"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := steady(tc.load, parse(t, tc.data))
			if d.To != tc.to || d.Path != tc.path || !slices.Equal(d.Limits, tc.limits) {
				t.Errorf("to %d by %s %v, want %d by %s %v", d.To, d.Path, d.Limits, tc.to, tc.path, tc.limits)
			}
			if tc.reason != "" && d.Reason != tc.reason {
				t.Errorf("reason\n got %s\nwant %s", d.Reason, tc.reason)
			}
			if strings.Contains(d.Reason, "\n") || d.Reason == "" {
				t.Errorf("the reason is not one line: %q", d.Reason)
			}
		})
	}
}

// past brings a state into a random but possible shape.
func past(r *rand.Rand, p policy.Policy) (State, time.Time, int) {
	var s State
	now, spec, rate := start, 1+r.IntN(30), r.Float64()*3000
	for range r.IntN(200) {
		now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		switch r.IntN(12) {
		case 0:
			rate *= r.Float64() * 6
		case 1:
			spec = r.IntN(40)
		}
		var d Decision
		d, s = Decide(p, Load{Signal: []Signal{Live, Live, Live, Partial, Blind}[r.IntN(5)], Offered: poisson(r, min(rate, 1e6)), SpecReplicas: spec}, s, now)
		if r.IntN(2) == 0 {
			spec = d.To
		}
	}
	return s, now, spec
}

func somePolicy(t testing.TB, r *rand.Rand) policy.Policy {
	low := 1 + r.IntN(5)
	return parse(t, map[string]string{
		"preset":       []string{"rapid", "balanced", "steady"}[r.IntN(3)],
		"min-replicas": fmt.Sprint(low), "max-replicas": fmt.Sprint(low + r.IntN(40)),
		"scale-down-hold": fmt.Sprintf("%ds", r.IntN(100)), "pause": []string{"false", "false", "true", "scale-down", "scale-up"}[r.IntN(5)],
	})
}

func TestProperties(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 7))
		p := somePolicy(t, r)
		s, now, spec := past(r, p)
		now = now.Add(time.Duration(r.IntN(3000)) * time.Millisecond)
		l := Load{Signal: []Signal{Live, Partial, Blind}[r.IntN(3)], Offered: r.Float64() * 5000, SpecReplicas: spec}

		before := fmt.Sprintf("%+v", s)
		d, next := Decide(p, l, s, now)
		again, _ := Decide(p, l, s, now)
		if !reflect.DeepEqual(d, again) || fmt.Sprintf("%+v", s) != before {
			t.Fatalf("seed %d: asked twice, answered twice:\n%+v\n%+v", seed, d, again)
		}
		if third, _ := Decide(p, l, next, now); third.To != d.To {
			t.Fatalf("seed %d: the same instant decided twice: %d and %d\n%s\n%s", seed, d.To, third.To, d.Reason, third.Reason)
		}
		if d.To != d.From && (d.To < p.MinReplicas || d.To > p.MaxReplicas) {
			t.Fatalf("seed %d: %d is outside %d and %d: %s", seed, d.To, p.MinReplicas, p.MaxReplicas, d.Reason)
		}
		if d.To < d.From && l.Signal != Live {
			t.Fatalf("seed %d: scale-in on %s: %s", seed, l.Signal, d.Reason)
		}
		if d.To > d.From && l.Signal == Blind && d.To != p.MinReplicas {
			t.Fatalf("seed %d: scale-out without a signal: %s", seed, d.Reason)
		}
		more := l
		more.Offered *= 1 + r.Float64()*r.Float64()*3
		if higher, _ := Decide(p, more, s, now); higher.To < d.To {
			t.Fatalf("seed %d: %.1f rps ask for %d edges, %.1f rps for %d\n%s\n%s", seed, l.Offered, d.To, more.Offered, higher.To, d.Reason, higher.Reason)
		}
		if n := len(next.recent.past) + len(next.recent.middle) + len(next.recent.latest) + len(next.held.demand.closed) + len(next.kept.closed) + len(next.specs); n > 400 {
			t.Fatalf("seed %d: the state holds %d entries", seed, n)
		}
	}
}

func TestTheStateStaysSmallUnderAStormOfReports(t *testing.T) {
	p := parse(t, map[string]string{"stable-window": "2m", "scale-down-hold": "24h"})
	var s State
	for i := range 20000 {
		_, s = Decide(p, Load{Signal: Live, Offered: float64(20000 - i), SpecReplicas: 5}, s, start.Add(time.Duration(i)*7*time.Millisecond))
	}
	if len(s.recent.past)+len(s.recent.middle)+len(s.recent.latest) > 250 || len(s.held.demand.closed) > 2*buckets || len(s.kept.closed) > 2*buckets {
		t.Errorf("recent %v, held %d, kept %d", s.recent, len(s.held.demand.closed), len(s.kept.closed))
	}
}

func BenchmarkDecide(b *testing.B) {
	p := policy.Default("edge")
	f := newFleet(b, p, 4, 10, step(60, 950, 3000))
	f.run(0, 63)
	s, now := f.state, start.Add(63*time.Second)
	b.ReportAllocs()
	for b.Loop() {
		Decide(p, Load{Signal: Live, Offered: 3000, SpecReplicas: 20}, s, now)
	}
}
