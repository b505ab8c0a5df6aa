package content

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/events"
)

// cache notes what is done to it: "id" of an update's first value, "?" for distrust, "+" and "-" for the bypass.
type cache struct {
	mu   sync.Mutex
	done []string
}

func (c *cache) note(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, s)
}

func (c *cache) Apply(e events.Content) error {
	if e.Values[0] == "broken" {
		return fmt.Errorf("cannot")
	}
	c.note(e.Values[0])
	return nil
}
func (c *cache) Distrust() { c.note("?") }
func (c *cache) Bypass(on bool) {
	c.note(map[bool]string{true: "+", false: "-"}[on])
}

// take returns what was done since the last call.
func (c *cache) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.done, " ")
	c.done = nil
	return s
}

func message(t testing.TB, id string) events.Message {
	t.Helper()
	m, err := events.EncodeContent(events.Attributes{Source: "/controller/c-0", BootID: "0123456789abcdef", Seq: 1}, id,
		events.Content{Action: events.ContentPurge, Scope: events.ScopeTag, Values: []string{id}, Principal: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type rig struct {
	t       testing.TB
	cache   *cache
	replica *Replica
	again   int
}

func newRig(t testing.TB, change func(*Options)) *rig {
	r := &rig{t: t, cache: new(cache)}
	o := Options{Cache: r.cache, Resubscribe: func() { r.again++ }}
	if change != nil {
		change(&o)
	}
	r.replica = NewReplica(o)
	return r
}

func (r *rig) event(offset int64, id string) { r.replica.Event(offset, message(r.t, id)) }

func (r *rig) want(what string) {
	r.t.Helper()
	if got := r.cache.take(); got != what {
		r.t.Errorf("done: %q, want %q", got, what)
	}
}

func TestAReplicaAppliesEachUpdateOnce(t *testing.T) {
	r := newRig(t, nil)
	if _, latest := r.replica.From(); !latest {
		t.Error("a replica without a position does not begin at the latest")
	}
	r.replica.Up()
	r.want("?") // whatever was stored before
	r.event(7, "a")
	r.event(8, "b")
	r.event(9, "a") // the publisher did not know whether the first one had arrived
	r.event(8, "b") // again
	r.want("a b")
	if p := r.replica.Position(); p != events.PositionOf("a", 9) {
		t.Errorf("position %v", p)
	}
	if c := r.replica.Counters(); c.Applied != 2 || c.Repeated != 1 || c.Gaps != 0 {
		t.Errorf("%+v", c)
	}
}

// TestAnIDWithAnotherBodyIsAnotherUpdate: who published it, after a restart, did not know that the id was used.
func TestAnIDWithAnotherBodyIsAnotherUpdate(t *testing.T) {
	r := newRig(t, nil)
	r.replica.Up()
	r.event(0, "a")
	other := message(t, "b")
	other.MessageID = "a"
	r.replica.Event(1, other)
	r.replica.Event(2, other)
	r.want("? a b")
	if c := r.replica.Counters(); c.Applied != 2 || c.Repeated != 1 {
		t.Errorf("%+v", c)
	}
	if p := r.replica.Position(); p != events.PositionOf("a", 2) {
		t.Errorf("position %v", p)
	}
}

func TestEachPositionIsTold(t *testing.T) {
	var told []string
	r := newRig(t, func(o *Options) { o.OnPosition = func(p events.Position) { told = append(told, p.String()) } })
	r.replica.Up()
	r.event(7, "a")
	r.event(8, "a")
	r.event(8, "a")
	r.event(10, "b") // 9 is missing
	want := []string{events.PositionOf("a", 7).String(), events.PositionOf("a", 8).String(), "", events.PositionOf("b", 10).String()}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestAReplicaResumesWhereItWas(t *testing.T) {
	r := newRig(t, nil)
	r.replica.Up()
	r.event(0, "a")
	r.event(1, "b")
	r.replica.Down()
	if offset, latest := r.replica.From(); latest || offset != 1 {
		t.Errorf("from %d, latest %v", offset, latest)
	}
	r.cache.take()
	r.replica.Up()
	if r.replica.Live() {
		t.Error("live before the log is known to be the same")
	}
	r.event(1, "b")
	r.event(2, "c")
	r.want("c")
	if !r.replica.Live() || r.replica.Counters().Gaps != 0 {
		t.Errorf("live %v, %+v", r.replica.Live(), r.replica.Counters())
	}
}

// Each way in which a log can be another one than it was is found out, and nothing stored is trusted then.
func TestALogThatIsNotTheSameIsNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		then func(*rig)
		want string
	}{
		"truncated":                  {func(r *rig) { r.event(5, "f") }, "? f"},
		"made anew, longer":          {func(r *rig) { r.event(1, "x"); r.event(2, "y") }, "? x y"},
		"an event is missing":        {func(r *rig) { r.event(1, "b"); r.event(3, "d") }, "? d"},
		"another event at its place": {func(r *rig) { r.event(1, "b"); r.event(2, "c"); r.event(2, "z") }, "c ? z"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.replica.Up()
			r.event(0, "a")
			r.event(1, "b")
			r.replica.Down()
			r.replica.Up()
			r.cache.take()
			test.then(r)
			r.want(test.want)
			if r.replica.Counters().Gaps != 1 {
				t.Errorf("%+v", r.replica.Counters())
			}
		})
	}
}

// A stream that was made anew and is shorter says nothing when it is asked for what comes after its end.
func TestAShorterLogIsNoticedByItsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.replica.Up()
		r.event(10, "a")
		r.replica.Down()
		r.replica.Up()
		r.cache.take()
		time.Sleep(verifyWithin / 2)
		r.replica.Tick()
		r.want("")
		time.Sleep(verifyWithin)
		r.replica.Tick()
		if _, latest := r.replica.From(); !latest || r.again != 1 || r.replica.Live() {
			t.Errorf("latest %v, %d subscriptions, live %v", latest, r.again, r.replica.Live())
		}
		// The subscription that follows distrusts, once: twice would ask the origin twice for each object.
		r.replica.Down()
		r.replica.Up()
		r.event(0, "b")
		r.want("? b")
		time.Sleep(time.Minute)
		r.replica.Tick()
		r.want("")
		if c := r.replica.Counters(); c.Gaps != 1 {
			t.Errorf("%+v for one log that was lost", c)
		}
	})
}

