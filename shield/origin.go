package shield

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/attempt"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// OriginOptions say which server the shield stands in front of, and what that server bears.
type OriginOptions struct {
	// URLs hold scheme and host of the origin server, one for each of its addresses. Required, at least one. When one cannot be connected
	// to, the next is; the one that answered last is asked first. Nothing that a client sends chooses another.
	URLs []*url.URL
	// KeepHost sends the client's Host; otherwise the one of the first URL is sent.
	KeepHost bool
	// Transport sends one request. Required; see NewTransport.
	Transport http.RoundTripper
	// Concurrency is the most fetches at the same time, each until the last byte of its body. Default 64. Higher lets more misses
	// through at once, and a spike of them may be more than the origin bears.
	Concurrency int
	// HeldConcurrency is the most fetches at the same time of those that the origin is meant to hold (rfc9111.BlockingReload); they have
	// turns of their own, so that neither they nor the others wait behind each other. Default 256: one for each rendition of a live
	// stream is what it takes.
	HeldConcurrency int
	// HeldTransport sends those. Default: Transport.
	HeldTransport http.RoundTripper
	// QueueTimeout is how long a fetch waits for its turn; then it is answered 503. Zero does not wait.
	QueueTimeout time.Duration
	// Breaker is the share of fetches, in percent, that have to fail within 10 s for the origin to count as down: then one fetch at a time
	// is let through, after a second and then ever later, until one succeeds; the others are declined. A fetch fails without a response
	// or with 502, 503 or 504. Zero is never. Lower opens on a single broken part of a site.
	Breaker int
	// Logger gets one line when that begins and one when it ends.
	Logger zerolog.Logger
}

// Origin fetches from the origin server. Redirects are responses like any other: they are passed on, never followed. It is safe for
// concurrent use.
type Origin struct {
	o         OriginOptions
	turns     chan struct{}
	held      chan struct{} // turns of what the origin is meant to hold
	waiting   atomic.Int64
	shed      atomic.Uint64
	good      atomic.Uint32 // index of the URL that answered last
	failovers atomic.Uint64
	health    health
	breaker   *breaker
}

// NewOrigin returns an Origin.
func NewOrigin(o OriginOptions) *Origin {
	if o.Concurrency <= 0 {
		o.Concurrency = 64
	}
	if o.HeldConcurrency <= 0 {
		o.HeldConcurrency = 256
	}
	if o.HeldTransport == nil {
		o.HeldTransport = o.Transport
	}
	return &Origin{o: o, turns: make(chan struct{}, o.Concurrency), held: make(chan struct{}, o.HeldConcurrency), breaker: newBreaker(o.Breaker, o.Logger)}
}

// InFlight returns how many fetches are at the origin.
func (o *Origin) InFlight() int { return len(o.turns) + len(o.held) }

// Held returns how many of them are such as the origin is meant to hold.
func (o *Origin) Held() int { return len(o.held) }

// Waiting returns how many fetches wait for their turn.
func (o *Origin) Waiting() int64 { return o.waiting.Load() }

// Shed returns how many fetches were answered 503 because their turn did not come.
func (o *Origin) Shed() uint64 { return o.shed.Load() }

// Failovers returns how many requests were sent to another address than the one asked first.
func (o *Origin) Failovers() uint64 { return o.failovers.Load() }

// Open reports whether the origin counts as down.
func (o *Origin) Open() bool { return o.breaker.isOpen() }

// Opened returns how many times the origin began to count as down.
func (o *Origin) Opened() uint64 { return o.breaker.opened.Load() }

// Declined returns how many fetches were not sent because the origin counted as down.
func (o *Origin) Declined() uint64 { return o.breaker.declined.Load() }

// Totals returns the fetches and the failed ones among them since the process began. A fetch fails without a response or with a 5xx.
func (o *Origin) Totals() (fetches, failed uint64) {
	return o.health.fetches.Load(), o.health.failed.Load()
}

// RoundTrip fetches from the origin when it is this request's turn.
func (o *Origin) RoundTrip(r *http.Request) (*http.Response, error) {
	turns, held, open := o.turns, rfc9111.BlockingReload(r.URL.RawQuery), o.breaker.open
	if held {
		turns, open = o.held, o.breaker.openForHeld
	}
	err := open() // before the wait for a turn, which may be behind fetches that hang
	if err == nil {
		err = o.turn(r.Context(), turns)
	}
	if err != nil {
		attempt.CloseBody(r)
		if errors.Is(err, errNoTurn) {
			o.shed.Add(1)
			return overloaded(r), nil
		}
		return nil, err
	}
	began := time.Now()
	var response *http.Response
	if held {
		// How long it took, and even a 503, says nothing of how the origin is.
		response, err = o.attempts(r, o.o.HeldTransport)
	} else {
		response, err = o.breaker.fetch(func() (*http.Response, error) { return o.attempts(r, o.o.Transport) })
	}
	if _, declined := errors.AsType[*httpcache.Unavailable](err); declined {
		<-turns
		attempt.CloseBody(r)
		return nil, err
	}
	o.health.observe(time.Since(began), response, err, held, r.Context().Err() != nil)
	if err != nil {
		<-turns
		return nil, fmt.Errorf("fetch from the origin: %w", err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		<-turns // the connection is handed out: whose it is now says nothing about its end
		return response, nil
	}
	response.Body = &turnBody{ReadCloser: response.Body, done: sync.OnceFunc(func() { <-turns })}
	return response, nil
}

var errNoTurn = errors.New("no turn at the origin in time")

// turn waits until there is room in turns. Who has waited longest goes first: a channel wakes its senders in
// their order.
func (o *Origin) turn(ctx context.Context, turns chan<- struct{}) error {
	select {
	case turns <- struct{}{}:
		return nil
	default:
	}
	o.waiting.Add(1)
	defer o.waiting.Add(-1)
	timeout := time.NewTimer(o.o.QueueTimeout)
	defer timeout.Stop()
	select {
	case turns <- struct{}{}:
		return nil
	case <-timeout.C:
		return errNoTurn
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// overloaded is the answer to a fetch whose turn did not come. It may be kept for one second, so that the edges absorb the repeats
// instead of sending them here.
func overloaded(r *http.Request) *http.Response {
	return &http.Response{
		Status: "503 Service Unavailable", StatusCode: http.StatusServiceUnavailable, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:  http.Header{"Retry-After": {"1"}, "Cache-Control": {"max-age=1"}, "Content-Length": {"0"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:    http.NoBody,
		Request: r,
	}
}

// turnBody gives the turn back with the last byte of the body, or when nobody wants the rest.
type turnBody struct {
	io.ReadCloser
	done func()
}

func (b *turnBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.done()
	}
	return n, err
}

func (b *turnBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
