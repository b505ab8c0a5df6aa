// Package membus is a bus within one process: topic routing as a broker does it, for tests and for a process that is its own edge and controller.
//
// Like the broker, it never lets a slow subscriber hold up a publisher: each subscription has a queue of its own, and where that is full
// the oldest message goes.
package membus

import (
	"context"
	"sync"

	"github.com/surgewall/surgewall/events"
)

// DefaultLimit is how many messages wait for one subscriber at most.
const DefaultLimit = 100_000

// Bus routes messages. Any goroutine may use it.
type Bus struct {
	limit int

	mu            sync.Mutex
	subscriptions map[*subscription]struct{}
}

// New returns a bus on which at most DefaultLimit messages wait for each subscriber.
func New() *Bus { return NewLimited(DefaultLimit) }

// NewLimited returns a bus on which at most limit messages wait for each subscriber, and at least one.
func NewLimited(limit int) *Bus {
	return &Bus{limit: max(limit, 1), subscriptions: make(map[*subscription]struct{})}
}

// Publish hands m to every subscription that has a matching binding, once each, and returns at once.
func (b *Bus) Publish(m events.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// Under one lock for all queues: subscribers see the messages of several publishers in one order.
	for s := range b.subscriptions {
		if s.wants(m) {
			s.push(m, b.limit)
		}
	}
}

// Subscribe routes what matches any of the bindings to handle, which is called by one goroutine in the order of publication.
// The subscription is in place when Subscribe returns. It ends with ctx: what still waits then is thrown away, and the result is closed
// once handle will not be called again.
func (b *Bus) Subscribe(ctx context.Context, bindings []events.Binding, handle func(events.Message)) (done <-chan struct{}) {
	s := &subscription{bindings: bindings, ready: make(chan struct{}, 1)}
	b.mu.Lock()
	b.subscriptions[s] = struct{}{}
	b.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.run(ctx, handle)
		b.mu.Lock()
		delete(b.subscriptions, s)
		b.mu.Unlock()
	}()
	return ended
}

// subscription is the queue of one subscriber.
type subscription struct {
	bindings []events.Binding
	mu       sync.Mutex
	queue    []events.Message
	// ready holds a token while there may be something in the queue.
	ready chan struct{}
}

func (s *subscription) wants(m events.Message) bool {
	for _, b := range s.bindings {
		if b.Exchange == m.Exchange && events.Matches(b.Key, m.Key) {
			return true
		}
	}
	return false
}

func (s *subscription) push(m events.Message, limit int) {
	s.mu.Lock()
	if len(s.queue) == limit {
		s.queue[0] = events.Message{}
		s.queue = s.queue[1:]
	}
	s.queue = append(s.queue, m)
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *subscription) pop() (m events.Message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return events.Message{}, false
	}
	m, s.queue[0] = s.queue[0], events.Message{}
	s.queue = s.queue[1:]
	return m, true
}

func (s *subscription) run(ctx context.Context, handle func(events.Message)) {
	for ctx.Err() == nil {
		m, ok := s.pop()
		if ok {
			handle(m)
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.ready:
		}
	}
}
