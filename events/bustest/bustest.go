// Package bustest is the contract of a bus: what every implementation must do, as tests.
package bustest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
)

// Bus is what is tested.
type Bus interface {
	// Publisher returns a way in that keeps the order of its messages.
	Publisher(t testing.TB) Publisher
	// Subscribe returns when the subscription is in place. handle is called by one goroutine; the result is closed, soon after ctx is done,
	// once it will not be called again.
	Subscribe(ctx context.Context, t testing.TB, bindings []events.Binding, handle func(events.Message)) (done <-chan struct{})
}

// Publisher sends messages.
type Publisher interface {
	Publish(events.Message)
}

// patience is how long the tests wait for what must happen. It is long for slow machines; nothing waits for it in vain.
const patience = 20 * time.Second

// Run tests the bus that open returns; each test gets a new one.
func Run(t *testing.T, open func(t testing.TB) Bus) {
	tests := []struct {
		name string
		run  func(t *testing.T, bus Bus)
	}{
		{"WholeMessageArrives", wholeMessageArrives},
		{"OrderOfAPublisherIsKept", orderIsKept},
		{"TopicsRoute", topicsRoute},
		{"ExchangesAreApart", exchangesAreApart},
		{"TwoMatchingBindingsDeliverOnce", deliveredOnce},
		{"EverySubscriberGetsACopy", everySubscriber},
		{"SlowSubscriberHoldsUpNobody", slowSubscriber},
		{"UnheardMessagesAreDropped", unheard},
		{"CancelEndsASubscription", cancelEnds},
		{"EventsSurviveTheTrip", eventsSurvive},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// inbox collects what a subscription gets.
type inbox struct {
	mu   sync.Mutex
	got  []events.Message
	more chan struct{}
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 1)} }

func (i *inbox) handle(m events.Message) {
	i.mu.Lock()
	i.got = append(i.got, m)
	i.mu.Unlock()
	select {
	case i.more <- struct{}{}:
	default:
	}
}

func (i *inbox) messages() []events.Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.got)
}

func (i *inbox) ids() (ids []string) {
	for _, m := range i.messages() {
		ids = append(ids, m.MessageID)
	}
	return ids
}

// until waits for the message with an id: it is published last, so all that came before it has arrived too.
func (i *inbox) until(t *testing.T, id string) {
	t.Helper()
	deadline := time.After(patience)
	for !slices.Contains(i.ids(), id) {
		select {
		case <-i.more:
		case <-deadline:
			t.Fatalf("message %q did not arrive; got %v", id, i.ids())
		}
	}
}

func wholeMessageArrives(t *testing.T, bus Bus) {
	in := newInbox()
	bus.Subscribe(t.Context(), t, telemetry("#"), in.handle)
	sent, err := events.EncodeLife(attributes(1), events.Life{State: events.LifeReady})
	if err != nil {
		t.Fatal(err)
	}
	sent.Headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	bus.Publisher(t).Publish(sent)
	in.until(t, sent.MessageID)
	got := in.messages()[0]
	if got.Exchange != sent.Exchange || got.Key != sent.Key || got.ContentType != sent.ContentType || string(got.Body) != string(sent.Body) || got.Persistent {
		t.Errorf("got %+v, want %+v", got, sent)
	}
	for name, value := range sent.Headers {
		if got.Headers[name] != value {
			t.Errorf("header %s is %q, want %q", name, got.Headers[name], value)
		}
	}
	if got.UserID == "" {
		t.Error("the user id was lost: a receiver would refuse the message")
	}
}