// Where the subscription to another log does not follow, what is stored is distrusted without it; and once more with it, since it may have missed something.
func TestAShorterLogIsNotTrustedWithoutASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.replica.Up()
		r.event(10, "a")
		r.replica.Down()
		r.replica.Up()
		r.cache.take()
		time.Sleep(verifyWithin + time.Millisecond)
		r.replica.Tick()
		r.replica.Down()
		time.Sleep(unsureFor)
		r.replica.Tick()
		r.want("?")
		r.replica.Up()
		r.want("?")
		if c := r.replica.Counters(); c.Gaps != 2 {
			t.Errorf("%+v", c)
		}
	})
}

// An edge that has yet to notice that the log was lost shows where we were in it: it is not ahead of us, and nobody waits for what cannot come.
func TestAnEdgeOfTheLostLogIsNotAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.replica.Up()
		r.event(10, "a")
		r.replica.Down()
		r.replica.Up()
		r.event(3, "b") // the log was made anew
		r.cache.take()
		began := time.Now()
		r.replica.Await(t.Context(), events.PositionOf("a", 10), time.Second)
		r.want("")
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v", took)
		}
		r.replica.Await(t.Context(), events.PositionOf("x", 11), time.Second)
		r.want("?")
	})
}

// A replica that has yet to notice that the log was lost shows its place in it. Whoever takes that over still applies what the broker sends from the log's
// beginning, and is where the broker says.
func TestAPlaceInALostLogHidesNoUpdate(t *testing.T) {
	r := newRig(t, nil)
	r.replica.Up() // to a log that is empty: whatever comes is complete
	r.cache.take()
	lost := events.PositionOf("x", 5000)
	r.replica.pulled(events.Position{}, nil, false, lost)
	r.want("?")
	if p := r.replica.Position(); p != lost {
		t.Fatalf("position %v", p)
	}
	r.event(0, "a")
	r.event(1, "b")
	r.want("a b")
	if p := r.replica.Position(); p != events.PositionOf("b", 1) {
		t.Errorf("position %v, want that of the subscription", p)
	}
	// And once more, from a place in the new log.
	r.replica.pulled(r.replica.Position(), nil, false, lost)
	r.want("?")
	r.event(2, "c")
	r.want("c")
	if p := r.replica.Position(); p != events.PositionOf("c", 2) {
		t.Errorf("position %v, want that of the subscription", p)
	}
}

