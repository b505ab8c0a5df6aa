package ingest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/events"
)

// pods is the Kubernetes API of these tests: pod name to state.
type pods map[string]pod

type pod struct{ ready, leaving bool }

func (p pods) Members(_ string, each func(string, bool, bool)) bool {
	for name, pod := range p {
		each(name, pod.ready, pod.leaving)
	}
	return p != nil
}

func (p pods) IsMember(_, name string) (member, known bool) {
	_, member = p[name]
	return member, p != nil
}

// desk is an Ingest with a clock that the test sets, and edges that number their
// messages.
type desk struct {
	t    *testing.T
	in   *Ingest
	now  time.Time
	seq  map[string]uint64
	boot map[string]string
	poke int
}

func newDesk(t *testing.T, members Members) *desk {
	d := &desk{t: t, now: time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC), seq: map[string]uint64{}, boot: map[string]string{}}
	d.in = New(Options{
		Replica: "c-1", Members: members, Poke: func(string) { d.poke++ },
		Now: func() time.Time { return d.now }, Logger: zerolog.Nop(),
	})
	return d
}

func (d *desk) message(pod string, encode func(events.Attributes) (events.Message, error)) events.Message {
	d.t.Helper()
	d.seq[pod]++
	if d.boot[pod] == "" {
		d.boot[pod] = "boot-0001"
	}
	m, err := encode(events.Attributes{Source: events.Source("edge", pod), BootID: d.boot[pod], Seq: d.seq[pod]})
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

func (d *desk) rateMessage(pod string, rps uint64) events.Message {
	return d.message(pod, func(a events.Attributes) (events.Message, error) {
		return events.EncodeRate(a, events.Rate{WindowMS: 1000, Offered: rps, Status: events.StatusCounts{Hit: rps}})
	})
}

func (d *desk) rate(pod string, rps uint64) { d.in.Handle(d.rateMessage(pod, rps)) }

func (d *desk) life(pod string, state events.LifeState) {
	d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) {
		return events.EncodeLife(a, events.Life{State: state})
	}))
}

func (d *desk) canary(replica string) {
	m, err := events.EncodeCanary(NewSender(replica, "boot-0001").Next(d.now), events.Canary{Replica: replica, SentAt: d.now})
	if err != nil {
		d.t.Fatal(err)
	}
	d.in.Handle(m)
}

// second passes one second in which these pods report 100 rps each and the own
// canary comes back.
func (d *desk) second(pods ...string) {
	d.now = d.now.Add(time.Second)
	d.canary("c-1")
	for _, p := range pods {
		d.rate(p, 100)
	}
}

func (d *desk) expect(what string, signal autoscale.Signal, known, live int, offered float64) {
	d.t.Helper()
	r := d.in.Read("edge", Clamp{})
	if r.Signal != signal || r.Known != known || r.Live != live || math.Abs(r.Offered-offered) > 1e-6 {
		d.t.Errorf("%s: %s, %d of %d edges, %.1f rps (silent %v); want %s, %d of %d, %.1f",
			what, r.Signal, r.Live, r.Known, r.Offered, r.Silent, signal, live, known, offered)
	}
}

func TestAFleetIsLiveWhenEveryReadyPodIsHeard(t *testing.T) {
	api := pods{"a": {ready: true}, "b": {ready: true}}
	d := newDesk(t, api)
	d.expect("nothing heard", autoscale.Blind, 2, 0, 0)
	d.second("a")
	d.expect("one of two heard", autoscale.Partial, 2, 1, 100)
	d.second("a", "b")
	d.expect("both heard", autoscale.Live, 2, 2, 200)
}

func TestANewPodCostsNothingUntilItIsReadyAndSilent(t *testing.T) {
	api := pods{"a": {ready: true}}
	d := newDesk(t, api)
	d.second("a")
	api["b"] = pod{}
	d.second("a")
	d.expect("b is starting and says nothing", autoscale.Live, 1, 1, 100)
	d.second("a", "b")
	d.expect("b is warming and reports", autoscale.Live, 1, 1, 200)
	api["b"] = pod{ready: true}
	d.second("a", "b")
	d.expect("b is Ready", autoscale.Live, 2, 2, 200)

	api["c"] = pod{}
	d.second("a", "b")
	d.expect("c is starting", autoscale.Live, 2, 2, 200)
	api["c"] = pod{ready: true}
	d.second("a", "b")
	d.expect("c is just Ready and silent", autoscale.Live, 2, 2, 200)
	for range 4 {
		d.second("a", "b")
		d.in.Read("edge", Clamp{})
	}
	d.expect("c is Ready and still silent", autoscale.Partial, 3, 2, 200)
}

