package faults

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

// arrival is one message and when it comes in.
type arrival struct {
	at time.Duration
	m  events.Message
}

// day records what four edges say in three minutes: calm, a rise to the fourfold, calm. Each clock is off by its edge's skew.
func day(t testing.TB, skew func(edge int) time.Duration) []arrival {
	t.Helper()
	start := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	var out []arrival
	for e := range 4 {
		random := rand.New(rand.NewPCG(uint64(e), 7)) //nolint:gosec // a test's numbers
		for s := range 180 {
			rps := 95.0
			if s >= 90 && s < 130 {
				rps = 380
			}
			at := time.Duration(s)*time.Second + time.Duration(e)*190*time.Millisecond
			m, err := events.EncodeRate(events.Attributes{
				Source: events.Source("edge", podName("edge", e)), BootID: "boot-0001", Seq: uint64(s + 1), Time: start.Add(at + skew(e)),
			}, events.Rate{WindowMS: 1000, Offered: uint64(max(0, rps+10*random.NormFloat64())), Warm: 1})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, arrival{at, m})
		}
	}
	slices.SortFunc(out, func(a, b arrival) int { return int(a.at - b.at) })
	return out
}

// decide lets a controller hear a day and decide each second, and returns its decisions as JSON.
func decide(t testing.TB, heard []arrival) (decisions []string, reading ingest.Reading) {
	t.Helper()
	start := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	now := start
	in := ingest.New(ingest.Options{Replica: "c-1", Now: func() time.Time { return now }, Logger: zerolog.Nop()})
	sender := ingest.NewSender("c-1", "boot-0002")
	p, err := policy.Parse("edge", quickly(map[string]string{"target-deployment": "edge"}))
	if err != nil {
		t.Fatal(err)
	}
	state, replicas := autoscale.State{}, 4
	next := 0
	for s := range 185 {
		for until := time.Duration(s+1) * time.Second; next < len(heard) && heard[next].at < until; next++ {
			now = start.Add(heard[next].at)
			in.Handle(heard[next].m)
		}
		now = start.Add(time.Duration(s+1) * time.Second)
		canary, err := events.EncodeCanary(sender.Next(now), events.Canary{Replica: "c-1", SentAt: now})
		if err != nil {
			t.Fatal(err)
		}
		in.Handle(canary)
		reading = in.Read("edge", ingest.Clamp{RPS: p.EdgeClamp()})
		var d autoscale.Decision
		d, state = autoscale.Decide(p, autoscale.Load{
			Signal: reading.Signal, Offered: reading.Offered, Window: reading.Window, SpecReplicas: replicas, ReadyReplicas: replicas, Lead: 5 * time.Second,
		}, state, now)
		replicas = d.To
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		decisions = append(decisions, string(text))
	}
	return decisions, reading
}

func noSkew(int) time.Duration { return 0 }

func TestRow07Duplicates(t *testing.T) {
	r := begin(t, 7)
	once := day(r, noSkew)
	var twice []arrival
	for i, a := range once {
		twice = append(twice, a, arrival{a.at, a.m})
		if i >= 20 {
			twice = append(twice, arrival{a.at, once[i-20].m}) // and five windows later
		}
	}
	want, _ := decide(r, once)
	got, reading := decide(r, twice)
	if !slices.Equal(got, want) {
		r.Error("decisions differ")
	}
	if n := reading.Dropped[events.ReasonDuplicate] + reading.Dropped[events.ReasonStale]; n == 0 {
		r.Errorf("dropped %v: no duplicate was counted", reading.Dropped)
	}
	r.show("%d messages came %d times: %d decisions equal to the byte; dropped %v", len(once), len(twice), len(got), reading.Dropped)
}

// newest keeps of each source what is newer than all that came before.
func newest(heard []arrival) (kept []arrival) {
	last := map[string]string{}
	for _, a := range heard {
		source, seq := a.m.Headers["ce-source"], a.m.Headers["ce-sequence"]
		if seq > last[source] { // written with leading zeros
			last[source] = seq
			kept = append(kept, a)
		}
	}
	return kept
}

func TestRow08OutOfOrder(t *testing.T) {
	r := begin(t, 8)
	n, messages, older := times(500, 40), 0, uint64(0)
	for seed := range n {
		random := rand.New(rand.NewPCG(uint64(seed), 9)) //nolint:gosec // a test's numbers
		shuffled := day(r, noSkew)
		// Each message is late by up to three windows.
		for i := range shuffled {
			shuffled[i].at += time.Duration(random.Int64N(int64(3 * time.Second)))
		}
		slices.SortStableFunc(shuffled, func(a, b arrival) int { return int(a.at - b.at) })
		kept := newest(shuffled)
		got, reading := decide(r, shuffled)
		want, _ := decide(r, kept)
		if !slices.Equal(got, want) {
			r.Errorf("seed %d: what came too late changed a decision", seed)
		}
		dropped := reading.Dropped[events.ReasonStale]
		if int(dropped) != len(shuffled)-len(kept) { //nolint:gosec // hundreds
			r.Errorf("seed %d: %d dropped as stale, %d were older than what had come", seed, dropped, len(shuffled)-len(kept))
		}
		messages, older = messages+len(shuffled), older+dropped
	}
	r.show("%d shuffles within 3 windows: of %d messages %d were older than what had come, each dropped and counted; decisions equal to the byte to those without them", n, messages, older)
}

func TestRow13ClockSkew(t *testing.T) {
	r := begin(t, 13)
	want, _ := decide(r, day(r, noSkew))
	got, _ := decide(r, day(r, func(edge int) time.Duration { return []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, 0}[edge] }))
	if !slices.Equal(got, want) {
		r.Error("decisions differ")
	}
	w := newWorld(r, "edge")
	w.fleet("edge", 2, quickly(nil))
	for i := range 2 {
		w.speakTo(w.broker.Host(), w.broker.Port(), "edge", i, 95, []time.Duration{time.Hour, -time.Hour}[i])
	}
	c := w.controller("c-1")
	c.leads("edge")
	if s := c.status("edge").Signal; s.Live != 2 || s.LostEvents != 0 {
		r.Errorf("signal %+v", s)
	}
	r.show("%d decisions equal to the byte with clocks off by +1 h, -1 h and a day; LIVE with both through a real broker", len(got))
}
