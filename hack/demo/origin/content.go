package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/surgewall/surgewall/hack/demo/object"
)

// modified is the Last-Modified of every object: they never change.
var modified = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// content serves the objects and enters every fetch in the ledger.
type content struct {
	ledger   *ledger
	controls *controls
	now      func() time.Time
}

// ServeHTTP implements http.Handler. Besides /obj/… it knows "?stream=1" (no Content-Length) and "?private=1" (not to be shared).
func (c *content) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !object.IsObject(r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	size, err := object.Size(r.URL)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	settings := c.controls.get()
	key := r.URL.RequestURI()
	private := r.URL.Query().Get("private") == "1"
	lifetime := time.Duration(settings.MaxAgeS) * time.Second
	if private {
		lifetime = 0
	}
	c.ledger.arrive(key, c.now(), lifetime)
	out := &meteredWriter{ResponseWriter: w, rate: settings.RateBytes, r: r}
	defer func() { c.ledger.leave(out.bytes, out.code == http.StatusNotModified, out.code >= 500) }()
	if !wait(r, time.Duration(settings.LatencyMS)*time.Millisecond) {
		return
	}
	if rand.Float64() < settings.FailRatio {
		c.ledger.spoil(key)
		out.Header().Set("Cache-Control", "no-store")
		http.Error(out, "the origin fails on purpose", http.StatusServiceUnavailable)
		return
	}
	body := object.New(key, size)
	h := out.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("ETag", body.ETag())
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(settings.MaxAgeS))
	if private {
		h.Set("Cache-Control", "private, no-store")
	}
	if r.URL.Query().Get("stream") == "1" {
		h.Set("Last-Modified", modified.Format(http.TimeFormat))
		stream(out, body)
		return
	}
	http.ServeContent(out, r, "", modified, body)
}

// stream sends the body in pieces and without a length.
func stream(w *meteredWriter, body io.Reader) {
	control := http.NewResponseController(w)
	for {
		_, err := io.CopyN(w, body, 16<<10)
		if ferr := control.Flush(); ferr != nil || errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			return
		}
	}
}

// wait is a pause that ends with its request; false when that came first.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// meteredWriter counts the body and, where a rate is set, holds it down to that.
type meteredWriter struct {
	http.ResponseWriter
	r     *http.Request
	rate  int // bytes per second; 0: no limit
	code  int
	bytes uint64
}

func (m *meteredWriter) WriteHeader(code int) {
	m.code = code
	m.ResponseWriter.WriteHeader(code)
}

func (m *meteredWriter) Write(p []byte) (int, error) {
	if m.rate <= 0 {
		n, err := m.ResponseWriter.Write(p)
		m.bytes += uint64(n)
		return n, err
	}
	written := 0
	for len(p) > 0 {
		// A twentieth of a second's worth at a time, so that readers see a steady trickle.
		n, err := m.ResponseWriter.Write(p[:min(len(p), max(m.rate/20, 1))])
		written, p = written+n, p[n:]
		m.bytes += uint64(n)
		if err != nil {
			return written, err
		}
		if err := http.NewResponseController(m.ResponseWriter).Flush(); err != nil {
			return written, err
		}
		if !wait(m.r, time.Duration(float64(n)/float64(m.rate)*float64(time.Second))) {
			return written, m.r.Context().Err()
		}
	}
	return written, nil
}

// Unwrap lets http.ResponseController reach the connection.
func (m *meteredWriter) Unwrap() http.ResponseWriter { return m.ResponseWriter }
