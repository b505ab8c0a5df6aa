package httpcache

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// target is what a request asks for, in the form that the key is made of and
// that the upstream gets.
type target struct {
	scheme, host string
	path, query  string // escaped path and cleaned raw query, byte for byte
	rawHost      string // Host as received
	url          *url.URL
}

// targetOf reads the target; ok is false when Host is no host.
func (c *Cache) targetOf(r *http.Request) (t target, site *Site, ok bool) {
	t.scheme = "http"
	if r.TLS != nil {
		t.scheme = "https"
	}
	t.host, ok = rfc9111.CanonicalHost(t.scheme, r.Host)
	t.rawHost, t.url = r.Host, r.URL
	t.path = r.URL.EscapedPath()
	site = c.site(t.host)
	t.query = rfc9111.CleanQuery(r.URL.RawQuery, site.IgnoreQuery)
	return t, site, ok
}

func (t *target) key() string { return rfc9111.Key(t.scheme, t.host, t.path, t.query) }

// upstreamURL has scheme and host empty, for the upstream to fill.
func (t *target) upstreamURL() *url.URL {
	return &url.URL{Path: t.url.Path, RawPath: t.url.RawPath, RawQuery: t.query}
}

// absolute is the target URI (RFC 9110 section 7.1).
func (t *target) absolute() *url.URL {
	u := t.upstreamURL()
	u.Scheme, u.Host = t.scheme, t.host
	return u
}

// forwardingFields tell an origin who asked and by which way, or make it
// answer for another path, host or method. They change the answer but are in no
// key. All of X-Forwarded-* is among them.
var forwardingFields = fieldSet("Forwarded", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip",
	"X-Host", "X-Original-Host", "X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Rewrite-Url", "X-Proxy-Url", "X-Url-Scheme", "X-Arr-Ssl",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Http-Host-Override", "Front-End-Https", "X-Middleware-Subrequest")

// cmcdFields are a player's report (CTA-5004), different in each request.
var cmcdFields = fieldSet("Cmcd-Object", "Cmcd-Request", "Cmcd-Session", "Cmcd-Status")

func fieldSet(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

func tellsOfForwarding(name string) bool {
	return forwardingFields[name] || strings.HasPrefix(name, "X-Forwarded-")
}

// neverForwarded are fields of which the upstream sees nothing on a shared
// fetch, so that its Vary on them means nothing. A name with _ is one of them:
// what hands fields on as variables, as CGI does, takes X_Forwarded_Host for
// X-Forwarded-Host.
func neverForwarded(name string) bool {
	return tellsOfForwarding(name) || cmcdFields[name] || strings.IndexByte(name, '_') >= 0
}

// forwardHeader returns the end-to-end fields of a client's request with this
// cache's Via and CDN-Loop. shared says that the response may reach others:
// then it is also free of preconditions, range and anything that concerns this
// client's connection alone.
func (c *Cache) forwardHeader(r *http.Request, site *Site, shared bool) http.Header {
	h := make(http.Header, len(r.Header)+4)
	for name, values := range r.Header {
		switch {
		case cmcdFields[name], shared && neverForwarded(name):
		case !c.opt.TrustForwarded && tellsOfForwarding(http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))):
		default:
			// The slices are shared with r.Header; appending below copies first.
			h[name] = values[:len(values):len(values)]
		}
	}
	rfc9111.StripHopByHop(h)
	if shared {
		rfc9111.StripConditional(h)
		delete(h, "Expect")
		if !site.Rules.HonourRequest {
			delete(h, "Cache-Control")
			delete(h, "Pragma")
		}
	}
	h["Via"] = append(h["Via"], strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)+" "+c.opt.Name)
	h["Cdn-Loop"] = append(h["Cdn-Loop"], c.opt.ID)
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // or http.Transport would invent one
	}
	return h
}

// responseHeader turns an upstream's header into the end-to-end fields that
// this cache sends and stores: without its own entry in Cache-Status, which
// differs per request.
func (c *Cache) responseHeader(resp *http.Response) http.Header {
	h := resp.Header
	rfc9111.StripHopByHop(h)
	if len(h["Date"]) == 0 { // RFC 9110 section 6.6.1
		h["Date"] = []string{c.opt.Now().UTC().Format(http.TimeFormat)}
	}
	c.addVia(h, resp.ProtoMajor, resp.ProtoMinor)
	return h
}

func (c *Cache) addVia(h http.Header, major, minor int) {
	entry := strconv.Itoa(major) + "." + strconv.Itoa(minor) + " " + c.opt.Name
	via := h["Via"]
	if n := len(via); n > 0 && strings.HasSuffix(via[n-1], entry) {
		return // a stored header that a 304 without Via updated
	}
	h["Via"] = append(via[:len(via):len(via)], entry)
}
