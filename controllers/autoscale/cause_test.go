package autoscale

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// scene is what a fleet of 10 edges hears in one second, before noise.
type scene struct {
	offered, distinct, inFlight float64 // distinct: missing keys, as a part of the requests
	silent                      int     // edges that are heard no more
}

// act plays a minute of calm and then each scene for a number of seconds, and
// returns the latest decision of each.
func act(t *testing.T, p policy.Policy, scenes []scene, lasts int) (out []Decision) {
	t.Helper()
	const edges, calm = 10, 60
	r := rand.New(rand.NewPCG(5, 6))
	var s State
	var d Decision
	spec, now := edges, start
	for i := range calm + lasts*len(scenes) {
		at := scene{offered: 900, distinct: 0.05, inFlight: 9}
		if i >= calm {
			at = scenes[(i-calm)/lasts]
		}
		now = now.Add(time.Second)
		l := Load{Signal: Live, Offered: poisson(r, at.offered), SpecReplicas: spec, ReadyReplicas: edges - at.silent, Known: edges, Live: edges - at.silent}
		l.Ended, l.InFlight = l.Offered, poisson(r, at.inFlight)
		l.Misses = poisson(r, at.distinct*l.Offered)
		l.Distinct = l.Misses
		l.Heard = l.Offered
		if at.silent > 0 {
			l.Signal = Partial
			l.Offered += 90 * float64(at.silent) // the last word of the silent ones is kept
		}
		d, s = Decide(p, l, s, now)
		spec = d.To
		if i >= calm && (i-calm)%lasts == lasts-1 {
			out = append(out, d)
		}
	}
	return out
}

func TestOnlyAnAudienceBuysReplicas(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "100"})
	for _, tc := range []struct {
		name     string
		scene    scene
		cause    Cause
		low, top int // edges after 20 s of it
		reason   string
	}{
		{"nothing", scene{900, 0.05, 9, 0}, CauseNone, 10, 10, "stable: "},
		{"audience", scene{2700, 0.05, 27, 0}, CauseAudience, 27, 30, ""},
		{"audience with some new keys", scene{2700, 0.15, 40, 0}, CauseAudience, 25, 30, ""},
		{"scan", scene{2700, 0.68, 60, 0}, CauseScan, 10, 12, "; cause scan: "},
		{"scan within an audience", scene{4500, 0.42, 90, 0}, CauseScan, 26, 33, "; cause scan: "},
		{"audience after a purge", scene{2700, 0.2, 40, 0}, CauseAudience, 22, 30, ""},
		{"slow origin", scene{900, 0.05, 400, 0}, CauseSlowOrigin, 10, 10, "; cause slow origin: "},
		{"edge loss", scene{900, 0.05, 9, 4}, CauseEdgeLoss, 13, 14, "; cause edge loss: 4 edges fell silent and their clients went to the others"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := act(t, p, []scene{tc.scene}, 20)[0]
			if d.Inputs.Cause != tc.cause || d.To < tc.low || d.To > tc.top || !strings.Contains(d.Reason, tc.reason) {
				t.Errorf("cause %q, %d edges; want %q, %d to %d\n%s", d.Inputs.Cause, d.To, tc.cause, tc.low, tc.top, d.Reason)
			}
		})
	}
}

// Muted edges go on serving: the others hear no more than before.
func TestMutedEdgesAreNoLoss(t *testing.T) {
	p := parse(t, nil)
	before := ordinary{known: true, vitals: vitals{offered: 900, perEdge: 90}}
	l := Load{Signal: Partial, Offered: 900, Heard: 540, Known: 10, Live: 6, ReadyReplicas: 10}
	if v := classify(&p, &l, signs(&l, before.vitals), before, 1); v.cause != CauseNone || v.lost != 0 || v.rate != 900 {
		t.Errorf("%+v", v)
	}
}

func TestACauseDoesNotStarveAnAudienceForEver(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "100"})
	scan := scene{2700, 0.68, 60, 0}
	d := act(t, p, []scene{scan, scan}, int(causeLasts.Seconds())-10)
	if d[0].To > 12 || d[1].To < 25 {
		t.Errorf("%d edges after half an hour of a scan, %d after an hour", d[0].To, d[1].To)
	}
}

