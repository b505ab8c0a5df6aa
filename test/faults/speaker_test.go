package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
)

// speaker is an edge that only talks: one window a second, and one at once when its load is set.
type speaker struct {
	fleet, pod string
	publisher  *rabbitmq.Publisher

	rps   atomic.Uint64
	muted atomic.Bool
	skew  time.Duration // of its clock
	now   chan struct{}
	seq   atomic.Uint64
}

// speak starts an edge that talks through its own path to the broker.
func (w *world) speak(fleetName string, i int, rps uint64) (*speaker, *link) {
	w.Helper()
	l := newLink(w, w.broker.Addr())
	host, port := l.hostPort()
	return w.speakTo(host, port, fleetName, i, rps, 0), l
}

func (w *world) speakTo(host string, port int, fleetName string, i int, rps uint64, skew time.Duration) *speaker {
	w.Helper()
	s := &speaker{fleet: fleetName, pod: podName(fleetName, i), now: make(chan struct{}, 1), skew: skew}
	s.rps.Store(rps)
	s.publisher = w.publisher(host, port, fleetName, s.poke)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	w.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s
}

// publisher runs a connection of a fleet until the test ends.
func (w *world) publisher(host string, port int, fleetName string, onUp func()) *rabbitmq.Publisher {
	w.Helper()
	p, err := rabbitmq.NewPublisher(rabbitmq.Options{
		Host: host, Port: port, VHost: w.vhost, Username: fleetName, PasswordFile: w.passwords + "/" + fleetName, OnUp: onUp,
	})
	w.check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	w.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return p
}

func (s *speaker) poke() {
	select {
	case s.now <- struct{}{}:
	default:
	}
}

// set changes the load, and tells it at once.
func (s *speaker) set(rps uint64) {
	s.rps.Store(rps)
	s.poke()
}

func (s *speaker) run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		early := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.now:
			early = true
		}
		if !s.muted.Load() {
			s.say(&events.Rate{WindowMS: 1000, Offered: s.rps.Load(), Early: early, Warm: 1})
		}
	}
}

func (s *speaker) say(body events.Body) {
	m, err := events.Encode(events.Attributes{
		Source: events.Source(s.fleet, s.pod), BootID: "boot-0001", Seq: s.seq.Add(1), Time: time.Now().Add(s.skew),
	}, body)
	if err != nil {
		panic(err) // the test's own mistake
	}
	s.publisher.Publish(m)
}

// witness hears all telemetry on a connection that no fault touches, and keeps the books.
type witness struct {
	mu       sync.Mutex
	heard    map[string]map[uint64]int // by source and sequence
	arrivals map[string][]window       // by source
}

// window is one arrival.
type window struct {
	at  time.Time
	age time.Duration // since it was said; the clocks are one
}

func (w *world) witness() *witness {
	w.Helper()
	return w.witnessAt(w.broker.GuestURL(w.vhost))
}

func (w *world) witnessAt(url string) *witness {
	w.Helper()
	seen := &witness{heard: map[string]map[uint64]int{}, arrivals: map[string][]window{}}
	queue := events.ControllerQueue()
	queue.Bindings = []events.Binding{{Exchange: events.ExchangeTelemetry, Key: "rate.#"}}
	consumer, err := rabbitmq.NewConsumer(rabbitmq.Options{URL: url}, queue, seen.hear)
	w.check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = consumer.Run(ctx) })
	w.Cleanup(func() {
		cancel()
		running.Wait()
	})
	eventually(w, "the witness listens", 2*time.Minute, func() bool { return consumer.State() == rabbitmq.StateUp })
	return seen
}

func (s *witness) hear(m events.Message) {
	e, err := events.Decode(m)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard[e.Source] == nil {
		s.heard[e.Source] = map[uint64]int{}
	}
	s.heard[e.Source][e.Seq]++
	now := time.Now()
	s.arrivals[e.Source] = append(s.arrivals[e.Source], window{now, now.Sub(e.Time)})
}

// since returns the windows of a source that came after a time.
func (s *witness) since(source string, from time.Time) []window {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.arrivals[source]
	i := slices.IndexFunc(all, func(w window) bool { return w.at.After(from) })
	if i < 0 {
		return nil
	}
	return slices.Clone(all[i:])
}