// A replica that subscribes to the latest, and takes over the place of another that has heard some of what is on its way, goes back to what it gets.
func TestAPlaceAheadOfTheSubscriptionIsMadeGood(t *testing.T) {
	r := newRig(t, nil)
	r.replica.Up()
	r.cache.take()
	r.replica.pulled(events.Position{}, nil, false, events.PositionOf("c", 9))
	r.event(8, "b")
	r.event(9, "c")
	r.event(10, "d")
	r.want("? b c d")
	if c := r.replica.Counters(); r.replica.Position() != events.PositionOf("d", 10) || c.Gaps != 1 {
		t.Errorf("position %v, %+v", r.replica.Position(), c)
	}
}

func TestThePolicyRulesWhenOutOfTouch(t *testing.T) {
	for policy, want := range map[Policy][3]string{
		// out of touch, ten seconds later, back
		Serve: {"", "", ""}, Revalidate: {"- ?", "? ?", "? -"}, Bypass: {"+ ?", "? ?", "? -"},
	} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Policy = policy })
				wait := func(d time.Duration) {
					for range int(d / (100 * time.Millisecond)) {
						time.Sleep(100 * time.Millisecond)
						r.replica.Tick()
					}
				}
				r.replica.Up()
				r.event(0, "a")
				wait(time.Minute)
				r.replica.Down()
				r.want("? a")
				wait(29 * time.Second)
				r.want("")
				wait(2 * time.Second)
				r.want(want[0])
				wait(10 * time.Second)
				r.want(want[1])
				r.replica.Up()
				r.event(0, "a")
				r.want(want[2])
				wait(time.Minute)
				r.want("")
			})
		})
	}
}

// Where there is no log, nothing can be missed. One that was there is another matter.
func TestABrokerWithoutALogIsNoReasonToDistrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.NoLog = func() bool { return true } })
		for range 100 {
			time.Sleep(time.Second)
			r.replica.Tick()
		}
		r.want("")
		r.replica.Up()
		r.event(0, "a")
		r.replica.Down()
		r.cache.take()
		time.Sleep(31 * time.Second)
		r.replica.Tick()
		r.want("- ?")
	})
}

func TestWhatCannotBeAppliedIsDistrusted(t *testing.T) {
	r := newRig(t, nil)
	r.replica.Up()
	r.event(0, "broken")
	r.replica.Event(1, events.Message{MessageID: "x", Body: []byte("{")})
	r.event(2, "c")
	r.want("? ? c")
	if c := r.replica.Counters(); c.Refused != 2 || c.Applied != 1 {
		t.Errorf("%+v", c)
	}
}