func orderIsKept(t *testing.T, bus Bus) {
	const publishers, each = 4, 200
	in := newInbox()
	bus.Subscribe(t.Context(), t, telemetry("rate.#"), in.handle)
	var wg sync.WaitGroup
	for p := range publishers {
		publisher := bus.Publisher(t)
		wg.Go(func() {
			for n := range each {
				publisher.Publish(plain(fmt.Sprintf("rate.edge.p%d", p), fmt.Sprintf("%d/%03d", p, n)))
			}
		})
	}
	wg.Wait()
	for p := range publishers {
		in.until(t, fmt.Sprintf("%d/%03d", p, each-1))
	}
	next := make(map[string]int)
	for _, m := range in.messages() {
		var p string
		var n int
		if _, err := fmt.Sscanf(m.MessageID, "%1s/%d", &p, &n); err != nil {
			t.Fatal(err)
		}
		if n != next[p] {
			t.Fatalf("publisher %s: message %d came when %d was due", p, n, next[p])
		}
		next[p]++
	}
}

func topicsRoute(t *testing.T, bus Bus) {
	patterns := []string{"rate.#", "rate.edge.*", "*.edge.#", "#", "rate.edge.a", "rate.*", "#.a", "life.#.a", "*.*.*"}
	keys := []string{"rate.edge.a", "rate.edge.b", "rate.video.a", "miss.edge.a", "life.edge.a", "rate", "origin.www.example.com", "life.a"}
	publisher := bus.Publisher(t)
	inboxes := make([]*inbox, len(patterns))
	for i, pattern := range patterns {
		inboxes[i] = newInbox()
		// The last word "end" of the end marker matches no other pattern here, so each gets a binding for it.
		bus.Subscribe(t.Context(), t, append(telemetry(pattern), telemetry("end.of.test.run")...), inboxes[i].handle)
	}
	for _, key := range keys {
		publisher.Publish(plain(key, key))
	}
	publisher.Publish(plain("end.of.test.run", "end"))
	for i, pattern := range patterns {
		inboxes[i].until(t, "end")
		var want []string
		for _, key := range keys {
			if events.Matches(pattern, key) {
				want = append(want, key)
			}
		}
		if got := inboxes[i].ids(); !slices.Equal(got, append(want, "end")) {
			t.Errorf("%q got %v, want %v", pattern, got, want)
		}
	}
}

func exchangesAreApart(t *testing.T, bus Bus) {
	in := newInbox()
	bus.Subscribe(t.Context(), t, []events.Binding{{Exchange: events.ExchangeDecision, Key: "#"}}, in.handle)
	publisher := bus.Publisher(t)
	publisher.Publish(plain("rate.edge.a", "telemetry"))
	decision := plain("decision.edge", "decision")
	decision.Exchange = events.ExchangeDecision
	publisher.Publish(decision)
	in.until(t, "decision")
	if got := in.ids(); len(got) != 1 {
		t.Errorf("got %v, want the decision only", got)
	}
}

func deliveredOnce(t *testing.T, bus Bus) {
	in := newInbox()
	bus.Subscribe(t.Context(), t, telemetry("rate.#", "#", "rate.edge.*"), in.handle)
	publisher := bus.Publisher(t)
	publisher.Publish(plain("rate.edge.a", "one"))
	publisher.Publish(plain("rate.edge.a", "two"))
	in.until(t, "two")
	if got := in.ids(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("got %v, want one and two", got)
	}
}

func everySubscriber(t *testing.T, bus Bus) {
	inboxes := []*inbox{newInbox(), newInbox(), newInbox()}
	for _, in := range inboxes {
		bus.Subscribe(t.Context(), t, telemetry("rate.#"), in.handle)
	}
	publisher := bus.Publisher(t)
	var want []string
	for n := range 50 {
		want = append(want, fmt.Sprint(n))
		publisher.Publish(plain("rate.edge.a", want[n]))
	}
	for i, in := range inboxes {
		in.until(t, "49")
		if got := in.ids(); !slices.Equal(got, want) {
			t.Errorf("subscriber %d got %v", i, got)
		}
	}
}

