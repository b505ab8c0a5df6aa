package rfc9111

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// Section 4.1: the fields that Vary names select.
func TestSection41Vary(t *testing.T) {
	vary := func(fields ...string) (h []string) {
		h = cc("max-age=86400")
		for _, f := range fields {
			h = append(h, "Vary", f)
		}
		return h
	}
	a := []string{"A", "1"}
	ab := []string{"A", "1", "B", "x"}
	abc := []string{"A", "1", "B", "x", "C", "9"}
	lang := func(v string) []string { return []string{"Accept-Language", v} }
	meetAll(t, []encounter{
		{name: "vary-match", first: a, fields: vary("A"), second: a, want: fresh},
		{name: "vary-no-match", first: a, fields: vary("A"), second: []string{"A", "2"}, want: forwarded},
		{name: "vary-omit-stored", fields: vary("A"), second: a, want: forwarded},
		{name: "vary-omit", first: a, fields: vary("A"), want: forwarded},
		{name: "absent is not empty", fields: vary("A"), second: []string{"A", ""}, want: forwarded},
		{name: "vary-cache-key", first: []string{"A", "1", "O", "2"}, fields: vary("A"), second: []string{"A", "1", "O", "3"}, want: fresh},
		{name: "vary-2-match", first: ab, fields: vary("A, B"), second: ab, want: fresh},
		{name: "vary-2-no-match", first: ab, fields: vary("A, B"), second: []string{"A", "2", "B", "x"}, want: forwarded},
		{name: "vary-2-match-omit", first: ab, fields: vary("A, B"), want: forwarded},
		{name: "two lines", first: ab, fields: vary("A", "b"), second: a, want: forwarded},
		{name: "vary-3-match", first: abc, fields: vary("A, B, C"), second: abc, want: fresh},
		{name: "vary-3-no-match", first: abc, fields: vary("A, B, C"), second: []string{"A", "2", "B", "x", "C", "9"}, want: forwarded},
		{name: "vary-3-order", first: abc, fields: vary("A, B, C"), second: []string{"A", "1", "C", "9", "B", "y"}, want: forwarded},
		{name: "vary-3-omit", first: []string{"A", "1", "C", "9"}, fields: vary("A, B, C"), second: []string{"A", "1", "C", "9"}, want: fresh},
		{name: "vary-star", first: a, fields: vary("*"), second: a, want: forwarded},
		{name: "vary-syntax-star-star", fields: vary("*, *"), want: forwarded},
		{name: "vary-syntax-star-star-lines", fields: vary("*", "*"), want: forwarded},
		{name: "vary-syntax-empty-star", fields: vary(", *"), want: forwarded},
		{name: "vary-syntax-empty-star-lines", fields: vary("", "*"), want: forwarded},
		{name: "vary-syntax-star-foo", first: a, fields: vary("*, A"), second: a, want: forwarded},
		{name: "vary-syntax-foo-star", first: a, fields: vary("A, *"), second: a, want: forwarded},
		{name: "vary-normalise-combine", first: []string{"A", "1, 2"}, fields: vary("A"), second: []string{"A", "1", "A", "2"}, want: fresh},
		{name: "vary-normalise-space", first: []string{"A", "1,2"}, fields: vary("A"), second: []string{"A", " 1, 2 "}, want: fresh},
		{name: "vary-normalise-lang-case", first: lang("en, de"), fields: vary("Accept-Language"), second: lang("eN, De"), want: fresh},
		{name: "vary-normalise-lang-space", first: lang("en, de"), fields: vary("Accept-Language"), second: lang(" en ,   de"), want: fresh},
		{name: "any other field has its case", first: []string{"A", "x"}, fields: vary("A"), second: []string{"A", "X"}, want: forwarded},
	})
}

