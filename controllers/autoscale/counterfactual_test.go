package autoscale

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestACounterfactualSaysWhatAnotherThresholdHadDecided(t *testing.T) {
	p := parse(t, map[string]string{"target-rps-per-edge": "7", "max-replicas": "200"})
	r := rand.New(rand.NewPCG(1, 1))
	var before, next State
	var l Load
	var d Decision
	now := start
	for d.Path != PathSpike || d.To == d.From {
		if now = now.Add(time.Second); now.Sub(start) > 100*time.Second {
			t.Fatal("no spike")
		}
		// A ramp: the ratio decides how soon it is extended over the start of a pod.
		at := now.Sub(start).Seconds()
		l = Load{Signal: Live, Offered: poisson(r, 180+20*max(at-60, 0)), SpecReplicas: 40}
		before = next
		d, next = Decide(p, l, before, now)
	}
	found := Counterfactuals(p, l, before, now)
	i := slices.IndexFunc(found, func(c Counterfactual) bool { return c.Key == "spike-ratio" && c.To == 40 })
	if i < 0 {
		t.Fatalf("nothing about spike-ratio among %v", found)
	}
	if got, want := found[i].String(), "with spike-ratio "+found[i].Value+" it would have stayed at 40"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, c := range found {
		other := p.Values()
		other[c.Key] = c.Value
		if again, _ := Decide(parse(t, other), l, before, now); again.To != c.To || c.To == d.To {
			t.Errorf("%v, but with that value it is %d", c, again.To)
		}
	}
}

// Every counterfactual is a value that the policy accepts, and is what Decide
// says with it.
func TestCounterfactualsAreDecisions(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 17))
		p := somePolicy(t, r)
		s, now, spec := past(r, p)
		now = now.Add(time.Second)
		l := Load{Signal: Live, Offered: r.Float64() * 5000, SpecReplicas: spec}
		d, _ := Decide(p, l, s, now)
		for _, c := range Counterfactuals(p, l, s, now) {
			other := p.Values()
			other[c.Key] = c.Value
			if again, _ := Decide(parse(t, other), l, s, now); again.To != c.To || c.To == d.To || c.From != d.From {
				t.Fatalf("seed %d: decided %d; %v, but with that value it is %d", seed, d.To, c, again.To)
			}
		}
	}
}

func BenchmarkCounterfactuals(b *testing.B) {
	p := parse(b, map[string]string{"max-replicas": "200"})
	f := newFleet(b, p, 10, 10, step(60, 900, 1600))
	f.run(0, 60.75)
	b.ReportAllocs()
	for b.Loop() {
		Counterfactuals(p, Load{Signal: Live, Offered: 1600, SpecReplicas: 10}, f.state, start.Add(61*time.Second))
	}
}
