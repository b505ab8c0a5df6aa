package rfc9111

import (
	"testing"
	"time"
)

// Section 5.2.1: what a client's Cache-Control asks for, where it is honoured.
func TestSection521RequestDirectives(t *testing.T) {
	honour := Rules{HonourRequest: true}
	body := with(cc("max-age=60"), "Etag", `"e"`)
	for _, c := range []struct {
		name    string
		request []string
		after   time.Duration
		want    outcome // where it is honoured
		without outcome // where it is not
	}{
		{"ccreq-ma0", cc("max-age=0"), 0, validated, fresh},
		{"ccreq-ma1", cc("max-age=1"), 2 * time.Second, validated, fresh},
		{"ccreq-magreaterage", cc("max-age=30"), 10 * time.Second, fresh, fresh},
		{"ccreq-max-stale", cc("max-stale=60"), 61 * time.Second, stale, validated},
		{"ccreq-max-stale without a limit", cc("max-stale"), time.Hour, stale, validated},
		{"ccreq-max-stale-age", cc("max-stale=1"), 70 * time.Second, validated, validated},
		{"ccreq-min-fresh", cc("min-fresh=120"), 0, validated, fresh},
		{"min-fresh that it has", cc("min-fresh=30"), 10 * time.Second, fresh, fresh},
		{"ccreq-min-fresh-age", cc("min-fresh=30"), 40 * time.Second, validated, fresh},
		{"ccreq-no-cache", cc("no-cache"), 0, validated, fresh},
		{"pragma-request-no-cache, section 5.4", []string{"Pragma", "no-cache"}, 0, validated, fresh},
		{"Pragma beside Cache-Control", []string{"Pragma", "no-cache", "Cache-Control", "ext"}, 0, fresh, fresh},
		{"pragma-request-extension", []string{"Pragma", "ext"}, 0, fresh, fresh},
		{"ccreq-no-store takes what is stored", cc("no-store"), 0, fresh, fresh},
	} {
		meetAll(t, []encounter{
			{name: c.name, rules: honour, fields: body, second: c.request, after: c.after, want: c.want},
			{name: c.name + ", not honoured", fields: body, second: c.request, after: c.after, want: c.without},
		})
	}
	if r := ParseRequest(header(cc("only-if-cached")...)); !r.Directives.OnlyIfCached {
		t.Error("ccreq-oic: not understood")
	}
	meetAll(t, []encounter{
		{name: "cc-resp-immutable-fresh, RFC 8246", rules: honour, fields: with(cc("max-age=60, immutable"), "Etag", `"e"`), second: cc("max-age=0"), want: fresh},
		{name: "cc-resp-immutable-stale", rules: honour, fields: with(cc("max-age=60, immutable"), "Etag", `"e"`), second: cc("max-age=0"), after: time.Hour, want: validated},
		{name: "immutable and a reload by force", rules: honour, fields: with(cc("max-age=60, immutable"), "Etag", `"e"`), second: cc("no-cache"), want: validated},
	})
}

// Section 5.4 and beyond: Pragma in a response says nothing.
func TestSection54Pragma(t *testing.T) {
	meetAll(t, []encounter{
		{name: "pragma-response-no-cache", fields: with(cc("max-age=60"), "Pragma", "no-cache"), want: fresh},
		{name: "pragma-response-extension", fields: with(cc("max-age=60"), "Pragma", "ext"), want: fresh},
	})
}

// RFC 9213: a field for this cache takes the place of Cache-Control and Expires.
func TestTargetedCacheControl(t *testing.T) {
	cdn := func(v string, more ...string) []string { return append([]string{"CDN-Cache-Control", v}, more...) }
	ours := func(v string, more ...string) []string {
		return append([]string{"Surgewall-Cache-Control", v}, more...)
	}
	expires := []string{"Expires", date(time.Hour)}
	after := 2 * time.Second
	meetAll(t, []encounter{
		{name: "cdn-max-age", fields: cdn("max-age=60"), after: after, want: fresh},
		{name: "cdn-max-age-max", fields: cdn("max-age=2147483648"), after: after, want: fresh},
		{name: "cdn-max-age-max-plus", fields: cdn("max-age=99999999999"), after: after, want: fresh},
		{name: "cdn-max-age-age", fields: cdn("max-age=60", "Age", "61"), want: forwarded},
		{name: "cdn-max-age-0", fields: cdn("max-age=0"), want: forwarded},
		{name: "cdn-max-age-extension", fields: cdn("ext, max-age=60"), after: after, want: fresh},
		{name: "cdn-max-age-expires", fields: cdn("max-age=60", "Expires", date(-time.Hour)), after: after, want: fresh},
		{name: "cdn-max-age-cc-max-age-invalid-expires", fields: cdn("max-age=60", "Expires", "0"), after: after, want: fresh},
		{name: "cdn-max-age-0-expires", fields: cdn("max-age=0", expires...), want: forwarded},
		{name: "cdn-max-age-short-cc-max-age", fields: cdn("max-age=60", cc("max-age=1")...), after: after, want: fresh},
		{name: "cdn-max-age-long-cc-max-age", fields: cdn("max-age=1", cc("max-age=60")...), after: after, want: forwarded},
		{name: "cdn-private", fields: cdn("private", with(expires, cc("max-age=60")...)...), want: forwarded},
		{name: "cdn-no-cache", fields: cdn("no-cache", with(expires, cc("max-age=60")...)...), want: forwarded},
		{name: "cdn-no-store-cc-fresh", fields: cdn("no-store", with(expires, cc("max-age=60")...)...), want: forwarded},
		{name: "cdn-fresh-cc-nostore", fields: cdn("max-age=60", cc("no-store")...), after: after, want: fresh},
		{name: "cdn-cc-invalid-sh-type-unknown", fields: cdn("max-age=60, &&&&&", cc("no-store")...), want: forwarded},
		{name: "cdn-cc-invalid-sh-type-wrong", fields: cdn(`max-age="60"`, cc("no-store")...), want: forwarded},
		{name: "an empty one is none", fields: cdn("", cc("max-age=60")...), after: after, want: fresh},
		{name: "the first of the list counts", fields: ours("max-age=60", cdn("no-store")...), after: after, want: fresh},
		{name: "the first that can be read", fields: ours("&&&", cdn("max-age=60", cc("no-store")...)...), after: after, want: fresh},
		{name: "one that is not ours", fields: []string{"Example-Cache-Control", "max-age=60"}, want: forwarded},
		{name: "none is to be obeyed", rules: Rules{Targeted: []string{}}, fields: cdn("max-age=60", cc("no-store")...), want: forwarded},
	})
}