func TestAPodThatSaidItStartsIsNotMissedWhenJustReady(t *testing.T) {
	api := pods{"a": {ready: true}, "b": {}}
	d := newDesk(t, api)
	d.second("a")
	d.life("b", events.LifeStarting)
	d.expect("b is starting and says so", autoscale.Live, 1, 1, 100)
	api["b"] = pod{ready: true}
	d.second("a")
	d.expect("b is just Ready, its first report on the way", autoscale.Live, 1, 1, 100)
	for range 4 {
		d.second("a")
		d.in.Read("edge", Clamp{})
	}
	d.expect("b is Ready and said no more", autoscale.Partial, 2, 1, 100)
}

func TestDeadMutedAndIdleEdgesAreThreeThings(t *testing.T) {
	api := pods{"a": {ready: true}, "b": {ready: true}}
	d := newDesk(t, api)
	d.second("a", "b")
	d.second("a", "b")
	d.expect("before", autoscale.Live, 2, 2, 200)

	for range 4 {
		d.second("a")
	}
	d.expect("b is silent for 4 s: its value is kept", autoscale.Partial, 2, 1, 200)
	for range 27 {
		d.second("a")
	}
	d.expect("b is silent for 31 s: its value is gone, the doubt stays", autoscale.Partial, 2, 1, 100)

	d.second("a", "b")
	delete(api, "b")
	d.expect("the pod of b is gone", autoscale.Live, 1, 1, 100)

	d.now = d.now.Add(time.Second)
	d.canary("c-1")
	d.rate("a", 0)
	d.expect("a is idle and says so", autoscale.Live, 1, 1, 0)

	for range 4 {
		d.second()
	}
	d.expect("a is silent too", autoscale.Blind, 1, 0, 0)
}

func TestAPodThatHangsLosesReadinessButNotItsLoad(t *testing.T) {
	api := pods{"a": {ready: true}, "b": {ready: true}}
	d := newDesk(t, api)
	d.second("a", "b")
	d.in.Read("edge", Clamp{})
	api["b"] = pod{}
	for range 5 {
		d.second("a")
	}
	d.expect("b hangs", autoscale.Partial, 2, 1, 200)
	for range 30 {
		d.second("a")
	}
	d.expect("b hangs for long and gets no clients", autoscale.Live, 1, 1, 100)
}

func TestALeavingPodCountsWhileItIsHeard(t *testing.T) {
	api := pods{"a": {ready: true}, "b": {ready: true}}
	d := newDesk(t, api)
	d.second("a", "b")
	api["b"] = pod{ready: true, leaving: true}
	d.second("a", "b")
	d.expect("draining", autoscale.Live, 1, 1, 200)
	d.life("b", events.LifeClosing)
	d.expect("said goodbye", autoscale.Live, 1, 1, 100)
}

func TestALostCanaryIsBlindness(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}})
	d.rate("a", 100)
	d.expect("no canary yet", autoscale.Blind, 1, 1, 100)
	d.canary("c-2")
	d.expect("the canary of another controller", autoscale.Blind, 1, 1, 100)
	d.canary("c-1")
	d.expect("the own one", autoscale.Live, 1, 1, 100)
	for range 4 {
		d.now = d.now.Add(time.Second)
		d.rate("a", 100)
	}
	d.expect("4 s without", autoscale.Live, 1, 1, 100)
	d.now = d.now.Add(time.Second)
	d.rate("a", 100)
	d.expect("more than 4 s without", autoscale.Blind, 1, 1, 100)
}

