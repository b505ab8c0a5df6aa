package httpcache

import (
	"io"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// started reports whether the head is known.
func (f *flight) started() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// takes reports whether a request that arrives now may join f. The caller
// holds sh.mu.
func (f *flight) takes(x *exchange, now time.Time) bool {
	if f.purged || f.level() != levelClean {
		return false
	}
	if !f.started() {
		// Who shows credentials waits only for what is known to be for everybody.
		return !x.req.Authorization && now.Sub(f.opened) < f.age()
	}
	v := &f.head.verdict
	if f.failure != nil {
		return f.failure.answers(x, now)
	}
	return v.Stored.TTL(now) > 0 && (!x.req.Authorization || v.Stored.Public) &&
		rfc9111.VaryMatch(forwardable(v.Vary), f.header, x.r.Header)
}

// age is the age at which a flight without a header takes no more joiners.
func (f *flight) age() time.Duration {
	if f.held {
		return f.c.heldTimeout(f.site)
	}
	return f.c.opt.FlightAge
}

// near reports whether a range may wait for the flight to come to its start.
func (f *flight) near(r rfc9111.Range) bool {
	if f.unsliced {
		return true
	}
	var written int64
	if f.started() && f.body != nil {
		written = f.body.size.Load()
	}
	return !r.Suffix() && r.First <= written+f.c.opt.RangeJoinBytes
}

// join adds a reader; nil when there are too many. The caller holds sh.mu, so
// that a flight which idle ends has no reader and gets none.
func (f *flight) join(opener bool) *reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers) >= f.c.opt.MaxWaiters {
		return nil
	}
	f.joined = f.joined || !opener
	rd := &reader{opener: opener}
	f.readers[rd] = struct{}{}
	f.crowd.Store(int64(len(f.readers)))
	return rd
}

// leave takes a reader off, whether it is done or its client left.
func (f *flight) leave(rd *reader) {
	f.mu.Lock()
	delete(f.readers, rd)
	f.crowd.Store(int64(len(f.readers)))
	last := len(f.readers) == 0
	if last && f.over {
		f.c.chunks.recycle(f.left)
		f.left = nil
	}
	if last && f.ended {
		f.letGo()
	}
	over := f.over
	f.mu.Unlock()
	f.signalProgress()
	if rd.opener {
		f.settle()
	}
	if last && !over {
		f.idle()
	}
}

// letGo releases the stored body that may have answered. The caller holds mu.
func (f *flight) letGo() {
	f.pinned.Release()
	f.pinned = store.Body{}
}

// take hands the upstream's body to the opener, who closes it.
func (f *flight) take() io.ReadCloser {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.given = nil
	return f.head.resp.Body
}

// settle closes a body that was handed over once the opener is gone. It is
// called after each of the two events, in whichever order they come.
func (f *flight) settle() {
	f.mu.Lock()
	body := f.given
	for rd := range f.readers {
		if rd.opener {
			body = nil
		}
	}
	if body != nil {
		f.given = nil
	}
	f.mu.Unlock()
	if body != nil {
		f.cancel(errNobody)
		body.Close()
	}
}

// idle ends the fetch if nobody reads it and it is not worth finishing for the
// store.
func (f *flight) idle() {
	f.sh.mu.Lock()
	defer f.sh.mu.Unlock()
	f.mu.Lock()
	readers := len(f.readers)
	f.mu.Unlock()
	if readers > 0 || f.worthFilling() {
		return
	}
	f.sh.detach(f)
	f.cancel(errNobody)
}

// worthFilling is the policy for a fetch without readers: wait for the header
// if others may want the response soon, then go on if it will be stored and at
// least half is here or little is left.
func (f *flight) worthFilling() bool {
	if !f.started() {
		// What the origin holds takes one of the few places there.
		return !f.alone && !f.held
	}
	if !f.store || f.body == nil || f.transit.Load() {
		return false
	}
	size, length := f.body.size.Load(), f.body.length
	if length < 0 {
		return size <= f.c.opt.KeepFillBytes
	}
	return length-size <= f.c.opt.KeepFillBytes || size >= length/2
}
