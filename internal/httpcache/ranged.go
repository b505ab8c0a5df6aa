package httpcache

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// maxParts bounds a multipart/byteranges response. A request for more gets
// the whole (RFC 9110 section 14.2): many small parts are how a range request
// is made to cost more than what it asks for.
const maxParts = 16

// plan is what answers a request: a status, and what of the content follows
// the header.
type plan struct {
	status int
	body   bool
	offset int64
	length int64 // -1: to the end, wherever that is
	ranged bool  // 206 or 416: the header says which part it is
	parts  []part
	end    string // what closes the parts
	kind   string // Content-Type of the parts together
}

// part is one of several ranges in a multipart/byteranges (RFC 9110 section 14.6).
type part struct {
	rfc9111.Span
	head string
}

// plan decides how a response answers the request.
func (x *exchange) plan(rsp *response) plan {
	p := plan{status: rsp.meta.Status, body: true, length: rsp.length}
	if p.status != http.StatusOK {
		return p
	}
	if rfc9111.NotModified(x.r.Header, &rsp.meta) {
		p.status, p.body = http.StatusNotModified, false
		return p
	}
	if len(x.r.Header["Range"]) == 0 || x.head || !rfc9111.IfRange(x.r.Header, &rsp.meta, field(rsp.fields, "Date")) {
		return p
	}
	if rsp.length < 0 {
		x.planOpen(&p)
		return p
	}
	if rng, ok := rfc9111.ParseRange(x.r.Header); ok {
		p.ranged, p.status = true, http.StatusPartialContent
		if p.offset, p.length, ok = rng.Resolve(rsp.length); !ok {
			p.unsatisfiable()
		}
		return p
	}
	if x.inOrder {
		return p // a body that passes by once cannot be sent in any order
	}
	if list, ok := rfc9111.ParseRanges(x.r.Header); ok {
		p.several(rfc9111.Select(list, rsp.length), rsp)
	}
	return p
}

// planOpen answers a closed range of a content whose length is not known yet,
// once the part is known to exist (RFC 9110 section 14.4).
func (x *exchange) planOpen(p *plan) {
	rng, ok := rfc9111.ParseRange(x.r.Header)
	if ok && !rng.Suffix() && rng.Last >= 0 && rng.First >= x.known.Offset && rng.Last < x.known.End() {
		p.ranged, p.status = true, http.StatusPartialContent
		p.offset, p.length = rng.First, rng.Last-rng.First+1
	}
}

func (p *plan) unsatisfiable() {
	p.ranged, p.status, p.body, p.length = true, http.StatusRequestedRangeNotSatisfiable, false, 0
}

// several plans for a set of ranges: one part as it is, more as a multipart,
// too many or more than the whole as the whole.
func (p *plan) several(spans []rfc9111.Span, rsp *response) {
	switch {
	case len(spans) == 0:
		p.unsatisfiable()
		return
	case len(spans) == 1:
		p.ranged, p.status = true, http.StatusPartialContent
		p.offset, p.length = spans[0].Offset, spans[0].Length
		return
	case len(spans) > maxParts:
		return
	}
	boundary := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	contentType := field(rsp.fields, "Content-Type")
	end := "\r\n--" + boundary + "--\r\n"
	total := int64(len(end))
	parts := make([]part, len(spans))
	for i, s := range spans {
		head := "\r\n--" + boundary + "\r\n"
		if contentType != "" {
			head += "Content-Type: " + contentType + "\r\n"
		}
		head += "Content-Range: " + contentRange(s.Offset, s.Length, rsp.length) + "\r\n\r\n"
		parts[i] = part{s, head}
		total += int64(len(head)) + s.Length
	}
	if total >= rsp.length {
		return
	}
	p.ranged, p.status, p.length = true, http.StatusPartialContent, total
	p.parts, p.end, p.kind = parts, end, "multipart/byteranges; boundary="+boundary
}

// describe sets the fields that say which part of a content of size bytes
// follows; -1 is a size not known.
func (p *plan) describe(h http.Header, size int64) {
	h["Content-Length"] = []string{strconv.FormatInt(p.length, 10)}
	switch {
	case p.parts != nil:
		h["Content-Type"] = []string{p.kind}
	case p.body:
		h["Content-Range"] = []string{contentRange(p.offset, p.length, size)}
	default:
		h["Content-Range"] = []string{"bytes */" + strconv.FormatInt(size, 10)}
	}
}

func contentRange(offset, length, size int64) string {
	b := strconv.AppendInt([]byte("bytes "), offset, 10)
	b = append(strconv.AppendInt(append(b, '-'), offset+length-1, 10), '/')
	if size < 0 {
		return string(append(b, '*'))
	}
	return string(strconv.AppendInt(b, size, 10))
}

// send writes the planned content: write sends a piece of it and reports
// whether to go on.
func (x *exchange) send(p plan, write func(offset, length int64) bool) {
	if !p.body {
		return
	}
	if p.parts == nil {
		write(p.offset, p.length)
		return
	}
	for _, part := range p.parts {
		if !x.text(part.head) || !write(part.Offset, part.Length) {
			return
		}
	}
	x.text(p.end)
}

func (x *exchange) text(s string) bool {
	n, err := x.w.Write([]byte(s))
	x.out.BytesOut += int64(n)
	x.out.Aborted = x.out.Aborted || err != nil
	return err == nil
}