// slowSubscriber has one subscriber that hangs. Publishers return and the others get everything.
func slowSubscriber(t *testing.T, bus Bus) {
	hang := make(chan struct{})
	stuck := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	slow := bus.Subscribe(ctx, t, telemetry("rate.#"), func(events.Message) {
		select {
		case stuck <- struct{}{}:
		default:
		}
		<-hang
	})
	in := newInbox()
	bus.Subscribe(t.Context(), t, telemetry("rate.#"), in.handle)
	publisher := bus.Publisher(t)
	publisher.Publish(plain("rate.edge.a", "first"))
	<-stuck
	start := time.Now()
	for n := range 200 {
		publisher.Publish(plain("rate.edge.a", fmt.Sprint(n)))
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("publishing took %v while a subscriber hung", took)
	}
	in.until(t, "199")
	close(hang)
	cancel()
	<-slow
}

func unheard(t *testing.T, bus Bus) {
	publisher := bus.Publisher(t)
	publisher.Publish(plain("rate.edge.a", "before"))
	// The marker comes back on another subscription, so "before" has been routed, to nobody, when that one starts to listen.
	marker := newInbox()
	bus.Subscribe(t.Context(), t, telemetry("marker"), marker.handle)
	publisher.Publish(plain("marker", "marker"))
	marker.until(t, "marker")
	in := newInbox()
	bus.Subscribe(t.Context(), t, telemetry("rate.#"), in.handle)
	publisher.Publish(plain("rate.edge.a", "after"))
	in.until(t, "after")
	if got := in.ids(); !slices.Equal(got, []string{"after"}) {
		t.Errorf("got %v, want only what was published after subscribing", got)
	}
}

func cancelEnds(t *testing.T, bus Bus) {
	ctx, cancel := context.WithCancel(t.Context())
	ended, stays := newInbox(), newInbox()
	done := bus.Subscribe(ctx, t, telemetry("rate.#"), ended.handle)
	bus.Subscribe(t.Context(), t, telemetry("rate.#"), stays.handle)
	publisher := bus.Publisher(t)
	publisher.Publish(plain("rate.edge.a", "one"))
	ended.until(t, "one")
	cancel()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the subscription did not end")
	}
	publisher.Publish(plain("rate.edge.a", "two"))
	stays.until(t, "two")
	if got := ended.ids(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %v after the end", got)
	}
}

// eventsSurvive sends one event of each type that this package can address to a bus whose user is the fleet, and decodes it again.
func eventsSurvive(t *testing.T, bus Bus) {
	in := newInbox()
	bus.Subscribe(t.Context(), t, events.ControllerBindings(), in.handle)
	publisher := bus.Publisher(t)
	rate, err := events.EncodeRate(attributes(1), events.Rate{WindowMS: 1000, Offered: 42, Status: events.StatusCounts{Hit: 42}, Warm: 1})
	if err != nil {
		t.Fatal(err)
	}
	miss, err := events.EncodeMiss(attributes(2), events.Miss{WindowMS: 1000, Misses: 3, Distinct: 2, TopMissing: []events.KeyCount{{Key: "/a?b=<c>", Count: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	publisher.Publish(rate)
	publisher.Publish(miss)
	in.until(t, miss.MessageID)
	for i, m := range in.messages() {
		e, err := events.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq != uint64(i+1) || e.Sender().Fleet != Fleet {
			t.Errorf("got %+v", e.Attributes)
		}
	}
}

// Fleet is the fleet for which the tests speak. Where a bus knows users, its publishers are this one.
const Fleet = "edge"

func attributes(seq uint64) events.Attributes {
	return events.Attributes{Source: events.Source(Fleet, "edge-1"), BootID: "0123456789abcdef", Seq: seq}
}

func plain(key, id string) events.Message {
	return events.Message{Exchange: events.ExchangeTelemetry, Key: key, MessageID: id, ContentType: events.ContentTypeJSON, Body: []byte("{}")}
}

func telemetry(patterns ...string) (bindings []events.Binding) {
	for _, pattern := range patterns {
		bindings = append(bindings, events.Binding{Exchange: events.ExchangeTelemetry, Key: pattern})
	}
	return bindings
}
