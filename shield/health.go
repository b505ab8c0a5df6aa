package shield

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/surgewall/surgewall/events"
)

const (
	// slowAfter is the median time to first byte from which an origin is called slow.
	slowAfter = time.Second
	// sampled is how many times to first byte of a window are kept for the median: a random sample, good to a few percent.
	sampled = 256
)

// health is what the fetches say about the origin. It is safe for concurrent use.
type health struct {
	fetches, failed atomic.Uint64

	mu     sync.Mutex
	window sample // guarded by mu
}

// sample is one window of fetches.
type sample struct {
	fetches, failed uint64
	unanswered      uint64          // of failed: without any response
	times           []time.Duration // to first byte, of those with a response; a random sample
	answered        int
}

// observe takes a fetch that has its response header, or has failed. One that was given up by those who wanted it says nothing, and one that
// the origin is meant to hold is only counted.
func (h *health) observe(took time.Duration, response *http.Response, err error, held, givenUp bool) {
	if err != nil && givenUp {
		return
	}
	failed := err != nil || response.StatusCode >= 500
	h.fetches.Add(1)
	if failed {
		h.failed.Add(1)
	}
	if held {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &h.window
	w.fetches++
	if failed {
		w.failed++
	}
	if err != nil {
		w.unanswered++
		return
	}
	w.answered++
	if len(w.times) < sampled {
		w.times = append(w.times, took)
	} else if i := rand.IntN(w.answered); i < sampled {
		w.times[i] = took
	}
}

// take returns the window so far and begins the next.
func (h *health) take() sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	window := h.window
	h.window = sample{}
	return window
}

func (s sample) median() time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s.times))
	return sorted[len(sorted)/2]
}

// state says how the origin looks after this window. A window without fetches is no news: the origin stays what it was.
func (s sample) state(before events.OriginState) events.OriginState {
	switch {
	case s.fetches == 0:
		return before
	case s.unanswered == s.fetches:
		return events.OriginDown
	case 2*s.failed >= s.fetches:
		return events.OriginFailing
	case s.median() >= slowAfter:
		return events.OriginSlow
	}
	return events.OriginHealthy
}
