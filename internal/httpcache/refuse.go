package httpcache

import (
	"net/http"
	"strconv"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// shed refuses the request.
func (x *exchange) shed(no *refusal) {
	x.out.Status = StatusShed
	x.refuseWith(no, cacheStatus{})
}

// fail answers for an upstream that gave no response.
func (x *exchange) fail(h *head, st cacheStatus) {
	no := &refusal{h.code, string(reasonUpstream), "upstream gave no response", 0}
	if u := declined(h.err); u != nil {
		no = &refusal{h.code, string(u.Reason), "upstream is unavailable", max(u.RetryAfter, time.Second)}
	} else if h.code == http.StatusGatewayTimeout {
		no.detail = string(reasonTimeout)
	}
	x.refuseWith(no, st)
	x.out.Status = StatusError
}

// refuseWith sends a short plain answer of this cache's own making. It has no
// Cache-Control: a tier below may share an error with those who wait for it.
func (x *exchange) refuseWith(no *refusal, st cacheStatus) {
	st.detail = rfc9111.Reason(no.detail)
	h := x.w.Header()
	h["Cache-Status"] = []string{string(st.append(nil, x.c.opt.Name))}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(no.text) + 1)}
	if no.retryAfter > 0 {
		h["Retry-After"] = []string{retryAfter(no.retryAfter)}
	}
	x.header(no.code)
	if x.r.Method != http.MethodHead {
		n, _ := x.w.Write([]byte(no.text + "\n"))
		x.out.BytesOut += int64(n)
	}
}
