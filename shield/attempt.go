package shield

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/surgewall/surgewall/internal/attempt"
)

// attempts sends the request to the addresses of the origin in turn, beginning with the one that answered last, until one does. It goes on
// to the next one when no connection was made, since then nothing was sent, and once when a connection broke before the head of a
// response, if the request may be repeated (RFC 9110, section 9.2.2) and has no body. A timeout is no reason: a second request would find
// the same slow origin.
func (o *Origin) attempts(r *http.Request, transport http.RoundTripper) (*http.Response, error) {
	body := attempt.Hold(r)
	defer body.Release()
	var errs []error
	first, repeated := int(o.good.Load()), false
	for i := range o.o.URLs {
		n := (first + i) % len(o.o.URLs)
		if i > 0 {
			o.failovers.Add(1)
		}
		var connected atomic.Bool // the trace may run on the transport's goroutine
		out := o.outgoing(r, n, body)
		response, err := transport.RoundTrip(out.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			GotConn: func(got httptrace.GotConnInfo) {
				connected.Store(true)
				if c, ok := got.Conn.(*headConn); ok {
					c.awaitHead()
				}
			},
		})))
		if err == nil {
			o.good.Store(uint32(n))
			return response, nil
		}
		if r.Context().Err() != nil {
			return nil, fmt.Errorf("%w: %w", errGivenUp, context.Cause(r.Context()))
		}
		errs = append(errs, fmt.Errorf("%s: %w", out.URL.Host, err))
		switch {
		case !connected.Load() || attempt.NotConnected(err):
		case !repeated && attempt.Repeatable(r) && attempt.BrokeBeforeResponse(err):
			repeated = true
		default:
			return nil, errors.Join(errs...)
		}
	}
	return nil, errors.Join(errs...)
}

func (o *Origin) outgoing(r *http.Request, n int, body *attempt.Body) *http.Request {
	out, target := *r, *r.URL
	target.Scheme, target.Host = o.o.URLs[n].Scheme, o.o.URLs[n].Host
	out.URL = &target
	if !o.o.KeepHost {
		out.Host = o.o.URLs[0].Host
	}
	if body != nil {
		out.Body = body
	}
	return &out
}
