package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

func update(t testing.TB, id string, action events.ContentAction) events.Message {
	t.Helper()
	m, err := events.EncodeContent(
		events.Attributes{Source: events.Source("controller", "controller-0"), BootID: "0123456789abcdef", Seq: 1}, id,
		events.Content{Action: action, Scope: events.ScopeURL, Values: []string{"http://www.example.com/" + id}, Principal: "test"},
	)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// background runs something until the test ends.
func background(t testing.TB, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func confirmer(t testing.TB, o Options) *Confirmer {
	t.Helper()
	c, err := NewConfirmer(o)
	if err != nil {
		t.Fatal(err)
	}
	background(t, c.Run)
	return c
}

// log is what a reader of a stream has got.
type log struct {
	mu      sync.Mutex
	offsets []int64
	ids     []string
}

func (l *log) handle(offset int64, m events.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offsets, l.ids = append(l.offsets, offset), append(l.ids, m.MessageID)
}

func (l *log) read() ([]int64, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.offsets), slices.Clone(l.ids)
}

func (l *log) next() Start {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.offsets) == 0 {
		return Start{}
	}
	return Start{Offset: l.offsets[len(l.offsets)-1] + 1}
}

func reading(t testing.TB, o Options, l *log) *StreamConsumer {
	t.Helper()
	c, err := NewStreamConsumer(o, events.StreamContent, l.next, l.handle)
	if err != nil {
		t.Fatal(err)
	}
	background(t, c.Run)
	eventually(t, "the reader is up", 30*time.Second, func() bool { return c.State() == StateUp })
	return c
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Each way in which a message may end has a name, and nothing is confirmed that no queue has.
func TestEveryOutcomeIsTold(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	o := options(b, vhost)
	var said syncBuffer
	o.Logger, o.BlockedLimit = zerolog.New(&said), 10*time.Minute
	c := confirmer(t, o)
	err := c.Publish(within(t, time.Minute), update(t, "good", events.ContentPurge))
	if err != nil {
		t.Fatal(err)
	}
	// A key that no queue is bound to. The time may be over just when it is on its way once more.
	lost := update(t, "lost", events.ContentPurge)
	lost.Key = "nowhere.www.example.com"
	err = errors.New("never tried")
	for try := 0; try < 30 && !errors.Is(err, ErrReturned); try++ {
		if err = c.Publish(within(t, time.Second), lost); !errors.Is(err, ErrReturned) && !errors.Is(err, ErrUnknown) {
			t.Fatalf("got %v, want it returned", err)
		}
	}
	if !errors.Is(err, ErrReturned) || !strings.Contains(err.Error(), "surgectl setup") {
		t.Errorf("got %v, want it returned and what to do", err)
	}
	if n := strings.Count(said.String(), "broker has no queue"); n != 1 || !strings.Contains(said.String(), lost.Key) {
		t.Errorf("said %d times in one session: %s", n, said.String())
	}
	// A broker that reads nothing any more, for lack of memory. The first finds out, the second waits behind it.
	b.MemoryAlarm(t, true)
	defer b.MemoryAlarm(t, false)
	err = nil
	for try := 0; try < 100 && err == nil; try++ { // the alarm may come a moment after it was asked for
		err = c.Publish(within(t, 300*time.Millisecond), update(t, fmt.Sprint("blocked-", try), events.ContentPurge))
	}
	if !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want unknown", err)
	}
	eventually(t, "the broker blocks", 30*time.Second, func() bool { return c.State() == StateBlocked })
	if err := c.Publish(within(t, 300*time.Millisecond), update(t, "waits", events.ContentPurge)); !errors.Is(err, ErrUnsent) {
		t.Errorf("got %v, want unsent", err)
	}
	b.MemoryAlarm(t, false)
	if err := c.Publish(within(t, 30*time.Second), update(t, "after", events.ContentPurge)); err != nil {
		t.Errorf("after the alarm: %v", err)
	}
	if o := c.Outcomes(); o.Confirmed < 2 || o.Returned != 1 || o.Unknown < 1 || o.Unsent != 1 {
		t.Errorf("%+v", o)
	}
	var l log
	reading(t, options(b, vhost), &l)
	eventually(t, "the confirmed ones are in the stream", 30*time.Second, func() bool {
		_, ids := l.read()
		return slices.Contains(ids, "good") && slices.Contains(ids, "after")
	})
	if _, ids := l.read(); slices.Contains(ids, "lost") || slices.Contains(ids, "waits") {
		t.Errorf("the stream has %v", ids)
	}
}

// Messages with one id, as two callers may publish that repeat themselves: what comes back of one is no word about the other.
func TestOneIDTwice(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	c := confirmer(t, options(b, vhost))
	lost := update(t, "twin", events.ContentPurge)
	lost.Key = "nowhere.www.example.com"
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if err := c.Publish(within(t, 3*time.Second), lost); !errors.Is(err, ErrReturned) && !errors.Is(err, ErrUnknown) {
				t.Errorf("a message that no queue takes: %v", err)
			}
		})
	}
	callers.Wait()
}

// What a lost session may have stored was not surely lost when it is returned the next time.
func TestAReturnAfterALostSessionProvesNothing(t *testing.T) {
	for name, want := range map[string]error{"returned": ErrReturned, "repeated and returned": ErrUnknown} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := NewConfirmer(Options{Host: "localhost"})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- c.Publish(ctx, update(t, "u", events.ContentPurge)) }()
				synctest.Wait()
				p := c.pop()
				p.sent.Store(true)
				if errors.Is(want, ErrUnknown) {
					c.again([]*parcel{p}) // the session ended before the answer
					p = c.pop()
					p.sent.Store(true)
				}
				c.later(p, "NO_ROUTE")
				if err := <-done; !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		})
	}
}

