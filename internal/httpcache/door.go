package httpcache

import (
	"net/http"
	"strings"
	"time"
)

// refusal is an answer that needs neither store nor upstream.
type refusal struct {
	code       int
	detail     string // a token, for Cache-Status
	text       string
	retryAfter time.Duration // 0: no Retry-After
}

// refuse judges what no shared cache should pass on. It returns nil for a
// request that may go in.
func (c *Cache) refuse(r *http.Request) *refusal {
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return &refusal{http.StatusMethodNotAllowed, "method", "method not allowed", 0}
	case !strings.HasPrefix(r.RequestURI, "/"):
		// Absolute-form names a second host beside Host; "*" names no resource.
		return &refusal{http.StatusBadRequest, "request-target", "request target must be a path", 0}
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.ContentLength != 0 || len(r.TransferEncoding) > 0):
		// Such a body is in no key and could change the answer for everybody.
		return &refusal{http.StatusBadRequest, "request-body", "GET and HEAD take no body", 0}
	case countLoops(r.Header["Cdn-Loop"], c.opt.ID) > 0:
		return &refusal{http.StatusLoopDetected, "loop", "request loops through this cache", 0}
	}
	return nil
}

// countLoops counts the entries of CDN-Loop (RFC 8586) that name id.
// Parameters are ignored; identifiers are compared as they are.
func countLoops(lines []string, id string) int {
	n := 0
	for _, line := range lines {
		for entry := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(entry, ";")
			if strings.Trim(name, " \t") == id {
				n++
			}
		}
	}
	return n
}