// The larger of the metrics counts and is named; requests that wait for the
// origin do not count as busy edges.
func TestTheBusiestMetricWins(t *testing.T) {
	p := parse(t, map[string]string{"max-replicas": "100", "target-in-flight-per-edge": "50", "target-mbps-per-edge": "400"})
	for _, tc := range []struct {
		load   Load
		metric Metric
		to     int
	}{
		{Load{Offered: 850, InFlight: 100, Egress: 800}, MetricOffered, 9},
		{Load{Offered: 850, InFlight: 700, Egress: 800}, MetricInFlight, 14},
		{Load{Offered: 850, InFlight: 100, Egress: 8000}, MetricEgress, 20},
	} {
		var d Decision
		var s State
		for i := range 12 {
			l := tc.load
			l.Signal, l.SpecReplicas = Live, 5
			d, s = Decide(p, l, s, start.Add(time.Duration(i)*time.Second))
		}
		if d.Inputs.Metric != tc.metric || d.To != tc.to {
			t.Errorf("%+v: %d edges by %q, want %d by %q: %s", tc.load, d.To, d.Inputs.Metric, tc.to, tc.metric, d.Reason)
		}
	}
	d := act(t, p, []scene{{900, 0.05, 2000, 0}}, 20)[0]
	if d.Inputs.Cause != CauseSlowOrigin || d.To != 10 {
		t.Errorf("a slow origin asks for %d edges: %s", d.To, d.Reason)
	}
}

// More of one cause never asks for fewer edges: the verdict may change, the
// load that counts does not fall.
func TestCausesAreMonotoneInTheLoad(t *testing.T) {
	p := policy.Default("edge")
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 13))
		before := ordinary{known: true, vitals: vitals{offered: r.Float64() * 3000, distinct: r.Float64() * 0.3, residence: 0.01, perEdge: 100}}
		l := Load{Signal: Live, Offered: before.offered * 4 * r.Float64(), Ended: 1000, ReadyReplicas: 10}
		l.Misses = 1000 * r.Float64()
		l.Distinct = l.Misses * r.Float64()
		less := classify(&p, &l, signs(&l, before.vitals), before, 1)
		l.Offered *= 1 + r.Float64()*r.Float64()*r.Float64()
		more := classify(&p, &l, signs(&l, before.vitals), before, 1)
		// The noise that is forgiven grows with the root of the load, and shrinks as what stands out of it grows.
		if more.rate < 0.95*less.rate {
			t.Fatalf("seed %d: %.0f, then %.0f rps count: %+v", seed, less.rate, more.rate, l)
		}
	}
}

// Whatever is seen of causes and metrics, what always holds goes on to hold.
func TestPropertiesHoldUnderEveryCause(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 19))
		p := somePolicy(t, r)
		p.TargetInFlightPerEdge, p.TargetMbpsPerEdge = float64(r.IntN(2)*50), float64(r.IntN(2)*400)
		s, now, spec := past(r, p)
		some := func(offered float64) Load {
			known := 1 + r.IntN(30)
			return Load{
				Signal: []Signal{Live, Partial, Blind}[r.IntN(3)], Offered: offered, Window: 0.25 + r.Float64(),
				InFlight: offered * r.Float64() * r.Float64(), Egress: offered * 5 * r.Float64(),
				Ended: offered, Misses: offered * r.Float64(), Distinct: offered * r.Float64() * r.Float64(),
				Known: known, Live: r.IntN(known + 1), Heard: offered * r.Float64(), SpecReplicas: spec, ReadyReplicas: r.IntN(spec + 1),
			}
		}
		rate := r.Float64() * 5000
		for range 40 {
			now = now.Add(time.Duration(1+r.IntN(1500)) * time.Millisecond)
			if r.IntN(10) == 0 {
				rate = r.Float64() * 5000
			}
			l := some(rate)
			d, next := Decide(p, l, s, now)
			again, _ := Decide(p, l, s, now)
			third, _ := Decide(p, l, next, now)
			switch {
			case again.To != d.To || again.Reason != d.Reason || third.To != d.To:
				t.Fatalf("seed %d: asked again, answered otherwise: %s\n%s\n%s", seed, d.Reason, again.Reason, third.Reason)
			case d.To != d.From && (d.To < p.MinReplicas || d.To > p.MaxReplicas):
				t.Fatalf("seed %d: %d is outside %d and %d: %s", seed, d.To, p.MinReplicas, p.MaxReplicas, d.Reason)
			case d.To < d.From && l.Signal != Live:
				t.Fatalf("seed %d: scale-in on %s: %s", seed, l.Signal, d.Reason)
			case len(d.Reason) > 1024 || strings.Contains(d.Reason, "NaN"):
				t.Fatalf("seed %d: %s", seed, d.Reason)
			}
			more := l
			more.Egress *= 1 + r.Float64()
			if higher, _ := Decide(p, more, s, now); higher.To < d.To {
				t.Fatalf("seed %d: more egress asks for less\n%s\n%s", seed, d.Reason, higher.Reason)
			}
			s, spec = next, d.To
		}
	}
}
