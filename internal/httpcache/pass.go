package httpcache

import (
	"net/http"
	"slices"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// pass forwards a request for its client alone, as it is, and stores nothing.
// An unsafe method that succeeds invalidates what is stored for its target.
func (x *exchange) pass(fwd forwardReason, detail rfc9111.Reason) {
	x.out.Status = StatusBypass
	if !x.c.begin() {
		x.shed(refusedClosed)
		return
	}
	defer x.c.passed()
	gate := interimGate{w: x.w, r: x.r}
	r := (&http.Request{
		Method: x.r.Method, URL: x.target.upstreamURL(), Host: x.target.rawHost, Header: x.c.forwardHeader(x.r, x.site, false),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: x.r.Body, ContentLength: x.r.ContentLength, Trailer: x.r.Trailer,
	}).WithContext(withInterim(x.r.Context(), gate.pass))
	if x.r.ContentLength == 0 {
		r.Body = http.NoBody
	}
	resp, err := x.c.opt.Upstream.RoundTrip(r)
	gate.close()
	st := cacheStatus{fwd: fwd, collapse: x.collapse, detail: detail}
	if err != nil {
		if x.r.Context().Err() != nil {
			x.out.Aborted = true
			return
		}
		x.c.opt.Logger.Debug().Err(err).Str("key", x.primary).Msg("upstream gave no response")
		x.fail(&head{code: failureCode(err), err: err}, st)
		return
	}
	defer resp.Body.Close()
	trailers := resp.Trailer // net/http fills it at the end of the body
	x.invalidate(resp.StatusCode, resp.Header)
	h := x.w.Header()
	st.fwdStatus = resp.StatusCode
	own := string(st.append(nil, x.c.opt.Name))
	for name, values := range x.c.responseHeader(resp) {
		if !x.c.opt.StripSurrogate || !rfc9111.IsSurrogate(name) {
			h[name] = values
		}
	}
	h["Cache-Status"] = append(slices.Clip(h["Cache-Status"]), own)
	x.header(resp.StatusCode)
	if x.r.Method == http.MethodHead {
		return
	}
	x.copy(resp.Body, resp.ContentLength)
	for name, values := range trailers {
		h[http.TrailerPrefix+name] = values
	}
}

// passed is the end of what begin started for a request that was passed on.
func (c *Cache) passed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flights--
	if c.closed && c.flights == 0 {
		close(c.idle)
	}
}
