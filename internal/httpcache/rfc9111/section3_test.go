package rfc9111

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// Section 3: what is stored.
func TestSection3Storing(t *testing.T) {
	day := cc("max-age=86400")
	cookies := Rules{ShareSetCookie: true}
	meetAll(t, []encounter{
		{name: "freshness-none", want: forwarded},
		{name: "cc-resp-no-store", fields: cc("no-store"), want: forwarded},
		{name: "cc-resp-no-store-case-insensitive", fields: cc("No-StOrE"), want: forwarded},
		{name: "cc-resp-no-store-fresh", fields: cc("max-age=86400, no-store"), want: forwarded},
		{name: "no-store on a line of its own", fields: cc("max-age=86400", "no-store"), want: forwarded},
		{name: "no-store as a name of an extension's value", fields: cc(`max-age=86400, ext="no-store"`), want: fresh},
		{name: "cc-resp-private-shared", fields: cc("private, max-age=86400"), want: forwarded},
		{name: "private with field names", fields: cc(`private="x", max-age=86400`), want: forwarded},
		{name: "ccreq-no-store, section 5.2.1.5", first: cc("no-store"), fields: day, want: forwarded},
		{name: "other-authorization, section 3.5", first: []string{"Authorization", "Basic eA=="}, fields: day, want: forwarded},
		{name: "other-authorization-public", first: []string{"Authorization", "Basic eA=="}, fields: cc("max-age=86400, public"), want: fresh},
		{name: "other-authorization-must-revalidate", first: []string{"Authorization", "Basic eA=="}, fields: cc("max-age=86400, must-revalidate"), want: fresh},
		{name: "other-authorization-smaxage", first: []string{"Authorization", "Basic eA=="}, fields: cc("s-maxage=86400"), want: fresh},
		{name: "stored for everybody, asked for with credentials", fields: day, second: []string{"Authorization", "Basic eA=="}, want: forwarded},
		{name: "other-set-cookie, where the site shares it, section 7.3", rules: cookies, fields: with(day, "Set-Cookie", "k=v"), want: fresh},
		{name: "Set-Cookie by default", fields: with(day, "Set-Cookie", "k=v"), want: forwarded},
		{name: "other-cookie", fields: day, second: []string{"Cookie", "k=v"}, want: fresh},
		{name: "other-fresh-content-disposition-attachment", fields: with(day, "Content-Disposition", "attachment"), want: fresh},
		{name: "206 is stored as a slice, not as a response, section 3.3", status: 206, fields: with(day, "Content-Range", "bytes 0-1/9"), want: forwarded},
		{name: "interim-not-cached", status: 103, fields: day, want: forwarded},
		{name: "status-200-must-understand, section 5.2.2.3", fields: cc("max-age=86400, no-store, must-understand"), want: fresh},
		{name: "status-599-must-understand", status: 599, fields: cc("max-age=86400, no-store, must-understand"), want: forwarded},
		{name: "must-understand without no-store", status: 599, fields: cc("max-age=86400, must-understand"), want: forwarded},
	})
}

// Section 3: any final status may be stored that says for how long, and it
// grows stale as others do.
func TestSection3AnyStatus(t *testing.T) {
	for _, status := range []int{200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599} {
		meetAll(t, []encounter{
			{name: fmt.Sprintf("status-%d-fresh", status), status: status, fields: cc("max-age=60"), after: 59 * time.Second, want: fresh},
			{name: fmt.Sprintf("status-%d-stale", status), status: status, fields: cc("max-age=60"), after: 61 * time.Second, want: forwarded},
		})
	}
}

// Section 3.1: all fields are stored but those of one connection (headers-store-*).
func TestSection31Fields(t *testing.T) {
	h := http.Header{}
	keep := []string{"Test-Header", "X-Test-Header", "Content-Foo", "X-Content-Foo", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Location",
		"Content-Md5", "Content-Range", "Content-Security-Policy", "Content-Type", "Clear-Site-Data", "Etag", "Expires", "Public-Key-Pins", "Set-Cookie",
		"Set-Cookie2", "X-Frame-Options", "X-Xss-Protection"}
	drop := []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "Te",
		"Transfer-Encoding", "Upgrade", "Listed", "Also-Listed"}
	for _, name := range slices.Concat(keep, drop) {
		h.Set(name, "v")
	}
	h["Connection"] = []string{"listed, close", " ALSO-listed"} // headers-omit-headers-listed-in-Connection
	StripHopByHop(h)
	for _, name := range keep {
		if h.Get(name) == "" {
			t.Errorf("headers-store-%s: it is gone", name)
		}
	}
	for _, name := range drop {
		if _, ok := h[name]; ok {
			t.Errorf("headers-store-%s: it is still there", name)
		}
	}
}

// Section 3.2: a 304 updates what is stored, but for what describes the content
// that it did not bring (304-etag-update-response-*).
func TestSection32Update(t *testing.T) {
	names := []string{"Test-Header", "X-Test-Header", "Content-Foo", "X-Content-Foo", "Cache-Control", "Content-Security-Policy", "Clear-Site-Data", "Etag", "Expires",
		"X-Frame-Options", "Last-Modified", "Date"}
	kept := []string{"Content-Length", "Content-Encoding", "Content-Type", "Content-Range"}
	stored, update := http.Header{"Unmentioned": {"old"}, "Age": {"30"}}, http.Header{}
	for _, name := range slices.Concat(names, kept) {
		stored.Set(name, "old")
		update.Set(name, "new")
	}
	h := Update(stored, update)
	for _, name := range names {
		if got := h[name]; !slices.Equal(got, []string{"new"}) {
			t.Errorf("304-etag-update-response-%s: %q", name, got)
		}
	}
	for _, name := range append(kept, "Unmentioned") { // 304-lm-use-stored-Test-Header
		if h.Get(name) != "old" {
			t.Errorf("304-etag-update-response-%s: %q, want what was stored", name, h.Get(name))
		}
	}
	if h.Get("Age") != "" {
		t.Errorf("Age %q is of the response before its validation", h.Get("Age"))
	}
	if stored.Get("Test-Header") != "old" {
		t.Error("what others read was changed")
	}
}
