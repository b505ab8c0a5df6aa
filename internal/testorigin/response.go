package testorigin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Response says what the origin sends and how.
type Response struct {
	Status int               // default 200
	Header map[string]string // response fields; several values of one are joined with "\n"
	Body   []byte

	// ETag is sent as such; a request that has it in If-None-Match gets 304.
	ETag string
	// Ranges answers Range with 206, where If-Range is absent or equals ETag.
	Ranges bool
	// Chunked leaves Content-Length out.
	Chunked bool
	// CutAt, if positive, closes the connection after that many body bytes.
	CutAt int

	// Delay passes before the header; Hold, if not nil, must be closed (or a
	// value received) before it too.
	Delay time.Duration
	Hold  <-chan struct{}
	// Piece, if positive, is how many body bytes go out at once; before each
	// further piece Pace passes and, if not nil, one value is received from Gate.
	Piece int
	Pace  time.Duration
	Gate  <-chan struct{}
	// Interim is a 1xx status sent first, 0 for none.
	Interim int
	// Trailer is sent after a body without Content-Length.
	Trailer map[string]string
}

// Content is n bytes that differ from place to place, so that a wrong offset shows.
func Content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16*37)
	}
	return b
}

func (p Response) write(w http.ResponseWriter, r *http.Request) {
	for name, value := range p.Header {
		for v := range strings.SplitSeq(value, "\n") {
			w.Header().Add(name, v)
		}
	}
	if p.ETag != "" {
		w.Header().Set("Etag", p.ETag)
	}
	for name := range p.Trailer {
		w.Header().Add("Trailer", name)
	}
	if p.Interim != 0 {
		w.WriteHeader(p.Interim)
	}
	if !wait(r, p.Delay, p.Hold) {
		return
	}
	if p.ETag != "" && r.Header.Get("If-None-Match") == p.ETag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	status, body := p.Status, p.Body
	if status == 0 {
		status = http.StatusOK
	}
	if ir := r.Header.Get("If-Range"); p.Ranges && status == http.StatusOK && (ir == "" || ir == p.ETag) {
		first, last, ok := parseRange(r.Header.Get("Range"), len(body))
		switch {
		case ok && first > last:
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(body)))
			status, body = http.StatusRequestedRangeNotSatisfiable, nil
		case ok:
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(body)))
			status, body = http.StatusPartialContent, body[first:last+1]
		}
	}
	if !p.Chunked {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		p.writeBody(w, r, body)
	}
}

// parseRange reads a single range of a content of size bytes; first > last for
// one that selects nothing.
func parseRange(spec string, size int) (first, last int, ok bool) {
	spec, ok = strings.CutPrefix(spec, "bytes=")
	a, b, dash := strings.Cut(spec, "-")
	if !ok || !dash {
		return 0, 0, false
	}
	last = size - 1
	if a == "" {
		n, err := strconv.Atoi(b)
		return max(size-n, 0), last, err == nil
	}
	first, err := strconv.Atoi(a)
	if err != nil {
		return 0, 0, false
	}
	if b != "" {
		n, err := strconv.Atoi(b)
		if err != nil {
			return 0, 0, false
		}
		last = min(last, n)
	}
	return first, last, true
}

func (p Response) writeBody(w http.ResponseWriter, r *http.Request, body []byte) {
	rc := http.NewResponseController(w)
	rc.Flush() // the header goes out before the first byte of the body is due
	piece := len(body)
	if p.Piece > 0 {
		piece = p.Piece
	}
	for sent := 0; sent < len(body); {
		if sent > 0 && !wait(r, p.Pace, p.Gate) {
			return
		}
		n := min(piece, len(body)-sent)
		if p.CutAt > 0 {
			n = min(n, p.CutAt-sent)
		}
		if n > 0 {
			if _, err := w.Write(body[sent : sent+n]); err != nil {
				return
			}
			rc.Flush()
			sent += n
		}
		if p.CutAt > 0 && sent >= p.CutAt {
			panic(http.ErrAbortHandler)
		}
	}
	for name, value := range p.Trailer {
		w.Header().Set(name, value)
	}
}

// wait reports false when the client left meanwhile.
func wait(r *http.Request, d time.Duration, gate <-chan struct{}) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return false
		}
	}
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
			return false
		}
	}
	return true
}
