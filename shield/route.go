package shield

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache"
)

// refusal is an answer to a request that is for none of the sites.
type refusal struct {
	code   int
	detail string // a token, for Cache-Status
	text   string
}

var (
	refusedMethod = &refusal{http.StatusMethodNotAllowed, "method", "method not allowed"}
	refusedTarget = &refusal{http.StatusBadRequest, "request-target", "request target must be a path"}
	refusedHost   = &refusal{http.StatusBadRequest, "host", "Host is no host name"}
	unknownHost   = &refusal{http.StatusMisdirectedRequest, "unknown-host", "no site has this host"}
)

// route returns the host of a request in normal form, or why no site is to answer it.
func (s *Shield) route(r *http.Request) (string, *refusal) {
	switch {
	case r.Method == http.MethodConnect:
		return "", refusedMethod
	case !strings.HasPrefix(r.RequestURI, "/"):
		// In absolute form the target names the host, beside a Host field that may name another; "*" names no resource.
		return "", refusedTarget
	}
	host, ok := normalHost(r.Host)
	if !ok {
		return "", refusedHost
	}
	if s.sites.Load().table.find(host) == nil {
		return host, unknownHost
	}
	return host, nil
}

// origins sends each fetch to the origin of its site.
type origins struct{ shield *Shield }

// RoundTrip fetches from the origin of the request's host, which is in normal form.
func (o origins) RoundTrip(r *http.Request) (*http.Response, error) {
	site := o.shield.sites.Load().table.find(r.Host)
	if site == nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("no site has the host %q", r.Host)
	}
	return site.origin.RoundTrip(r)
}

// refuse answers with a refusal. It mostly has no Cache-Control: 421 and 400 are not cacheable without.
func (s *Shield) refuse(w http.ResponseWriter, r *http.Request, no *refusal) {
	began := time.Now()
	s.o.Logger.Debug().Str("detail", no.detail).Str("method", r.Method).Str("host", r.Host).Msg("request refused")
	h, text := w.Header(), no.text+"\n"
	h["Cache-Status"] = []string{tierName + "; detail=" + no.detail}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	if no == refusedStranger {
		// It is about who asks, and a cache between may have a lifetime of its own for what states none.
		h["Cache-Control"] = []string{"no-store"}
	}
	if no.code == http.StatusMethodNotAllowed {
		h["Allow"] = []string{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"} // RFC 9110, section 15.5.6
	}
	outcome := httpcache.Outcome{Status: httpcache.StatusShed, Method: r.Method, Code: no.code}
	w.WriteHeader(no.code)
	outcome.TTFB = time.Since(began)
	if r.Method != http.MethodHead {
		n, _ := w.Write([]byte(text))
		outcome.BytesOut = int64(n)
	}
	outcome.Duration = time.Since(began)
	s.o.Observe(outcome)
}