func TestWithoutMembershipEverySourceCounts(t *testing.T) {
	d := newDesk(t, nil)
	d.second("a", "laptop")
	d.expect("two sources", autoscale.Live, 2, 2, 200)
	for range 5 {
		d.second("a")
	}
	d.expect("one is silent", autoscale.Partial, 2, 1, 200)
	for range 30 {
		d.second("a")
	}
	d.expect("and forgotten", autoscale.Live, 1, 1, 100)

	unknown := newDesk(t, pods(nil))
	unknown.second("a")
	unknown.expect("an API that does not know the fleet", autoscale.Live, 1, 1, 100)
}

func TestMessagesThatDoNotCountAreCounted(t *testing.T) {
	api := pods{"a": {ready: true}}
	d := newDesk(t, api)
	d.second("a")
	again := d.rateMessage("a", 500)
	d.in.Handle(again)
	d.in.Handle(again)
	late := d.rateMessage("a", 700)
	d.rate("a", 100)
	d.in.Handle(late)
	d.rate("stranger", 1e6)
	d.seq["a"] += 3
	d.rate("a", 100)

	forged := d.rateMessage("a", 900)
	forged.UserID = "news"
	d.in.Handle(forged)
	anonymous := d.rateMessage("a", 900)
	anonymous.UserID = ""
	d.in.Handle(anonymous)
	d.in.Handle(events.Message{Exchange: events.ExchangeTelemetry, Key: "rate.edge.a", ContentType: "text/plain", UserID: "edge"})

	d.expect("only what counts, counts", autoscale.Live, 1, 1, 100)
	r := d.in.Read("edge", Clamp{})
	want := map[events.Reason]uint64{events.ReasonDuplicate: 1, events.ReasonStale: 1, events.ReasonUnknownEdge: 1}
	if !reflect.DeepEqual(r.Dropped, want) {
		t.Errorf("dropped %v, want %v", r.Dropped, want)
	}
	want = map[events.Reason]uint64{events.ReasonForged: 1, events.ReasonNoUser: 1, events.ReasonMalformed: 1}
	if got := d.in.Unattributed(); !reflect.DeepEqual(got, want) {
		t.Errorf("dropped without a fleet %v, want %v", got, want)
	}
	if r.LostEvents != 3+1 { // three skipped numbers, and the late message was missing when the next one came
		t.Errorf("%d events lost", r.LostEvents)
	}
}

func TestARestartedEdgeBeginsAnew(t *testing.T) {
	d := newDesk(t, nil)
	d.second("a")
	d.second("a")
	old := d.rateMessage("a", 900)
	d.boot["a"], d.seq["a"] = "boot-0002", 0
	d.second("a")
	d.in.Handle(old)
	d.expect("a message of the boot before", autoscale.Live, 1, 1, 100)
	if r := d.in.Read("edge", Clamp{}); r.LostEvents != 0 || r.Dropped[events.ReasonStale] != 1 {
		t.Errorf("%d lost, dropped %v", r.LostEvents, r.Dropped)
	}
}

func TestAHostileEdgeMovesOnlyItsFleetWithinItsClamp(t *testing.T) {
	d := newDesk(t, nil)
	d.second("a")
	m, err := events.EncodeRate(events.Attributes{Source: "/news/x", BootID: "boot-0001", Seq: 1}, events.Rate{WindowMS: 1, Offered: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	d.in.Handle(m)
	d.expect("another fleet", autoscale.Live, 1, 1, 100)
	if r := d.in.Read("news", Clamp{RPS: 5000}); r.Offered != 5000 || r.Dropped[events.ReasonClamped] == 0 {
		t.Errorf("%.0f rps are taken from one edge, dropped %v", r.Offered, r.Dropped)
	}
}

// TestAHostileEdgeIsNoMoreOfTheSignsThanOfTheLoad: what tells causes apart, and the other metrics, are bounded as the load is.
func TestAHostileEdgeIsNoMoreOfTheSignsThanOfTheLoad(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}, "b": {ready: true}, "c": {ready: true}})
	for range 2 {
		d.second("a", "b")
		d.in.Handle(d.message("c", func(a events.Attributes) (events.Message, error) {
			return events.EncodeRate(a, events.Rate{WindowMS: 1000, Offered: 10, InFlight: 1 << 40, BytesOut: 1 << 49, Status: events.StatusCounts{Miss: 1 << 40}})
		}))
		d.misses("a", 20, 5)
		d.misses("c", 1<<40, 1<<40)
	}
	r := d.in.Read("edge", Clamp{RPS: 5000, InFlight: 300, Egress: 1000})
	if r.Ended != 210 || r.Misses != 30 || r.Distinct != 15 {
		t.Errorf("%.0f ended, %.0f misses, %.0f distinct; want 210, 30, 15", r.Ended, r.Misses, r.Distinct)
	}
	if r.InFlight != 300 || r.Egress != 1000 || r.Dropped[events.ReasonClamped] == 0 {
		t.Errorf("%.0f requests under way, %.0f Mbit/s, dropped %v", r.InFlight, r.Egress, r.Dropped)
	}
}