// An edge whose path to the broker is dead sees by a shield's response that it is behind, and gets from it what it lacks.
func TestAnEdgeCatchesUpOverHTTP(t *testing.T) {
	shield := newRig(t, nil)
	shield.replica.Up()
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !shield.replica.Greet(w, q) {
			seen = append(seen, q.Header.Get(Field))
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer server.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	edge := newRig(t, nil)
	edge.replica.Up()
	shield.event(0, "a")
	edge.event(0, "a")
	edge.replica.Down()
	for n := range 600 {
		shield.event(int64(n+1), fmt.Sprint("u", n))
	}
	client := http.Client{Transport: edge.replica.Forwarding(http.DefaultTransport)}
	get := func() {
		response, err := client.Get(server.URL + "/")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.Header.Get(Field) != "" {
			t.Error("a position gets through to clients")
		}
	}
	edge.cache.take()
	get()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = edge.replica.Run(ctx) })
	deadline := time.Now().Add(time.Minute)
	for edge.replica.Position() != shield.replica.Position() {
		if time.Now().After(deadline) {
			t.Fatalf("the edge is at %v, the shield at %v", edge.replica.Position(), shield.replica.Position())
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	if done := strings.Fields(edge.cache.take()); len(done) != 600 || done[0] != "u0" || done[599] != "u599" {
		t.Errorf("%d updates: %v …", len(done), done[:min(len(done), 3)])
	}
	get()
	if want := []string{events.PositionOf("a", 0).String(), edge.replica.Position().String()}; !slices.Equal(seen, want) {
		t.Errorf("the shield saw %v, want %v", seen, want)
	}
	// The broker is back: what was pulled is not applied again, and the log goes on.
	edge.replica.Up()
	edge.event(600, "u599")
	edge.event(601, "z")
	edge.want("z")
}

// A replica whose position nobody knows any more takes the other's, and trusts nothing that it has.
func TestAnEdgeFarBehindTrustsNothing(t *testing.T) {
	shield, edge := newRig(t, nil), newRig(t, nil)
	shield.replica.Up()
	edge.replica.Up()
	edge.event(0, "a")
	edge.replica.Down()
	shield.event(100, "x")
	server := httptest.NewServer(shield.replica.Handler())
	defer server.Close()
	edge.cache.take()
	if err := edge.replica.pull(t.Context(), server.Client(), server.URL); err != nil {
		t.Fatal(err)
	}
	edge.want("?")
	if edge.replica.Position() != shield.replica.Position() {
		t.Errorf("the edge is at %v", edge.replica.Position())
	}
	// One that is out of touch itself hands out nothing.
	shield.replica.Down()
	shield.replica.o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if err := edge.replica.pull(t.Context(), server.Client(), server.URL); err == nil {
		t.Error("a replica that is out of touch answers")
	}
}

// A shield that is behind an edge waits for the update that the edge has; if it does not come, it does not trust what it has stored.
func TestAShieldWaitsForWhatItsEdgeHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.replica.Up()
		r.event(0, "a")
		r.cache.take()
		go func() {
			time.Sleep(20 * time.Millisecond)
			r.event(1, "b")
		}()
		began := time.Now()
		r.replica.Await(t.Context(), events.PositionOf("b", 1), time.Second)
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("waited %v", took)
		}
		r.want("b")
		for range 3 { // the wait and the distrust are once for each update
			r.replica.Await(t.Context(), events.PositionOf("c", 2), time.Second)
		}
		r.want("?")
		if took := time.Since(began); took != 1020*time.Millisecond {
			t.Errorf("waited %v in all", took)
		}
		r.event(2, "c")
		r.replica.Await(t.Context(), events.PositionOf("c", 2), time.Second)
		r.replica.Await(t.Context(), events.PositionOf("other", 2), time.Second)
		r.replica.Await(t.Context(), events.PositionOf("other", 2), time.Second)
		r.want("c ?")
	})
}

func TestTheLogForgetsTheOldest(t *testing.T) {
	l := newLog()
	for n := range int64(maxEntries + 10) {
		l.add(Entry{n, events.Message{MessageID: fmt.Sprint(n)}})
	}
	if _, ok := l.after(events.PositionOf("8", 8), 10); ok {
		t.Error("a position that was forgotten is known")
	}
	if got, ok := l.after(events.PositionOf("9", 9), 3); !ok || len(got) != 3 || got[0].Offset != 10 {
		t.Errorf("after the anchor: %v %v", got, ok)
	}
	last := int64(maxEntries + 9)
	if got, ok := l.after(events.PositionOf(fmt.Sprint(last), last), 3); !ok || len(got) != 0 {
		t.Errorf("after the last: %v %v", got, ok)
	}
	if !l.first("id", nil, 1) || l.first("id", nil, 2) {
		t.Error("an id is not known")
	}
	for n := range idsKept / 2 {
		l.first(fmt.Sprint("x", n), nil, 0)
	}
	if l.first("id", nil, 3) {
		t.Error("an id is forgotten too early")
	}
	if len(l.young)+len(l.old) > idsKept {
		t.Errorf("%d ids", len(l.young)+len(l.old))
	}
}

func FuzzDecodeRange(f *testing.F) {
	good, _ := json.Marshal(rangeBody{Position: "0123456789abcdef;2", Found: true, Events: []wireEvent{{Offset: 1}, {Offset: 2}}})
	f.Add(string(good))
	f.Add(`{"position":"x"}`)
	f.Add(`{"events":[{"offset":-1}]}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		entries, _, theirs, err := decodeRange(strings.NewReader(text))
		if err != nil {
			return
		}
		for i, e := range entries {
			if e.Offset < 0 || e.Offset > theirs.Offset || i > 0 && e.Offset != entries[i-1].Offset+1 {
				t.Errorf("entries %v at %v", entries, theirs)
			}
		}
	})
}
