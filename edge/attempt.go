package edge

import (
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// suspects remembers members that could not be connected to, so that a miss does not wait for a connection to a node that is gone
// each time. It is safe for concurrent use.
type suspects struct {
	period time.Duration
	mu     sync.Mutex
	until  map[string]time.Time // guarded by mu
}

// add makes the member a suspect and reports whether it was none.
func (s *suspects) add(member string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.until[member]
	s.until[member] = time.Now().Add(s.jittered())
	return !known
}

func (s *suspects) clear(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, member)
}

// avoid reports whether to leave the member for last. When the time of a suspect is over, one caller who would try it first is told to
// do so, and the others go on avoiding it: a burst of misses must not wait for the same dead node. A caller who has another member before
// it would use up that one try without making it.
func (s *suspects) avoid(member string, first bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.until[member]
	if !known {
		return false
	}
	now := time.Now()
	if now.Before(until) || !first {
		return true
	}
	s.until[member] = now.Add(s.jittered())
	return false
}

func (s *suspects) jittered() time.Duration {
	return time.Duration((0.75 + rand.Float64()/2) * float64(s.period))
}

// countedBody counts what is received from an upstream.
type countedBody struct {
	io.ReadCloser
	meter *Meter
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.meter.received(n)
	return n, err
}