// staleAge is well above the two seconds that a window may wait for the broker.
const staleAge = 5 * time.Second

// recovers waits until an edge is heard again after a fault ended. What waited meanwhile must not come as a backlog, which would look like load:
// a few old windows may have lain in the broker's own buffers.
func (s *witness) recovers(r *row, edge *process, source string) {
	r.Helper()
	ended := time.Now()
	r.promise("the edge's connection was up again", eventually(r, "the edge's connection is up", 90*time.Second, func() bool {
		return edge.metric("surgewall_broker_publisher_state", `state="up"`) == 1
	}), redial)
	up := time.Now()
	eventually(r, source+" is heard again", 90*time.Second, func() bool { return len(s.since(source, ended)) > 0 })
	r.promise("its first window came after that", max(0, s.since(source, ended)[0].at.Sub(up)), time.Second)
	eventually(r, source+" goes on", 30*time.Second, func() bool { return len(s.since(source, ended)) >= 5 })
	stale := 0
	oldest := time.Duration(0)
	for _, w := range s.since(source, ended) {
		if oldest = max(oldest, w.age); w.age > staleAge {
			stale++
		}
	}
	r.show("the oldest of the windows that then came was %v old, %d were older than %v", oldest.Round(10*time.Millisecond), stale, staleAge)
	if stale > 3 {
		r.Errorf("%d windows older than %v came after the fault: a backlog", stale, staleAge)
	}
}

// ledger closes the books of one speaker, twice: whatever it said was published, or dropped for a reason; and whatever was published arrived once,
// or was lost on a path that broke.
type ledger struct {
	said, published, overflowed, expired, failed, waiting uint64
	arrived, twice, lost                                  uint64
}

func (l ledger) String() string {
	return fmt.Sprintf("%d said = %d published + %d overflowed + %d expired + %d failed; of the published ones %d arrived, %d twice, %d were lost on a broken path",
		l.said, l.published, l.overflowed, l.expired, l.failed, l.arrived, l.twice, l.lost)
}

// balanced reports whether what was said is what is accounted for, in both books. What failed may have arrived: the path broke while it was written.
func (l ledger) balanced() bool {
	return l.said == l.published+l.overflowed+l.expired+l.failed+l.waiting && l.waiting == 0 && l.arrived <= l.published+l.failed && l.twice == 0
}

// lostByAFault is the most that a speaker can lose by one: what it says in the seven and a half seconds until a dead path is noticed, with a margin for
// a busy machine.
const lostByAFault = 15

// balance stops the speakers and closes their books. On a path on which no fault came nothing may be lost.
func (s *witness) balance(t testing.TB, faults int, speakers ...*speaker) ledger {
	t.Helper()
	var sum ledger
	for _, sp := range speakers {
		sp.muted.Store(true)
		source := events.Source(sp.fleet, sp.pod)
		var l ledger
		book := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			c := sp.publisher.Counters()
			l = ledger{said: sp.seq.Load(), published: c.Published, overflowed: c.Overflowed, expired: c.Expired, failed: c.Failed,
				waiting: uint64(sp.publisher.Waiting()), arrived: uint64(len(s.heard[source]))} //nolint:gosec // not negative
			for _, n := range s.heard[source] {
				l.twice += uint64(n - 1) //nolint:gosec // not negative
			}
			l.lost = l.published - min(l.published, l.arrived)
			return l.balanced() && l.lost == 0
		}
		// The last words may be under way.
		limit := 10 * time.Second
		if faults > 0 {
			limit = 3 * time.Second // what a fault took does not come
		}
		for end := time.Now().Add(limit); !book() && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if !l.balanced() || l.lost > uint64(faults)*lostByAFault { //nolint:gosec // not negative
			t.Errorf("the books of %s do not balance after %d faults: %s", source, faults, l)
		}
		sum.said, sum.published, sum.overflowed, sum.expired = sum.said+l.said, sum.published+l.published, sum.overflowed+l.overflowed, sum.expired+l.expired
		sum.failed, sum.arrived, sum.twice, sum.lost = sum.failed+l.failed, sum.arrived+l.arrived, sum.twice+l.twice, sum.lost+l.lost
	}
	return sum
}
