package httpcache

import (
	"net/http"
	"strings"
)

// notInTrailers are fields that a shared stream's trailers never carry on: they
// would set state or credentials for everybody who reads, or change how a
// header that was judged already is to be read (RFC 9110 section 6.5.1).
var notInTrailers = map[string]bool{
	"Set-Cookie": true, "Set-Cookie2": true, "Www-Authenticate": true, "Authentication-Info": true, "Authorization": true,
	"Cache-Control": true, "Expires": true, "Age": true, "Vary": true, "Date": true, "Cache-Status": true, "Via": true,
	"Content-Encoding": true, "Content-Type": true, "Content-Range": true, "Content-Length": true, "Transfer-Encoding": true,
}

// trailers sends the trailer section of a body in flight to a client that
// says it takes one, and drops it for others, both as RFC 9110 section 6.5.1 has
// it. What is stored has none. The body is complete.
//
//go:noinline
func (x *exchange) trailers(f *flight) { // its place on the stack would be taken while thousands wait for the body
	if x.head || !takesTrailers(x.r) {
		return
	}
	// Or net/http would count a short body and send it in a form without trailers.
	flush(http.NewResponseController(x.w))
	h := x.w.Header()
	for name, values := range f.trailer {
		if !notInTrailers[name] {
			h[http.TrailerPrefix+name] = values
		}
	}
}

// takesTrailers reports whether TE lists trailers (RFC 9110 section 10.1.4).
func takesTrailers(r *http.Request) bool {
	for _, line := range r.Header["Te"] {
		for coding := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(coding), "trailers") {
				return true
			}
		}
	}
	return false
}