// Section 4.2.1: the freshness lifetime.
func TestSection421Lifetime(t *testing.T) {
	expires := func(at string, more ...string) []string { return append([]string{"Expires", at}, more...) }
	hour := expires(date(time.Hour))
	rows := []encounter{
		{name: "freshness-max-age", fields: cc("max-age=3600"), after: 3599 * time.Second, want: fresh},
		{name: "freshness-max-age-stale", fields: cc("max-age=2"), after: 3 * time.Second, want: forwarded},
		{name: "freshness-max-age-0", fields: cc("max-age=0"), want: forwarded},
		{name: "a part of a second", fields: cc("max-age=0.5"), after: 400 * time.Millisecond, want: fresh},
		{name: "a part of a second, over", fields: cc("max-age=0.5"), after: 600 * time.Millisecond, want: forwarded},
		{name: "freshness-max-age-age", fields: with(cc("max-age=60"), "Age", "61"), want: forwarded},
		{name: "freshness-max-age-expires", fields: with(cc("max-age=60"), "Expires", date(-time.Hour)), want: fresh},
		{name: "freshness-max-age-expires-invalid", fields: with(cc("max-age=60"), "Expires", "0"), want: fresh},
		{name: "freshness-max-age-0-expires", fields: with(cc("max-age=0"), "Expires", date(time.Hour)), want: forwarded},
		{name: "freshness-max-age-extension", fields: cc("ext, max-age=60"), want: fresh},
		{name: "freshness-max-age-case-insenstive", fields: cc("MAX-age=60"), want: fresh},
		{name: "freshness-max-age-negative", fields: cc("max-age=-60"), want: forwarded},
		{name: "freshness-s-maxage-shared", fields: cc("s-maxage=60"), want: fresh},
		{name: "freshness-max-age-s-maxage-shared-longer", fields: cc("max-age=60, s-maxage=1"), after: 2 * time.Second, want: forwarded},
		{name: "freshness-max-age-s-maxage-shared-longer-reversed", fields: cc("s-maxage=1, max-age=60"), after: 2 * time.Second, want: forwarded},
		{name: "freshness-max-age-s-maxage-shared-longer-multiple", fields: cc("max-age=60", "s-maxage=1"), after: 2 * time.Second, want: forwarded},
		{name: "freshness-max-age-s-maxage-shared-shorter", fields: cc("max-age=1, s-maxage=60"), after: 2 * time.Second, want: fresh},
		{name: "freshness-max-age-s-maxage-shared-shorter-expires", fields: with(cc("max-age=0, s-maxage=60"), "Expires", date(-time.Hour)), want: fresh},

		{name: "freshness-max-age-ignore-quoted", fields: cc(`ext="max-age=60", max-age=1`), after: 2 * time.Second, want: forwarded},
		{name: "freshness-max-age-ignore-quoted-rev", fields: cc(`max-age=1, ext="max-age=60"`), after: 2 * time.Second, want: forwarded},
		{name: "freshness-max-age-leading-zero", fields: cc("max-age=0060"), after: 59 * time.Second, want: fresh},
		{name: "freshness-max-age-single-quoted", fields: cc("max-age='60'"), want: forwarded},
		{name: "freshness-max-age-space-before-equals", fields: cc("max-age =60"), want: forwarded},
		{name: "freshness-max-age-space-after-equals", fields: cc("max-age= 60"), want: forwarded},

		{name: "freshness-expires-future", fields: hour, after: 59 * time.Minute, want: fresh},
		{name: "freshness-expires-past", fields: expires(date(-time.Hour)), want: forwarded},
		{name: "freshness-expires-present", fields: expires(date(0)), want: forwarded},
		{name: "freshness-expires-old-date", fields: expires(date(5*time.Minute), "Date", date(7*time.Minute)), want: forwarded},
		{name: "freshness-expires-invalid", fields: expires("0"), want: forwarded},
		{name: "freshness-expires-invalid-date", fields: expires(date(10*time.Second), "Date", "today"), want: fresh},
		{name: "freshness-expires-age-slow-date", fields: expires(date(10*time.Second), "Date", date(-10*time.Second), "Age", "25"), want: forwarded},
		{name: "freshness-expires-age-fast-date", fields: expires(date(20*time.Second), "Date", date(10*time.Second), "Age", "15"), want: forwarded},
	}
	for _, digits := range []string{"2147483647", "2147483648", "2147483649", "99999999999"} { // freshness-max-age-max*
		rows = append(rows, encounter{name: "max-age=" + digits, fields: cc("max-age=" + digits), after: 24 * time.Hour, want: fresh})
	}
	for name, at := range map[string]string{ // section 5.3, RFC 9110 section 5.6.7
		"32bit": "Wed, 20 Jan 2038 01:02:03 GMT", "far-future": "Mon, 22 Nov 2286 01:02:03 GMT", "rfc850": "Friday, 19-Aug-50 01:02:03 GMT",
		"ansi-c": "Tue Aug  9 01:02:03 2050", "wrong-case-weekday": "FRI, 19 Aug 2050 01:02:03 GMT", "wrong-case-month": "Fri, 19 AUG 2050 01:02:03 GMT",
		"wrong-case-tz": "Fri, 19 Aug 2050 01:02:03 gMT",
	} {
		rows = append(rows, encounter{name: "freshness-expires-" + name, fields: expires(at), want: fresh})
	}
	for name, at := range map[string]string{
		"utc": "Fri, 19 Aug 2050 01:02:03 UTC", "aest": "Fri, 19 Aug 2050 01:02:03 AEST", "2-digit-year": "Fri, 19 Aug 50 01:02:03 GMT",
		"no-comma": "Fri 19 Aug 2050 01:02:03 GMT", "multiple-spaces": "Fri, 19  Aug  2050 01:02:03 GMT", "date-dashes": "Fri, 19-Aug-2050 01:02:03 GMT",
		"time-periods": "Fri, 19 Aug 2050 01.02.03 GMT", "1-digit-hour": "Fri, 19 Aug 2050 1:02:03 GMT",
	} {
		rows = append(rows, encounter{name: "freshness-expires-invalid-" + name, fields: expires(at), want: forwarded})
	}
	rows = append(rows, encounter{name: "freshness-expires-invalid-multiple-lines",
		fields: []string{"Expires", "Fri, 19 Aug 2050 1:02:03 GMT", "Expires", "Fri, 19 Aug 2050 1:02:04 GMT"}, want: forwarded})
	meetAll(t, rows)
}

