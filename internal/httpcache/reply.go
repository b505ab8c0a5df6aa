package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// begin sends the header of a response, as a 304 or a range where the request
// asks for one, and returns what of the body is to follow.
func (x *exchange) begin(rsp *response, st cacheStatus, age time.Duration, withAge bool) plan {
	h := x.w.Header()
	p := x.plan(rsp)
	for i := range rsp.fields {
		f := &rsp.fields[i]
		if (p.status != http.StatusNotModified || !describesContent(f.Name)) && !(f.Surrogate && x.c.opt.StripSurrogate) {
			h[f.Name] = f.Values
		}
	}
	if p.ranged {
		p.describe(h, rsp.length)
	}
	// One array for both values: this is the hit path.
	values := new([2]string)
	var buf [192]byte
	b := buf[:0]
	if rsp.cacheStatus != "" {
		b = append(append(b, rsp.cacheStatus...), ", "...)
	}
	values[0] = string(st.append(b, x.c.opt.Name))
	h["Cache-Status"] = values[0:1:1]
	if withAge {
		values[1] = strconv.FormatInt(int64(age/time.Second), 10)
		h["Age"] = values[1:2:2]
	}
	x.header(p.status)
	p.body = p.body && !x.head
	return p
}

// describesContent lists the fields that a 304 leaves out (RFC 9110 section 15.4.5).
func describesContent(name string) bool {
	switch name {
	case "Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range":
		return true
	}
	return false
}

// follow sends the body of a flight after its header. It is called with as
// little as possible on the stack: thousands may wait here for one body, and the
// collector halves a stack only if a quarter of it is in use.
func (x *exchange) follow() {
	f, rd := x.flight, x.reader
	x.flight = nil
	defer f.leave(rd)
	if p := &x.body; p.body && p.parts == nil {
		x.stream(f, rd, p.offset, p.length)
	} else {
		x.send(*p, func(offset, length int64) bool { return x.stream(f, rd, offset, length) })
	}
	if fillState(f.body.state.Load()) == complete && len(f.trailer) > 0 {
		x.trailers(f)
	}
}

// stream writes length bytes of a body as they arrive, all from offset on if
// length is -1, and reports whether the client took them. It flushes whenever it
// has caught up, so that what is there reaches the client at once.
func (x *exchange) stream(f *flight, rd *reader, offset, length int64) bool {
	rc := http.NewResponseController(x.w)
	gone := x.r.Context().Done()
	end := offset + length
	rd.pos.Store(offset)
	for length < 0 || offset < end {
		part, wait, err := f.body.next(offset)
		switch {
		case errors.Is(err, errLagged):
			want := int64(-1)
			if length >= 0 {
				want = end - offset
			}
			return x.catchUp(f, rd, offset, want)
		case err != nil:
			x.abort()
		case len(part) > 0:
			if length >= 0 {
				part = part[:min(int64(len(part)), end-offset)]
			}
			n, err := x.w.Write(part)
			x.out.BytesOut += int64(n)
			if err != nil {
				x.out.Aborted = true
				return false
			}
			offset += int64(n)
			rd.pos.Store(offset)
			f.signalProgress()
			if offset == end && offset == f.body.length && !x.landed(f, rc) {
				return false
			}
		case wait == nil:
			return true
		default:
			if !flush(rc) {
				x.out.Aborted = true
				return false
			}
			select {
			case <-wait:
			case <-gone:
				x.out.Aborted = true
				return false
			}
		}
	}
	return true
}

// landed sends the last bytes of a body and waits until it is stored, or will not be:
// the client's next request on this connection finds it there, and clients
// that are faster than the store do not pile up bodies on their way into it.
func (x *exchange) landed(f *flight, rc *http.ResponseController) bool {
	for {
		grown := f.body.grown.Load()
		if fillState(f.body.state.Load()) != filling {
			return true
		}
		if !flush(rc) {
			x.out.Aborted = true
			return false
		}
		select {
		case <-grown.ch:
		case <-x.r.Context().Done():
			return true // having got it all
		}
	}
}

// catchUp fetches the rest of a body for a reader that was too slow to follow
// the others, at its own pace. Without an entity tag nothing says that it would
// be the rest of the same.
func (x *exchange) catchUp(f *flight, rd *reader, offset, want int64) bool {
	f.leave(rd) // no longer to be waited for; leaving twice is harmless
	if !f.movable {
		x.c.opt.Logger.Debug().Str("key", x.primary).Msg("slow reader cut off")
		x.abort()
	}
	resp, err := x.c.opt.Upstream.RoundTrip(f.rest(offset).WithContext(x.r.Context()))
	if err != nil {
		x.abort()
	}
	if err := f.continues(resp, offset); err != nil {
		x.c.opt.Logger.Debug().Err(err).Str("key", x.primary).Msg("slow reader cut off")
		x.abort()
	}
	defer resp.Body.Close()
	if want < 0 {
		return x.copy(resp.Body, resp.ContentLength)
	}
	return x.copy(io.LimitReader(resp.Body, want), want)
}

var copyPool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// handover streams a response that only this request may have, straight from
// the upstream: nothing of it is kept, and a slow client slows the upstream.
func (x *exchange) handover(f *flight, p plan) {
	body := f.take()
	defer f.cancel(nil)
	defer body.Close()
	defer context.AfterFunc(x.r.Context(), func() { f.cancel(errNobody) })()
	if !p.body {
		return
	}
	if p.offset > 0 {
		if _, err := io.CopyN(io.Discard, body, p.offset); err != nil {
			x.abort()
		}
	}
	var src io.Reader = body
	if p.length >= 0 {
		src = io.LimitReader(body, p.length)
	}
	x.copy(src, p.length)
}

// copy streams from src, flushing after each read, and reports whether the
// client took it; want is how much must come, -1 for unknown. It aborts the
// response when src breaks off.
func (x *exchange) copy(src io.Reader, want int64) bool {
	rc := http.NewResponseController(x.w)
	buf := copyPool.Get().(*[32 << 10]byte)
	defer copyPool.Put(buf)
	var sent int64
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			m, werr := x.w.Write(buf[:n])
			x.out.BytesOut += int64(m)
			sent += int64(m)
			if werr != nil {
				x.out.Aborted = true
				return false
			}
			// What is complete goes out when the handler returns anyway.
			if sent != want && !flush(rc) {
				x.out.Aborted = true
				return false
			}
		}
		if err == io.EOF && (want < 0 || sent == want) {
			return true
		}
		if err != nil {
			x.abort()
		}
	}
}

// flush sends what was written; false when the client is gone. A writer that
// cannot flush is slower, not wrong.
func flush(rc *http.ResponseController) bool {
	err := rc.Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// abort cuts the response so that the client can see it is incomplete.
func (x *exchange) abort() {
	x.out.Aborted = true
	x.out.Status = StatusError
	panic(http.ErrAbortHandler)
}
