package rabbitmq

import (
	"sync"
	"time"

	"github.com/surgewall/surgewall/events"
)

// ring holds what waits for the broker. When it is full the oldest goes: of telemetry, the newest counts. Any goroutine may use it.
type ring struct {
	mu      sync.Mutex
	slots   []slot
	head, n int
	// ready holds a token while there may be something to take.
	ready chan struct{}
}

type slot struct {
	message events.Message
	at      time.Time
}

func newRing(size int) *ring {
	return &ring{slots: make([]slot, size), ready: make(chan struct{}, 1)}
}

// push adds a message that came at the given time, and reports whether the oldest had to go for it.
func (r *ring) push(m events.Message, at time.Time) (dropped bool) {
	r.mu.Lock()
	if dropped = r.n == len(r.slots); dropped {
		r.head = (r.head + 1) % len(r.slots)
		r.n--
	}
	r.slots[(r.head+r.n)%len(r.slots)] = slot{m, at}
	r.n++
	r.mu.Unlock()
	select {
	case r.ready <- struct{}{}:
	default:
	}
	return dropped
}

// pop takes the oldest message.
func (r *ring) pop() (m events.Message, at time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		return events.Message{}, time.Time{}, false
	}
	s := r.slots[r.head]
	// An empty slot must not keep a body alive.
	r.slots[r.head] = slot{}
	r.head = (r.head + 1) % len(r.slots)
	r.n--
	return s.message, s.at, true
}

func (r *ring) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}
