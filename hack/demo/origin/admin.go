package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// settings is how the origin behaves. All of it can be changed while it runs.
type settings struct {
	LatencyMS int     `json:"latency_ms"` // before the first byte; 0 to 600000
	FailRatio float64 `json:"fail_ratio"` // share of the fetches that are answered 503; 0 to 1
	MaxAgeS   int     `json:"max_age_s"`  // freshness lifetime in seconds; 0 to 31536000
	RateBytes int     `json:"rate_bytes"` // most bytes per second of one body; 0: no limit
}

func (s settings) validate() error {
	switch {
	case s.LatencyMS < 0 || s.LatencyMS > 600_000:
		return fmt.Errorf("latency_ms %d: want 0 to 600000", s.LatencyMS)
	case !(s.FailRatio >= 0 && s.FailRatio <= 1):
		return fmt.Errorf("fail_ratio %v: want 0 to 1", s.FailRatio)
	case s.MaxAgeS < 0 || s.MaxAgeS > 31_536_000:
		return fmt.Errorf("max_age_s %d: want 0 to 31536000", s.MaxAgeS)
	case s.RateBytes < 0 || s.RateBytes > 1<<40:
		return fmt.Errorf("rate_bytes %d: want 0 to %d", s.RateBytes, 1<<40)
	}
	return nil
}

// controls holds the settings in force. It is safe for concurrent use.
type controls struct {
	mu  sync.Mutex
	now settings
}

func (c *controls) get() settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// change overlays JSON on the settings; keys that it does not name keep their value.
func (c *controls) change(body io.Reader) (settings, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.now
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&next); err != nil {
		return c.now, fmt.Errorf("control: %w", err)
	}
	if err := next.validate(); err != nil {
		return c.now, err
	}
	c.now = next
	return next, nil
}

// admin is the HTTP API beside the content: what was fetched, and how the origin is to behave.
func admin(l *ledger, c *controls) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, l.stats()) })
	mux.HandleFunc("GET /objects", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, l.top(20)) })
	mux.HandleFunc("GET /objects/", func(w http.ResponseWriter, r *http.Request) {
		// The object's own path and query follow the prefix: /objects/obj/a?bytes=1.
		a, ok := l.object(strings.TrimPrefix(r.URL.RequestURI(), "/objects"))
		if !ok {
			// Never fetched is an answer, not an error: it lets a test ask for any object.
			a = account{}
		}
		reply(w, http.StatusOK, a)
	})
	mux.HandleFunc("GET /control", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, c.get()) })
	mux.HandleFunc("POST /control", func(w http.ResponseWriter, r *http.Request) {
		now, err := c.change(http.MaxBytesReader(w, r.Body, 1<<16))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, http.StatusOK, now)
	})
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		l.reset()
		reply(w, http.StatusOK, l.stats())
	})
	return mux
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
}