// Section 4.2.2: a lifetime is invented only where the site wants it, and only
// for the status codes that allow it.
func TestSection422Heuristics(t *testing.T) {
	on := Rules{Heuristics: true}
	old := []string{"Last-Modified", date(-time.Hour)}
	for status, want := range map[int]outcome{200: fresh, 203: fresh, 204: fresh, 404: fresh, 405: fresh, 410: fresh, 414: fresh, 501: fresh,
		201: forwarded, 202: forwarded, 403: forwarded, 502: forwarded, 503: forwarded, 504: forwarded, 599: forwarded} {
		meetAll(t, []encounter{
			{name: "heuristic-" + http.StatusText(status), rules: on, status: status, fields: old, after: 5 * time.Minute, want: want},
			{name: "switched off, " + http.StatusText(status), status: status, fields: old, want: forwarded},
		})
	}
	meetAll(t, []encounter{
		{name: "heuristic-599-cached: public", rules: on, status: 599, fields: with(old, "Cache-Control", "public"), want: fresh},
		{name: "heuristic-delta-*: a tenth of its age", rules: on, fields: old, after: 7 * time.Minute, want: validated},
		{name: "never longer than a day", rules: on, fields: []string{"Last-Modified", date(-1000 * time.Hour)}, after: 25 * time.Hour, want: validated},
		{name: "pragma-response-no-cache-heuristic means nothing", rules: on, fields: with(old, "Pragma", "no-cache"), want: fresh},
		{name: "nothing to go by", rules: on, want: forwarded},
	})
}

