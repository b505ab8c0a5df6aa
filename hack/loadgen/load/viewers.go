package load

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/surgewall/surgewall/hack/demo/object"
)

// viewers is a crowd of clients as one http.RoundTripper: each request is made by a random one of them, and each keeps connections of
// its own. One shared pool would use its most recent connection over and over, so a handful of edges would get all the load.
type viewers struct {
	transports []*http.Transport
	verify     bool
	connected  atomic.Uint64 // connections opened
	resent     atomic.Uint64 // requests that net/http sent again on another connection
	bytes      atomic.Uint64 // body bytes read
}

func newViewers(n int, verify bool) *viewers {
	v := &viewers{verify: verify}
	for range n {
		v.transports = append(v.transports, &http.Transport{
			DialContext:         dialLoopback,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     time.Minute,
		})
	}
	return v
}

// RoundTrip implements http.RoundTripper.
func (v *viewers) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	tries := 0
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			v.connected.Add(1)
		}
		// A GET on a kept connection that the server closed before the first byte is sent again, as browsers do.
		if tries++; tries > 1 {
			v.resent.Add(1)
		}
	}}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	resp, err := v.transports[rand.IntN(len(v.transports))].RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body := io.Reader(resp.Body)
	// 400 and more fail in any case, with their code.
	if v.verify && object.IsObject(r.URL.Path) && resp.StatusCode < 400 {
		size, err := object.Size(r.URL)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%w: none, with status %d", object.ErrWrongBody, resp.StatusCode)
		}
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		body = &wholeBody{Reader: object.Verify(r.URL.RequestURI(), body), left: size}
	}
	resp.Body = &countedBody{Reader: body, closer: resp.Body, bytes: &v.bytes, response: resp, began: began}
	return resp, nil
}

func (v *viewers) close() {
	for _, t := range v.transports {
		t.CloseIdleConnections()
	}
}

// wholeBody fails the read that ends a body before its time. A clean end is no proof: a cache that stored a part of an object announces
// the part's length.
type wholeBody struct {
	io.Reader
	left int64
}

func (b *wholeBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left != 0 {
		err = fmt.Errorf("%w: ends %d bytes early", object.ErrWrongBody, b.left)
	}
	return n, err
}

// countedBody counts what is read, and says of a body that fails how far it came and who sent it: vegeta keeps nothing else of it.
type countedBody struct {
	io.Reader
	closer   io.Closer
	bytes    *atomic.Uint64
	response *http.Response
	began    time.Time
	read     int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.bytes.Add(uint64(n))
	b.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		h := b.response.Header
		err = fmt.Errorf("%w after %d of %d bytes and %v, status %d, cache %q, close %t", err, b.read, b.response.ContentLength,
			time.Since(b.began).Round(time.Millisecond), b.response.StatusCode, h.Values("Cache-Status"), b.response.Close)
	}
	return n, err
}

func (b *countedBody) Close() error { return b.closer.Close() }
