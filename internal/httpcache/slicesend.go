package httpcache

import (
	"net/http"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// slicedHit answers by a stored manifest.
func (x *exchange) slicedHit(man *store.Object, u rfc9111.Reuse) readResult {
	x.out.Status = StatusHit
	detail := x.detail
	if u.TTL <= 0 {
		x.out.Status, detail = StatusStale, reasonSWR
	}
	return x.sliced(man, piece{}, cacheStatus{hit: true, ttl: u.TTL, hasTTL: true, detail: detail}, u.Age)
}

// singleRange is the one range that a GET asks for.
func (x *exchange) singleRange() (rfc9111.Range, bool) {
	if x.head {
		return rfc9111.Range{}, false
	}
	return rfc9111.ParseRange(x.r.Header)
}

// sliced answers from slices. have is the one that was waited for, if any.
func (x *exchange) sliced(man *store.Object, have piece, st cacheStatus, age time.Duration) readResult {
	rsp := responseOf(man)
	together := combines(man) && (have.flight == nil || have.flight.head.verdict.Share == rfc9111.ShareFresh)
	if have.object == nil && have.flight == nil && !combines(man) {
		if !man.Body.Hold() {
			return readAgain
		}
		defer man.Body.Release()
		have = piece{Span: rfc9111.Span{Offset: man.Offset, Length: man.Body.Size()}, object: man, borrowed: true}
	}
	if rsp.length < 0 {
		x.known = have.Span
	}
	p := x.plan(&rsp)
	if !together && p.body && !x.head && !(p.ranged && p.parts == nil && have.covers(rfc9111.Span{Offset: p.offset, Length: p.length})) {
		// One slice is not enough, and others might be of another content.
		x.pass(fwdURIMiss, reasonRange)
		return readDone
	}
	if p.body && p.length > 0 && !x.head {
		at := rfc9111.Span{Offset: p.offset, Length: 1}
		if p.parts != nil {
			at.Offset = p.parts[0].Offset
		}
		if !have.covers(at) {
			var ok bool
			if have, ok = x.c.piece(x, man, at.Offset); !ok {
				x.shed(refusedWaiters)
				return readDone
			}
			defer func() { have.leave() }()
			if have.flight != nil {
				x.partial(&st, have)
			}
		}
		if again, ok := x.pieceComes(man, have, at.Offset); !ok {
			return again
		}
	}
	p = x.begin(&rsp, st, age, true)
	x.send(p, func(offset, length int64) bool { return x.pieces(man, &have, offset, length) })
	return readDone
}

// partial says in Cache-Status that the first slice of a stored layout is not there.
func (x *exchange) partial(st *cacheStatus, have piece) {
	if !st.hit {
		return
	}
	st.hit, st.fwd = false, fwdPartial
	x.out.Status = StatusMiss
	if !have.reader.opener {
		st.collapse, x.out.Status = collapsed, StatusCollapsed
	}
}

// pieceComes waits until the first byte that is to be sent is there, so that
// until then the request can still start again.
func (x *exchange) pieceComes(man *store.Object, p piece, offset int64) (readResult, bool) {
	if p.flight == nil {
		return readDone, true
	}
	if !x.await(p.flight, p.reader) {
		return readDone, false
	}
	h := &p.flight.head
	if h.kind != headSlice {
		if h.kind == headFailed {
			x.fail(h, cacheStatus{fwd: p.flight.fwd, collapse: x.collapse})
			return readDone, false
		}
		return readAgain, false
	}
	if h.object != man && !sameContent(h.object, man) {
		return readAgain, false
	}
	if ok, _ := h.verdict.SharesWith(x.req); !ok && !p.reader.opener {
		return readAlone, false
	}
	b := p.flight.body
	for {
		grown := b.grown.Load()
		state := fillState(b.state.Load())
		switch {
		case b.size.Load() > offset-p.Offset:
			return readDone, true
		case state == broken && x.breaks < maxBreaks:
			x.breaks++
			return readAgain, false
		case state != filling:
			return readDone, true
		}
		select {
		case <-grown.ch:
		case <-x.r.Context().Done():
			x.out.Aborted = true
			return readDone, false
		}
	}
}

// pieces sends a part of a content slice by slice, with some of the next under
// way. It aborts the response when one cannot be had. It takes over have if that
// is where it begins: a further part of the response finds its own.
func (x *exchange) pieces(man *store.Object, have *piece, offset, length int64) bool {
	end, next := offset+length, offset
	var queue []piece
	defer func() {
		for i := range queue {
			queue[i].leave()
		}
	}()
	if have.covers(rfc9111.Span{Offset: offset, Length: 1}) {
		queue, next = append(queue, *have), have.End()
		*have = piece{}
	}
	for offset < end {
		for next < end && len(queue) <= sliceAhead {
			p, ok := x.c.piece(x, man, next)
			if !ok {
				break
			}
			queue, next = append(queue, p), p.End()
		}
		if len(queue) == 0 {
			x.abort()
		}
		p := &queue[0]
		n := min(end, p.End()) - offset
		switch {
		case !p.covers(rfc9111.Span{Offset: offset, Length: n}) || n <= 0:
			x.abort() // never: it would be another part of the content, or of the store
		case p.object != nil:
			m, err := p.object.Body.WriteRange(x.w, offset-p.Offset, n)
			x.out.BytesOut += m
			if err != nil || m < n {
				x.out.Aborted = true
				return false
			}
		case !x.usable(man, p):
			if p.leave(); x.r.Context().Err() != nil {
				x.out.Aborted = true
				return false
			}
			if p.again {
				queue = queue[1:]
				x.abort()
			}
			// What is fetched instead may end earlier, so what is under way behind it
			// need not follow.
			for i := range queue[1:] {
				queue[i+1].leave()
			}
			queue = queue[:0]
			retry, ok := x.c.piece(x, man, offset)
			if !ok {
				x.abort()
			}
			retry.again = true
			queue, next = append(queue, retry), retry.End()
			continue
		case !x.stream(p.flight, p.reader, offset-p.Offset, n):
			return false
		}
		p.leave()
		queue = queue[1:]
		offset += n
	}
	return true
}

// usable waits for the header of a slice that continues a response.
func (x *exchange) usable(man *store.Object, p *piece) bool {
	if !p.flight.started() {
		http.NewResponseController(x.w).Flush() //nolint:errcheck // what is there goes out while we wait
		timer := time.NewTimer(x.waitLimit())
		defer timer.Stop()
		select {
		case <-p.flight.ready:
		case <-timer.C:
			return false
		case <-x.r.Context().Done():
			return false
		}
	}
	h := &p.flight.head
	ok, _ := h.verdict.SharesWith(x.req)
	return h.kind == headSlice && (h.object == man || sameContent(h.object, man)) && (ok || p.reader.opener)
}