// Section 4.2.3: the age, of which Age and Date tell.
func TestSection423Age(t *testing.T) {
	age := func(values ...string) []string {
		h := cc("max-age=60")
		for _, v := range values {
			h = append(h, "Age", v)
		}
		return h
	}
	rows := []encounter{
		{name: "other-age-update-max-age", fields: age("30"), after: 29 * time.Second, want: fresh},
		{name: "and adds up", fields: age("30"), after: 31 * time.Second, want: forwarded},
		{name: "other-age-update-expires", fields: []string{"Expires", date(time.Minute), "Age", "30"}, after: 31 * time.Second, want: forwarded},
		{name: "freshness-max-age-date: an old Date", fields: with(cc("max-age=60"), "Date", date(-time.Hour)), want: forwarded},
		{name: "a Date of the future", fields: with(cc("max-age=60"), "Date", date(time.Hour)), after: 59 * time.Second, want: fresh},
	}
	for name, c := range map[string]struct {
		values []string
		want   outcome
	}{
		"nonnumeric": {[]string{"abc"}, fresh}, "negative": {[]string{"-120"}, fresh}, "float": {[]string{"120.0"}, fresh},
		"large-minus-one": {[]string{"2147483647"}, forwarded}, "large": {[]string{"2147483648"}, forwarded}, "larger": {[]string{"99999999999999999999"}, forwarded},
		"suffix": {[]string{"120, 0"}, forwarded}, "prefix": {[]string{"0, 120"}, fresh},
		"suffix-twoline": {[]string{"120", "0"}, forwarded}, "prefix-twoline": {[]string{"0", "120"}, fresh},
		"dup-0": {[]string{"0, 0"}, fresh}, "dup-0-twoline": {[]string{"0", "0"}, fresh}, "dup-old": {[]string{"50", "50"}, fresh},
	} {
		rows = append(rows, encounter{name: "age-parse-" + name, fields: age(c.values...), want: c.want})
	}
	meetAll(t, rows)
	if _, s := meet(encounter{fields: age("30")}); s.Age(t0.Add(5*time.Second)) != 35*time.Second { // other-age-gen
		t.Errorf("other-age-gen: age %v", s.Age(t0.Add(5*time.Second)))
	}
}

// Section 4.2.4 and RFC 5861: what may be served stale.
func TestSection424Stale(t *testing.T) {
	old := 3 * time.Second
	rows := []struct {
		name                string
		cc                  string
		swr, error, unheard bool // served stale: to anybody, when the upstream fails, when it cannot be reached
	}{
		{"stale-while-revalidate", "max-age=1, stale-while-revalidate=60", true, false, true},
		{"stale-while-revalidate-window", "max-age=1, stale-while-revalidate=1", false, false, true},
		{"stale-sie-503", "max-age=1, stale-if-error=60", false, true, true},
		{"stale-sie-close, over", "max-age=1, stale-if-error=1", false, false, true},
		{"stale-close", "max-age=1", false, false, true},
		{"stale-close-must-revalidate", "max-age=1, must-revalidate, stale-while-revalidate=60, stale-if-error=60", false, false, false},
		{"stale-close-proxy-revalidate", "max-age=1, proxy-revalidate, stale-while-revalidate=60, stale-if-error=60", false, false, false},
		{"stale-close-no-cache", "max-age=1, no-cache, stale-while-revalidate=60, stale-if-error=60", false, false, false},
		{"stale-close-s-maxage=2", "s-maxage=1", false, false, false},
		{"s-maxage, where another directive allows it", "s-maxage=1, stale-if-error=60", false, true, false},
	}
	for _, c := range rows {
		got, s := meet(encounter{fields: with(cc(c.cc), "Etag", `"e"`), after: old})
		at := t0.Add(old)
		if (got == stale) != c.swr || s.StaleOnError(at) != c.error || s.StaleWhenDisconnected(at, time.Minute) != c.unheard {
			t.Errorf("%s: %s, on error %v, unreachable %v", c.name, got, s.StaleOnError(at), s.StaleWhenDisconnected(at, time.Minute))
		}
	}
}