// A full queue refuses, and that is said at once.
func TestAFullQueueIsANack(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	b.Ctl(t, "set_policy", "-p", vhost, "full", "^surgewall.work.prefetch$", `{"max-length":2,"overflow":"reject-publish"}`)
	c := confirmer(t, options(b, vhost))
	var nacked int
	for n := range 200 {
		err := c.Publish(within(t, time.Minute), update(t, fmt.Sprint("work-", n), events.ContentPrefetch))
		if errors.Is(err, ErrNacked) {
			nacked++
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if nacked == 0 {
		t.Error("200 pieces of work went into a queue of two")
	}
}

// A reader that wants to begin elsewhere is given that.
func TestResubscribe(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	c := confirmer(t, options(b, vhost))
	for n := range 5 {
		if err := c.Publish(within(t, time.Minute), update(t, fmt.Sprint("u-", n), events.ContentPurge)); err != nil {
			t.Fatal(err)
		}
	}
	var l log
	r := reading(t, options(b, vhost), &l)
	eventually(t, "all are read", 30*time.Second, func() bool { o, _ := l.read(); return len(o) == 5 })
	l.mu.Lock()
	l.offsets, l.ids = []int64{2}, nil
	l.mu.Unlock()
	r.Resubscribe()
	eventually(t, "two are read again", 30*time.Second, func() bool { _, ids := l.read(); return len(ids) == 2 })
	if offsets, ids := l.read(); !slices.Equal(offsets, []int64{2, 3, 4}) || !slices.Equal(ids, []string{"u-3", "u-4"}) {
		t.Errorf("read %v %v", offsets, ids)
	}
}

// Work that fails goes round until the limit and ends as a dead letter; hopeless work ends there at once; what was done is gone.
func TestWorkEndsOneWayOrTheOther(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	c := confirmer(t, options(b, vhost))
	var mu sync.Mutex
	tries := map[string]int{}
	w, err := NewWorker(options(b, vhost), events.QueuePrefetch, 3, func(_ context.Context, m events.Message) Verdict {
		mu.Lock()
		defer mu.Unlock()
		tries[m.MessageID]++
		switch {
		case m.MessageID == "poison":
			return WorkFailed
		case m.MessageID == "hopeless":
			return WorkHopeless
		case m.MessageID == "second-time" && tries[m.MessageID] == 1:
			return WorkFailed
		}
		return WorkDone
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, w.Run)
	for _, id := range []string{"poison", "fine", "hopeless", "second-time", "fine-too"} {
		if err := c.Publish(within(t, time.Minute), update(t, id, events.ContentPrefetch)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "two dead letters", time.Minute, func() bool { return b.Ready(t, vhost, events.QueueDead) == 2 })
	mu.Lock()
	if tries["poison"] != 6 || tries["hopeless"] != 1 || tries["second-time"] != 2 || tries["fine"] != 1 || tries["fine-too"] != 1 {
		t.Errorf("tries: %v", tries)
	}
	mu.Unlock()

	shelf, err := NewShelf(options(b, vhost), events.QueueDead)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	look := func(limit int, take string) int {
		ids = nil
		total, err := shelf.Visit(t.Context(), limit, func(m events.Message) (bool, bool, error) {
			ids = append(ids, m.MessageID)
			if m.Headers["x-first-death-queue"] != events.QueuePrefetch || m.Headers["x-first-death-reason"] == "" || m.Key != "prefetch.www.example.com" {
				t.Errorf("dead letter %+v", m)
			}
			return m.MessageID == take, false, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(ids)
		return total
	}
	if total := look(1, ""); total != 2 || len(ids) != 1 {
		t.Errorf("%d in all, saw %v", total, ids)
	}
	for range 25 { // more often than RabbitMQ 4 would bear by default
		look(10, "")
	}
	if look(10, "hopeless"); !slices.Equal(ids, []string{"hopeless", "poison"}) {
		t.Errorf("saw %v", ids)
	}
	eventually(t, "one is left", 30*time.Second, func() bool { return look(10, "") == 1 && slices.Equal(ids, []string{"poison"}) })
}

// A worker that loses its session while it works has no say in what becomes of the work.
func TestStaleVerdictsAreDropped(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	c := confirmer(t, options(b, vhost))
	var mu sync.Mutex
	var got []string
	hold := make(chan struct{})
	var once sync.Once
	w, err := NewWorker(options(b, vhost), events.QueuePrefetch, 1, func(ctx context.Context, m events.Message) Verdict {
		mu.Lock()
		got = append(got, m.MessageID)
		mu.Unlock()
		once.Do(func() { close(hold); <-ctx.Done() })
		return WorkDone
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, w.Run)
	for _, id := range []string{"one", "two"} {
		if err := c.Publish(within(t, time.Minute), update(t, id, events.ContentPrefetch)); err != nil {
			t.Fatal(err)
		}
	}
	<-hold
	b.Ctl(t, "close_all_connections", "--vhost", vhost, "test")
	eventually(t, "both are done after the loss", time.Minute, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == 3
	})
	mu.Lock()
	defer mu.Unlock()
	if slices.Sort(got); !slices.Equal(got, []string{"one", "one", "two"}) {
		t.Errorf("worked on %v", got)
	}
	if n := b.Ready(t, vhost, events.QueuePrefetch); n != 0 {
		t.Errorf("%d pieces of work are left", n)
	}
}
