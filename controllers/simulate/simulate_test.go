package simulate

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/policy"
)

// script is a scaler that says what it was told to, second by second, and
// remembers what it saw.
type script struct {
	says []int
	saw  []Observation
}

func (s *script) Tick(_ time.Time, o Observation) int {
	s.saw = append(s.saw, o)
	return s.says[min(len(s.saw), len(s.says))-1]
}

func flat(rates ...float64) Trace {
	t := Trace{Name: "flat", Start: epoch}
	for _, r := range rates {
		t.Seconds = append(t.Seconds, Second{Requests: r})
	}
	return t
}

func TestScoresAreWhatCanBeCountedByHand(t *testing.T) {
	trace := flat(10, 10, 40, 40, 40, 40, 10, 10)
	trace.Onset = &Onset{After: 2 * time.Second, Rate: 40}
	s := &script{says: []int{1, 1, 1, 3, 4, 4, 4, 1}}
	got, err := Run(trace, Options{Capacity: 10, Target: 10, PodStart: time.Second, SignalLag: time.Second}, s)
	if err != nil {
		t.Fatal(err)
	}
	// Ready: 1 1 1 1 3 4 4 1; demand: 1 1 4 4 4 4 1 1; replicas: 1 1 1 3 4 4 4 1.
	first, need := 1.0, 2.0
	want := Score{
		Requests: 200, OverloadRatio: 70.0 / 200, Under: (3.0/4 + 3.0/4 + 1.0/4) / 8, Over: 3.0 / 8, PodHours: 19.0 / 3600,
		Writes: 3, Reversals: 1, MaxReplicas: 4, Days: 8.0 / 86400, FirstWrite: &first, NeedWrite: &need,
	}
	if math.Abs(got.PodHours-want.PodHours) > 1e-12 {
		t.Errorf("%g pod-hours, want %g", got.PodHours, want.PodHours)
	}
	got.PodHours = want.PodHours
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestSignalIsAsOldAsItsLagAndScrape(t *testing.T) {
	tests := []struct {
		name        string
		lag, scrape time.Duration
		want        []float64 // -1: nothing fresh
	}{
		{"the second that ended", time.Second, 0, []float64{-1, 1, 2, 3, 4, 5, 6, 7}},
		{"the second that begins", 0, 0, []float64{1, 2, 3, 4, 5, 6, 7, 8}},
		{"two seconds earlier", 3 * time.Second, 0, []float64{-1, -1, -1, 1, 2, 3, 4, 5}},
		{"scraped every three", time.Second, 3 * time.Second, []float64{-1, -1, -1, 2, 2, 2, 5, 5}},
	}
	for _, test := range tests {
		s := &script{says: []int{1}}
		if _, err := Run(flat(1, 2, 3, 4, 5, 6, 7, 8), Options{Capacity: 10, SignalLag: test.lag, Scrape: test.scrape}, s); err != nil {
			t.Fatal(err)
		}
		for i, o := range s.saw {
			if o.Fresh != (test.want[i] >= 0) || (o.Fresh && o.Offered != test.want[i]) {
				t.Errorf("%s: second %d shows %+v, want %g", test.name, i, o, test.want[i])
			}
		}
	}
}

func TestSilenceHidesRequestsThatArrive(t *testing.T) {
	trace := flat(5, 5, 5, 5, 5, 5).Silence(2*time.Second, 2*time.Second)
	s := &script{says: []int{2, 2, 2, 2, 1, 1}}
	score, err := Run(trace, Options{Capacity: 10, Initial: 2, SignalLag: time.Second}, s)
	if err != nil {
		t.Fatal(err)
	}
	var fresh []bool
	for _, o := range s.saw {
		fresh = append(fresh, o.Fresh)
	}
	if want := []bool{false, true, true, false, false, true}; !reflect.DeepEqual(fresh, want) {
		t.Errorf("fresh %v, want %v", fresh, want)
	}
	if score.Requests != 30 || score.SilentScaleIns != 1 {
		t.Errorf("%g requests and %d scale-ins in silence, want 30 and 1", score.Requests, score.SilentScaleIns)
	}
}

func TestScaleInTakesStartingPodsFirst(t *testing.T) {
	p := newPods(2, 3*time.Second)
	p.scale(5, 0)
	p.scale(6, parts)
	p.scale(4, 2*parts) // the youngest and one of the three before
	if p.ready != 2 || p.replicas() != 4 {
		t.Fatalf("%d ready of %d", p.ready, p.replicas())
	}
	p.advance(2 * parts)
	if p.ready != 2 || p.seen != 0 {
		t.Fatalf("%d ready before their time", p.ready)
	}
	p.advance(3 * parts)
	if p.ready != 4 || p.seen != 3*time.Second {
		t.Fatalf("%d ready, start seen as %s", p.ready, p.seen)
	}
	p.scale(1, 4*parts)
	if p.ready != 1 || p.replicas() != 1 {
		t.Fatalf("%d ready of %d", p.ready, p.replicas())
	}
}

func TestOptionsThatDescribeNoFleet(t *testing.T) {
	tests := []struct {
		o    Options
		want string
	}{
		{Options{}, `simulating "flat": capacity: 0 is not above 0 requests per second`},
		{Options{Capacity: math.NaN()}, `simulating "flat": capacity: NaN is not above 0 requests per second`},
		{Options{Capacity: 1, Target: -1}, `simulating "flat": target: -1 is not above 0 requests per second`},
		{Options{Capacity: 1, Min: 3, Max: 2}, `simulating "flat": min and max: 3 and 2 are not 1 ≤ min ≤ max`},
		{Options{Capacity: 1, PodStart: -time.Second}, `simulating "flat": pod start: -1s is not a whole number of seconds from 0s to 1h`},
		{Options{Capacity: 1, SignalLag: time.Millisecond}, `simulating "flat": signal lag: 1ms is not a whole number of seconds from 0s to 1h`},
		{Options{Capacity: 1, Scrape: 2 * time.Hour}, `simulating "flat": scrape: 2h0m0s is not a whole number of seconds from 0s to 1h`},
		{Options{Capacity: 1, Initial: -1}, `simulating "flat": initial: -1 is not a number of replicas`},
	}
	for _, test := range tests {
		if _, err := Run(flat(1), test.o, &script{says: []int{1}}); err == nil || err.Error() != test.want {
			t.Errorf("%+v:\n got %v\nwant %s", test.o, err, test.want)
		}
	}
}

func TestRecordSeesEverySecond(t *testing.T) {
	var samples []Sample
	_, err := Run(flat(10, 30), Options{Capacity: 10, Target: 10, Initial: 1, PodStart: 5 * time.Second,
		Record: func(s Sample) { samples = append(samples, s) }}, &script{says: []int{1, 3}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Sample{
		{At: epoch, Requests: 10, Ready: 1, Replicas: 1},
		{At: epoch.Add(time.Second), Requests: 30, Overload: 20, Ready: 1, Replicas: 3},
	}
	if !reflect.DeepEqual(samples, want) {
		t.Errorf("got %+v", samples)
	}
}

func fleetPolicy(t testing.TB, keys map[string]string) policy.Policy {
	t.Helper()
	p, err := policy.Parse("edge", keys)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProductionFollowsAStepAndIsCalmOtherwise(t *testing.T) {
	p := fleetPolicy(t, map[string]string{"max-replicas": "500"})
	o := OptionsFor(p, p.TargetRPSPerEdge/0.7)
	o.PodStart, o.SignalLag = 10*time.Second, time.Second
	score, err := Run(Step(2000, 5, 10*time.Minute, 10*time.Minute, 1), o, NewProduction(p))
	if err != nil {
		t.Fatal(err)
	}
	if score.NeedWrite == nil || *score.NeedWrite > 3 {
		t.Errorf("the need of a step of 5 was not written within 3 s: %+v", score)
	}
	calm, err := Run(Synthetic("calm", 2*time.Hour, 1, func(time.Duration) float64 { return 2000 }), o, NewProduction(p))
	if err != nil {
		t.Fatal(err)
	}
	if calm.Writes > 2 || calm.OverloadRatio > 0 {
		t.Errorf("steady traffic led to %d writes and an overload of %g", calm.Writes, calm.OverloadRatio)
	}
}

func TestProductionNeverScalesInOnSilence(t *testing.T) {
	p := fleetPolicy(t, map[string]string{"max-replicas": "500", "scale-down-hold": "30s"})
	o := OptionsFor(p, p.TargetRPSPerEdge/0.7)
	o.PodStart, o.SignalLag = 10*time.Second, time.Second
	trace := Day(1000, 5000, 2*time.Hour, 2*time.Hour, 1).Silence(70*time.Minute, 30*time.Minute)
	blind := 0
	s := NewProduction(p)
	s.OnDecision = func(d autoscale.Decision) {
		if d.Inputs.Signal == autoscale.Blind {
			blind++
		}
	}
	score, err := Run(trace, o, s)
	if err != nil {
		t.Fatal(err)
	}
	if score.SilentScaleIns != 0 || blind < 29*60 {
		t.Errorf("%d scale-ins in silence, %d blind decisions", score.SilentScaleIns, blind)
	}
	again, err := Run(trace, o, NewProduction(p))
	if err != nil || !reflect.DeepEqual(score, again) {
		t.Errorf("the same run scores %+v and then %+v (%v)", score, again, err)
	}
}

// BenchmarkDay plays one day; a simulated day may take 2 s.
func BenchmarkDay(b *testing.B) {
	p := fleetPolicy(b, map[string]string{"max-replicas": "500"})
	o := OptionsFor(p, p.TargetRPSPerEdge/0.7)
	o.PodStart, o.SignalLag = 10*time.Second, time.Second
	trace := Day(1000, 20000, 24*time.Hour, 24*time.Hour, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(trace, o, NewProduction(p)); err != nil {
			b.Fatal(err)
		}
	}
}

// A scan buys nobody replicas who can tell it from an audience.
func TestAScanBuysNoReplicas(t *testing.T) {
	p, err := policy.Parse("edge", map[string]string{"max-replicas": "200"})
	if err != nil {
		t.Fatal(err)
	}
	trace := Crawl(2000, 4, 10*time.Minute, 10*time.Minute, 10*time.Minute, 1)
	o := OptionsFor(p, 140)
	o.PodStart, o.SignalLag = 10*time.Second, time.Second
	scan, err := Run(trace, o, NewProduction(p))
	if err != nil {
		t.Fatal(err)
	}
	for i := range trace.Seconds {
		trace.Seconds[i].Scan = 0
	}
	audience, err := Run(trace, o, NewProduction(p))
	if err != nil {
		t.Fatal(err)
	}
	if scan.MaxReplicas > 22 || audience.MaxReplicas < 80 {
		t.Errorf("a scan bought %d replicas, the same load of an audience %d", scan.MaxReplicas, audience.MaxReplicas)
	}
}
