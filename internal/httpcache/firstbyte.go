package httpcache

import (
	"net/http"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

const (
	// headerHold is how long a header waits for the first byte of a shared body.
	// A body that breaks off before then costs its readers a moment, not their
	// response: nothing was promised yet. Beyond it the header goes out alone.
	headerHold = time.Second
	// maxBreaks is how many such breaks a request outlives.
	maxBreaks = 2
)

// firstByte waits until what answers the request has begun to arrive: its
// first byte, or for a closed range of a body of unknown length its last, since
// only then the part is known to exist. It completes rsp and x with what is
// known of the body by then. Where the body breaks off, or the client leaves, it
// reports false and what to do.
func (x *exchange) firstByte(f *flight, rsp *response) (came bool, again readResult) {
	x.inOrder = f.transit.Load()
	if x.head || rsp.meta.Status == http.StatusOK && rfc9111.NotModified(x.r.Header, &rsp.meta) {
		return true, readDone
	}
	need, whole := int64(1), false
	if rng, ok := rfc9111.ParseRange(x.r.Header); ok && rsp.meta.Status == http.StatusOK && !rng.Suffix() && !x.inOrder {
		if need = rng.First + 1; rsp.length < 0 && rng.Last >= 0 {
			need, whole = rng.Last+1, true
		}
	}
	var late <-chan time.Time
	for {
		grown := f.body.grown.Load()
		state := fillState(f.body.state.Load())
		size := f.body.size.Load()
		if state == complete && rsp.length < 0 {
			rsp.length = size // known by now
		}
		switch {
		case state == broken && x.breaks < maxBreaks:
			x.breaks++
			return false, readAgain
		case size >= need || state != filling || rsp.length >= 0 && need > rsp.length:
			x.known.Length = size
			return true, readDone
		}
		if late == nil && !whole {
			timer := time.NewTimer(headerHold)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-grown.ch:
		case <-late:
			return true, readDone
		case <-x.r.Context().Done():
			x.out.Aborted = true
			return false, readDone
		}
	}
}
