package boot

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// Health knows whether this process should get requests. It is safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	checks   map[string]func() error // guarded by mu
	draining bool                    // guarded by mu
}

// NewHealth returns a Health without checks: ready.
func NewHealth() *Health { return &Health{checks: map[string]func() error{}} }

// Require makes readiness depend on a check: nil is ready, an error is the reason why not. The check is asked at each look, so it has
// to be quick and safe for concurrent use. A dependency that requests can be served without is no reason to be not ready.
func (h *Health) Require(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// Drain makes the process not ready for good.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// Draining reports whether Drain was called.
func (h *Health) Draining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

// reasons lists why the process is not ready, none when it is.
func (h *Health) reasons() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var reasons []string
	if h.draining {
		reasons = append(reasons, "draining")
	}
	for _, name := range slices.Sorted(maps.Keys(h.checks)) {
		if err := h.checks[name](); err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %v", name, err))
		}
	}
	return reasons
}

func (h *Health) serveReady(w http.ResponseWriter, _ *http.Request) {
	reasons := h.reasons()
	if len(reasons) == 0 {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, reason := range reasons {
		fmt.Fprintln(w, reason)
	}
}