func TestAJumpAsksForADecisionAtOnce(t *testing.T) {
	d := newDesk(t, nil)
	d.second("a")
	d.second("a")
	if d.poke != 0 {
		t.Fatal("steady load asks for a decision")
	}
	d.rate("a", 300)
	if d.poke != 1 {
		t.Error("a threefold report does not")
	}
	d.in.Handle(d.message("a", func(a events.Attributes) (events.Message, error) {
		return events.EncodeRate(a, events.Rate{WindowMS: 250, Offered: 75, Early: true})
	}))
	if d.poke != 2 {
		t.Error("an early report does not")
	}
	if r := d.in.Read("edge", Clamp{}); r.Offered != 300 || r.Window != 0.25 {
		t.Errorf("%v rps over %v s", r.Offered, r.Window)
	}
}

func (d *desk) misses(pod string, misses, distinct uint64) {
	d.in.Handle(d.message(pod, func(a events.Attributes) (events.Message, error) {
		return events.EncodeMiss(a, events.Miss{WindowMS: 1000, Misses: misses, Distinct: distinct})
	}))
}

// What a new edge misses says that its cache is empty, and nothing of the requests.
func TestMissesCountFromEdgesWithAWarmCache(t *testing.T) {
	api := pods{"a": {ready: true}, "b": {}}
	d := newDesk(t, api)
	d.second("a")
	d.in.Read("edge", Clamp{})
	api["b"] = pod{ready: true}
	d.second("a", "b")
	d.misses("a", 20, 5)
	d.misses("b", 90, 80)
	if r := d.in.Read("edge", Clamp{}); r.Ended != 100 || r.Misses != 20 || r.Distinct != 5 || r.Heard != 200 {
		t.Errorf("%+v", r)
	}
	for range 60 {
		d.second("a", "b")
	}
	d.misses("b", 9, 8)
	if r := d.in.Read("edge", Clamp{}); r.Ended != 200 || r.Misses != 9 || r.Distinct != 8 {
		t.Errorf("a minute later: %+v", r)
	}
}

// Whatever a bus does to the order and number of messages within a second, the
// reading after the newest ones is the same.
func TestDuplicatesAndDisorderChangeNothing(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := newDesk(t, nil)
		plain := newDesk(t, nil)
		var newest, noise []events.Message
		for i := range 5 {
			name := fmt.Sprintf("e-%d", i)
			for n := range 4 {
				m := d.rateMessage(name, uint64(r.IntN(1000)))
				if n == 3 {
					newest = append(newest, m)
				} else {
					noise = append(noise, m)
				}
			}
		}
		mixed := slices.Concat(noise, newest, noise, newest)
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		for _, m := range mixed {
			d.in.Handle(m)
		}
		for _, m := range newest {
			plain.in.Handle(m)
		}
		if got, want := d.in.Read("edge", Clamp{}), plain.in.Read("edge", Clamp{}); math.Abs(got.Offered-want.Offered) > 1e-6 {
			t.Fatalf("seed %d: %.1f rps, want %.1f", seed, got.Offered, want.Offered)
		}
	}
}

type bus struct{ in *Ingest }

func (b bus) Publish(m events.Message) { b.in.Handle(m) }

func TestTheCanaryFliesOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := New(Options{Replica: "c-1", Logger: zerolog.Nop()})
		sender := NewSender("c-1", "boot-0001")
		done := make(chan error)
		go func() { done <- Canary{sender, bus{in}}.Run(t.Context()) }()
		time.Sleep(10*time.Second + time.Millisecond)
		in.mu.Lock()
		age := time.Since(in.canary)
		in.mu.Unlock()
		if age > time.Second {
			t.Errorf("the last canary is %v old", age)
		}
		if next := sender.Next(time.Now()); next.Seq != 12 {
			t.Errorf("%d canaries in 10 s", next.Seq-1)
		}
		go func() { <-done }()
	})
}

func TestACanaryThatNobodyMaySendIsAnError(t *testing.T) {
	if err := (Canary{NewSender("Not.A.Label", "boot-0001"), bus{}}).Run(t.Context()); err == nil {
		t.Error("no error")
	}
}

func FuzzHandle(f *testing.F) {
	d := newDesk(new(testing.T), nil)
	m := d.rateMessage("a", 7)
	f.Add("rate.edge.a", "edge", m.Headers["ce-bootid"], m.Headers["ce-sequence"], m.Body)
	f.Fuzz(func(t *testing.T, key, user, boot, seq string, body []byte) {
		d := newDesk(t, nil)
		d.canary("c-1")
		m := d.rateMessage("a", 1)
		m.Key, m.UserID, m.Body = key, user, body
		m.Headers["ce-bootid"], m.Headers["ce-sequence"] = boot, seq
		d.in.Handle(m)
		d.in.Handle(m)
		if r := d.in.Read("edge", Clamp{RPS: 1000}); !(r.Offered >= 0 && r.Offered <= 1000) || math.IsNaN(r.HitRatio) || r.HitRatio > 1 || !(r.Window > 0) {
			t.Fatalf("%+v", r)
		}
	})
}

func BenchmarkHandle(b *testing.B) {
	d := newDesk(new(testing.T), nil)
	messages := make([]events.Message, 0, 10000)
	for i := range 10000 {
		messages = append(messages, d.rateMessage(fmt.Sprintf("e-%d", i%2000), 100))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.in.Handle(messages[i%len(messages)])
	}
}

// A path that delivers everything ten seconds late is as good as none: what comes is no news.
func TestACanaryThatComesTooLateIsNoSignOfLife(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}})
	d.second("a")
	d.expect("on time", autoscale.Live, 1, 1, 100)
	sender := NewSender("c-1", "boot-0002")
	var under []events.Message
	for range 20 {
		m, err := events.EncodeCanary(sender.Next(d.now), events.Canary{Replica: "c-1", SentAt: d.now})
		if err != nil {
			t.Fatal(err)
		}
		under = append(under, m)
		d.now = d.now.Add(time.Second)
		d.rate("a", 100)
		if len(under) > 10 {
			d.in.Handle(under[len(under)-11])
		}
	}
	d.expect("all of it late", autoscale.Blind, 1, 1, 100)
	if deaf := d.in.Deaf(); deaf != 20*time.Second {
		t.Errorf("deaf for %v, want 20 s", deaf)
	}
	d.second("a")
	d.expect("on time again", autoscale.Live, 1, 1, 100)
	if deaf := d.in.Deaf(); deaf != 0 {
		t.Errorf("deaf for %v after a canary", deaf)
	}
}

// TestANewSubscriptionIsGivenItsTime: what was not heard while there was no broker says nothing of the subscription after it.
func TestANewSubscriptionIsGivenItsTime(t *testing.T) {
	d := newDesk(t, pods{"a": {ready: true}})
	d.second("a")
	d.now = d.now.Add(time.Minute) // without a broker
	d.in.Listening()
	if deaf := d.in.Deaf(); deaf != 0 {
		t.Errorf("deaf for %v with a subscription that has just begun", deaf)
	}
	d.now = d.now.Add(9 * time.Second)
	if deaf := d.in.Deaf(); deaf != 9*time.Second {
		t.Errorf("deaf for %v, want the 9 s of the subscription", deaf)
	}
	d.second("a")
	if deaf := d.in.Deaf(); deaf != 0 {
		t.Errorf("deaf for %v after a canary", deaf)
	}
}
