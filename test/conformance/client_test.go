package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// rig is a shield between an origin and clients.
type rig struct {
	t      testing.TB
	origin *testorigin.Origin
	shield *shield
	client *http.Client
}

func newRig(t testing.TB, flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, origin: testorigin.New(t)}
	r.shield = startShield(t, r.origin.URL(), flags...)
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 2000}
	t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{Transport: transport}
	return r
}

// answer is what one client got.
type answer struct {
	code       int
	header     http.Header
	body       []byte
	err        error // of the request or of reading the body
	began      time.Time
	ttfb, took time.Duration // to the first byte of the body, or to its end where it is empty; to the end
}

// ask sends one request; fields are name, value pairs.
func (r *rig) ask(ctx context.Context, method, path string, fields ...string) answer {
	a := answer{began: time.Now()}
	request, err := http.NewRequestWithContext(ctx, method, r.shield.url+path, nil)
	if err != nil {
		r.t.Error(err)
		return answer{err: err}
	}
	for i := 0; i+1 < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		a.err, a.took = err, time.Since(a.began)
		return a
	}
	defer response.Body.Close()
	a.code, a.header = response.StatusCode, response.Header
	first := make([]byte, 1)
	n, err := io.ReadFull(response.Body, first)
	a.ttfb = time.Since(a.began)
	var body bytes.Buffer
	body.Grow(int(max(response.ContentLength, 0)) + bytes.MinRead)
	body.Write(first[:n])
	if err == nil {
		_, err = io.Copy(&body, response.Body)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	a.body, a.err, a.took = body.Bytes(), err, time.Since(a.began)
	return a
}

func (r *rig) get(path string, fields ...string) answer {
	return r.ask(r.t.Context(), "GET", path, fields...)
}

// many sends n requests at once and waits for all answers.
func (r *rig) many(n int, request func(i int) answer) []answer {
	answers := make([]answer, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { answers[i] = request(i) })
	}
	group.Wait()
	return answers
}

// later is many in the background, after a delay; the returned function waits for the answers.
func (r *rig) later(delay time.Duration, n int, request func(i int) answer) func() []answer {
	var answers []answer
	done := make(chan struct{})
	time.AfterFunc(delay, func() {
		defer close(done)
		answers = r.many(n, request)
	})
	return func() []answer { <-done; return answers }
}

// connect opens n connections and leaves them idle, so that a burst measures the cache and not the handshakes before it.
func (r *rig) connect(n int) {
	r.t.Helper()
	hold := make(chan struct{})
	path := fmt.Sprintf("/connect/%d", time.Now().UnixNano())
	r.origin.Serve(path, testorigin.Response{Header: fresh, Hold: hold})
	answers := r.later(0, n, func(int) answer { return r.get(path) })
	time.AfterFunc(100*time.Millisecond+time.Duration(n)*200*time.Microsecond, func() { close(hold) })
	for _, a := range answers() {
		if a.err != nil {
			r.t.Fatalf("connect: %v", a.err)
		}
	}
}

// quiet blocks until the shield has nothing under way at the origin.
func (r *rig) quiet() {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); r.shield.metric("surgewall_origin_in_flight") > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("the shield is still busy at the origin after 20 s")
		}
	}
	// The turn at the origin ends a moment before the body is in the store.
	time.Sleep(5 * time.Millisecond)
}

// want checks that every answer is complete and as expected.
func want(t testing.TB, answers []answer, code int, body []byte) {
	t.Helper()
	for i, a := range answers {
		if a.err != nil || a.code != code || !bytes.Equal(a.body, body) {
			t.Errorf("client %d of %d: code %d, %d of %d bytes, same %v, error %v, Cache-Status %q; want %d", i, len(answers), a.code,
				len(a.body), len(body), bytes.Equal(a.body, body), a.err, a.header.Get("Cache-Status"), code)
			return
		}
	}
}

func slowest(answers []answer) (d time.Duration) {
	for _, a := range answers {
		d = max(d, a.took)
	}
	return d
}

func slowestFirstByte(answers []answer) (d time.Duration) {
	for _, a := range answers {
		d = max(d, a.ttfb)
	}
	return d
}

const ms = time.Millisecond

func cc(value string) map[string]string { return map[string]string{"Cache-Control": value} }

var fresh = cc("max-age=60")
