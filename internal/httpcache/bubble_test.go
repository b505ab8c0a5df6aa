package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// bubble is a cache whose clients and upstream are in the test's hands, step by
// step and without a network. It lives in a synctest bubble: after each step
// everything has come as far as it can.
type bubble struct {
	t     *testing.T
	cache *Cache
	store *store.Memory
	calls []*call // at the upstream without an answer, oldest first
	mu    sync.Mutex
}

// call is a request that the upstream has got. The test answers it once.
type call struct {
	r       *http.Request
	answ    chan callAnswer
	version int // for the test, of what was there when it came; 0 until it is set
}

type callAnswer struct {
	resp *http.Response
	err  error
}

func newBubble(t *testing.T, change ...func(*Options)) *bubble {
	t.Helper()
	b := &bubble{t: t, store: store.NewMemory(8 << 20)}
	opt := Options{Name: "test", Store: b.store, Upstream: roundTrip(b.roundTrip)}
	for _, f := range change {
		f(&opt)
	}
	var err error
	if b.cache, err = New(opt); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bubble) roundTrip(r *http.Request) (*http.Response, error) {
	c := &call{r: r, answ: make(chan callAnswer, 1)}
	b.mu.Lock()
	b.calls = append(b.calls, c)
	b.mu.Unlock()
	select {
	case a := <-c.answ:
		return a.resp, a.err
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

// next takes the i-th call that waits for an answer; nil if there are fewer.
func (b *bubble) next(i int) *call {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := b.calls[:0]
	for _, c := range b.calls {
		if c.r.Context().Err() == nil {
			waiting = append(waiting, c)
		}
	}
	b.calls = waiting
	if i >= len(waiting) {
		return nil
	}
	c := waiting[i]
	b.calls = append(b.calls[:i:i], b.calls[i+1:]...)
	return c
}

// answer gives a call its header; the body follows as it is fed. length is -1
// for a body without Content-Length.
func (c *call) answer(status int, h http.Header, length int64) *feed {
	f := &feed{ctx: c.r.Context(), changed: make(chan struct{})}
	if length >= 0 {
		h.Set("Content-Length", itoa(length))
	}
	c.answ <- callAnswer{resp: &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: h, ContentLength: length, Body: f, Request: c.r}}
	return f
}

func (c *call) fail() { c.answ <- callAnswer{err: errors.New("connection refused")} }

// feed is a body that arrives as the test lets it.
type feed struct {
	ctx     context.Context
	mu      sync.Mutex
	data    []byte
	err     error // after data
	closed  bool
	changed chan struct{}
}

func (f *feed) send(p []byte, end error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data, f.err = append(f.data, p...), end
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) Read(p []byte) (int, error) {
	for {
		f.mu.Lock()
		n, err, changed := copy(p, f.data), f.err, f.changed
		f.data = f.data[n:]
		f.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-changed:
		case <-f.ctx.Done():
			return 0, context.Cause(f.ctx)
		}
	}
}

func (f *feed) Close() error {
	f.send(nil, io.ErrClosedPipe)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// client is one request and what came of it.
type client struct {
	r      *http.Request
	cancel context.CancelFunc
	header http.Header

	reply // as the last call of result found it

	mu      sync.Mutex
	now     reply
	body    []byte
	aborted bool
	done    bool
	resumed chan struct{} // nil while it reads; a write blocks until it is closed
}

// reply is what a client got before the body.
type reply struct {
	interim []int // status codes before the final one
	code    int
	sent    http.Header // as it was when the code was sent
}

// start begins a request; fields are name, value pairs.
func (b *bubble) start(method, path string, fields ...string) *client {
	ctx, cancel := context.WithCancel(b.t.Context())
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	c := &client{r: r, cancel: cancel, header: make(http.Header)}
	go func() {
		defer cancel()
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares so, too
				panic(p)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.done, c.aborted = true, p != nil
		}()
		b.cache.ServeHTTP(c, r)
	}()
	synctest.Wait()
	return c
}

func (c *client) Header() http.Header { return c.header }
func (c *client) Flush()              {}

func (c *client) WriteHeader(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if code < 200 {
		c.now.interim = append(c.now.interim, code)
		return
	}
	c.now.code, c.now.sent = code, c.header.Clone()
}

func (c *client) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.now.code == 0 {
		c.now.code, c.now.sent = http.StatusOK, c.header.Clone()
	}
	resumed := c.resumed
	c.mu.Unlock()
	if resumed != nil {
		select {
		case <-resumed:
		case <-c.r.Context().Done():
			return 0, c.r.Context().Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.body = append(c.body, p...)
	return len(p), nil
}

// pause makes the client take nothing more until resume.
func (c *client) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed == nil {
		c.resumed = make(chan struct{})
	}
}

func (c *client) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed != nil {
		close(c.resumed)
		c.resumed = nil
	}
}

// result is what the client has by now.
func (c *client) result() (body []byte, done, aborted bool) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = c.now
	return c.body, c.done, c.aborted
}

func (c *client) status() string { return strings.Join(c.sent["Cache-Status"], ", ") }