// Section 4.3: validation, of a stale response upstream and by a client's condition here.
func TestSection43Validation(t *testing.T) {
	meetAll(t, []encounter{
		{name: "conditional-etag-strong-generate", fields: with(cc("max-age=1"), "Etag", `"e"`), after: 2 * time.Second, want: validated},
		{name: "conditional-etag-weak-generate-weak", fields: with(cc("max-age=1"), "Etag", `W/"e"`), after: 2 * time.Second, want: validated},
		{name: "conditional-lm-stale", fields: with(cc("max-age=1"), "Last-Modified", date(-time.Hour)), after: 2 * time.Second, want: validated},
		{name: "conditional-etag-vary-headers", first: []string{"A", "1"}, fields: with(cc("max-age=1"), "Etag", `"e"`, "Vary", "A"), second: []string{"A", "1"}, after: 2 * time.Second, want: validated},
		{name: "conditional-etag-vary-headers-mismatch", first: []string{"A", "1"}, fields: with(cc("max-age=1"), "Etag", `"e"`, "Vary", "A"), second: []string{"A", "2"}, after: 2 * time.Second, want: forwarded},
		{name: "nothing to validate by", fields: cc("max-age=1, stale-if-error=60"), after: 2 * time.Second, want: forwarded},
		{name: "cc-resp-no-cache", fields: cc("no-cache"), want: forwarded},
		{name: "cc-resp-no-cache-case-insensitive", fields: cc("NO-cache"), want: forwarded},
		{name: "cc-resp-no-cache-revalidate", fields: with(cc("no-cache"), "Etag", `"e"`), want: validated},
		{name: "cc-resp-no-cache-revalidate-fresh", fields: with(cc("max-age=60, no-cache"), "Etag", `"e"`), want: validated},
		{name: "cc-resp-must-revalidate-fresh", fields: with(cc("max-age=60, must-revalidate"), "Etag", `"e"`), want: fresh},
		{name: "cc-resp-must-revalidate-stale", fields: with(cc("max-age=1, must-revalidate"), "Etag", `"e"`), after: 2 * time.Second, want: validated},
	})
	both := Stored{ETag: `"e"`, LastModified: date(-time.Hour)}
	for _, c := range []struct {
		name   string
		s      Stored
		fields []string
		want   bool
	}{
		{"conditional-etag-strong-respond", both, []string{"If-None-Match", `"e"`}, true},
		{"another", both, []string{"If-None-Match", `"f"`}, false},
		{"conditional-etag-weak-respond", Stored{ETag: `W/"e"`}, []string{"If-None-Match", `W/"e"`}, true},
		{"weak comparison", both, []string{"If-None-Match", `W/"e"`}, true},
		{"conditional-etag-precedence", both, []string{"If-None-Match", `"e"`, "If-Modified-Since", date(-2 * time.Hour)}, true},
		{"the tag goes before the date, also against it", both, []string{"If-None-Match", `"f"`, "If-Modified-Since", date(0)}, false},
		{"conditional-etag-strong-respond-multiple-first", both, []string{"If-None-Match", `"e", "x", "y"`}, true},
		{"conditional-etag-strong-respond-multiple-second", both, []string{"If-None-Match", `"x", "e", "y"`}, true},
		{"conditional-etag-strong-respond-multiple-last", both, []string{"If-None-Match", `"x", "y", "e"`}, true},
		{"several lines", both, []string{"If-None-Match", `"x"`, "If-None-Match", `"e"`}, true},
		{"a tag with a comma", Stored{ETag: `"a,b"`}, []string{"If-None-Match", `"a,b"`}, true},
		{"half of a tag with a comma", Stored{ETag: `"a"`}, []string{"If-None-Match", `"a,b"`}, false},
		{"*", both, []string{"If-None-Match", "*"}, true},
		{"conditional-lm-fresh", both, []string{"If-Modified-Since", date(-time.Hour)}, true},
		{"conditional-lm-fresh-earlier", both, []string{"If-Modified-Since", date(-30 * time.Minute)}, true},
		{"changed since", both, []string{"If-Modified-Since", date(-2 * time.Hour)}, false},
		{"conditional-lm-fresh-rfc850", both, []string{"If-Modified-Since", t0.Add(-time.Hour).Format("Monday, 02-Jan-06 15:04:05 GMT")}, true},
		{"no date", both, []string{"If-Modified-Since", "yesterday"}, false},
	} {
		if got := NotModified(header(c.fields...), &c.s); got != c.want {
			t.Errorf("%s: 304 %v, want %v", c.name, got, c.want)
		}
	}
	// Section 4.3.4: which stored response a 304 speaks of.
	for _, c := range []struct {
		name   string
		stored string
		fields []string
		want   bool
	}{
		{"the same", `"e"`, []string{"Etag", `"e"`}, true},
		{"it need not say so", `"e"`, nil, true},
		{"of another", `"e"`, []string{"Etag", `"f"`}, false},
		{"weak", `W/"e"`, []string{"Etag", `W/"e"`}, true},
		{"nothing to compare", "", []string{"Etag", `"e"`}, true},
	} {
		if got := Confirms(header(c.fields...), &Stored{ETag: c.stored}); got != c.want {
			t.Errorf("a 304, %s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Section 4.4: what an unsafe request makes invalid.
func TestSection44Invalidation(t *testing.T) {
	target := &url.URL{Scheme: "http", Host: "a.example", Path: "/form"}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "M-SEARCH"} {
		for _, c := range []struct {
			name   string
			status int
			fields []string
			want   []string
		}{
			{"invalidate-*", 200, nil, []string{"/form"}},
			{"a redirection is no failure", 303, nil, []string{"/form"}},
			{"invalidate-*-failed", 500, []string{"Location", "/new"}, nil},
			{"refused", 403, nil, nil},
			{"invalidate-*-location", 201, []string{"Location", "/new?x"}, []string{"/form", "/new?x"}},
			{"invalidate-*-cl", 200, []string{"Content-Location", "new"}, []string{"/form", "/new"}},
			{"of another host", 201, []string{"Location", "http://b.example/new", "Content-Location", "//b.example/new"}, []string{"/form"}},
			{"no URI", 201, []string{"Location", ":%"}, []string{"/form"}},
		} {
			got := Invalidates(method, target, c.status, header(c.fields...))
			same := len(got) == len(c.want)
			for i := range got {
				same = same && got[i].RequestURI() == c.want[i]
			}
			if !same {
				t.Errorf("%s %s: %v, want %q", c.name, method, got, c.want)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
		if got := Invalidates(method, target, 200, nil); got != nil {
			t.Errorf("%s invalidates %v", method, got)
		}
	}
}

// Section 2 and RFC 9110 section 4.2.3: what tells one resource from another.
func TestSection2Key(t *testing.T) {
	key := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		host, ok := CanonicalHost(u.Scheme, u.Host)
		if !ok {
			t.Fatalf("%s: no host", raw)
		}
		return Key(u.Scheme, host, u.EscapedPath(), CleanQuery(u.RawQuery, []string{"utm"}))
	}
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"query-args-same", "http://a/p?x=1", "http://a/p?x=1", true},
		{"query-args-different", "http://a/p?x=1", "http://a/p?x=2", false},
		{"order counts", "http://a/p?x=1&y=2", "http://a/p?y=2&x=1", false},
		{"an empty query", "http://a/p?", "http://a/p", true},
		{"the host's case and default port", "http://A:80/p", "http://a/p", true},
		{"another port", "http://a:81/p", "http://a/p", false},
		{"scheme", "https://a/p", "http://a/p", false},
		{"the path's case", "http://a/P", "http://a/p", false},
		{"nothing is decoded", "http://a/%2F", "http://a//", false},
		{"a player's report", "http://a/p?CMCD=x%3D1&b", "http://a/p?b", true},
		{"a blocking reload", "http://a/p?_HLS_msn=1", "http://a/p?_HLS_msn=2", false},
		{"what the operator lists", "http://a/p?utm=x&b", "http://a/p?b", true},
	} {
		if a, b := key(c.a), key(c.b); (a == b) != c.same {
			t.Errorf("%s: %q and %q", c.name, a, b)
		}
	}
}
