package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/testorigin"
)

// reflecting is an origin that believes every field that says who it is, and
// tells it to everybody for a minute.
func reflecting(r *rig, path string) {
	r.origin.Handle(path, func(q *http.Request, _ int) testorigin.Response {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s?%s\n", q.Host, q.URL.EscapedPath(), q.URL.RawQuery)
		for name, values := range q.Header {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(values, ", "))
		}
		return testorigin.Response{Body: []byte(b.String()), Header: fresh}
	})
}

// Cache poisoning: what is in no key must not reach an origin on a fetch whose
// response others get.
func TestUnkeyedFieldsPoisonNothing(t *testing.T) {
	for _, name := range []string{
		"X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Port", "X-Forwarded-Path",
		"X-Forwarded-Anything-New", "X-Host", "X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Host-Override",
		"Forwarded", "True-Client-IP", "X-Real-IP", "X-Middleware-Subrequest", "CMCD-Session", "X_Forwarded_Host", "X_FORWARDED_HOST", "x_Original-url",
		"X-Forwarded_Host", "Any_Field", "Range", "If-None-Match", "If-Modified-Since", "If-Range", "Upgrade", "Proxy-Authorization", "TE", "Cache-Control", "Pragma",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			reflecting(r, "/p")
			value := "evil"
			switch name {
			case "Range", "If-Range":
				value = "bytes=0-9"
			case "If-None-Match":
				value = `"evil"`
			}
			r.get("/p", name, value, "X-Also", "kept")
			r.awaitQuiet()
			a := r.get("/p")
			if strings.Contains(string(a.body), "evil") || strings.Contains(string(a.body), "bytes=0-9\n") && name != "Range" {
				t.Errorf("everybody gets\n%s", a.body)
			}
		})
	}
}

// The spelling of a host is in no key, and reaches no origin.
func TestSpellingOfAHostPoisonsNothing(t *testing.T) {
	r := newRig(t)
	reflecting(r, "/p")
	for _, host := range []string{"WWW.example.org", "www.EXAMPLE.org:80", "www.example.org"} {
		if a := r.get("/p", "Host", host); a.code != 200 || !strings.HasPrefix(string(a.body), "www.example.org /p?") {
			t.Errorf("%s: %d %.40q", host, a.code, a.body)
		}
		r.awaitQuiet()
	}
	wantFetches(t, r, "/p", 1)
	for _, host := range []string{"www.example.org:1337", "www.example.org.", "example.org"} {
		a := r.get("/p", "Host", host)
		if strings.Contains(a.status(), "hit") {
			t.Errorf("%s: %q", host, a.status())
		}
	}
}

// Vary on what the origin never sees would keep variants apart that are one.
func TestVaryOnWhatIsNotForwarded(t *testing.T) {
	r := newRig(t)
	r.origin.Serve("/v", testorigin.Response{Body: []byte("one"), Header: map[string]string{"Cache-Control": "max-age=60", "Vary": "X-Forwarded-Proto, X_Own, X-Forwarded-New"}})
	for _, value := range []string{"http", "https", "evil"} {
		wantAll(t, []answer{r.get("/v", "X-Forwarded-Proto", value, "X_Own", value, "X-Forwarded-New", value)}, 200, []byte("one"))
		r.awaitQuiet()
	}
	wantFetches(t, r, "/v", 1)
}

// Connection cannot take away what a response is chosen by without the choice
// being another (RFC 9110 section 7.6.1).
func TestConnectionDoesNotMoveAResponseToAnotherVariant(t *testing.T) {
	r := newRig(t)
	r.origin.Handle("/l", func(q *http.Request, _ int) testorigin.Response {
		return testorigin.Response{Body: []byte("in " + q.Header.Get("Accept-Language")), Header: map[string]string{"Cache-Control": "max-age=60", "Vary": "Accept-Language"}}
	})
	r.get("/l", "Accept-Language", "en")
	r.awaitQuiet()
	r.get("/l", "Accept-Language", "de", "Connection", "Accept-Language")
	r.awaitQuiet()
	for _, language := range []string{"de", "en", "de"} {
		wantAll(t, []answer{r.get("/l", "Accept-Language", language)}, 200, []byte("in "+language))
		r.awaitQuiet()
	}
	r.origin.Handle("/a", func(q *http.Request, n int) testorigin.Response {
		return testorigin.Response{Body: fmt.Append(nil, n, " for ", q.Header.Get("Authorization")), Header: fresh}
	})
	if a := r.get("/a", "Authorization", "Bearer x", "Connection", "Authorization"); string(a.body) != "1 for Bearer x" {
		t.Errorf("%q", a.body)
	}
	r.awaitQuiet()
	if a := r.get("/a"); string(a.body) != "2 for " {
		t.Errorf("what was for one user reaches others: %q", a.body)
	}
}

// Key confusion: two URLs that an origin may take for different ones are never
// one here, and what is forwarded is what was keyed.
func TestPathsAreNeverTakenForEachOther(t *testing.T) {
	r := newRig(t)
	paths := []string{
		"/a/b", "/a%2Fb", "/a%2fb", "//a/b", "/a//b", "/a/b/", "/A/b", "/a/./b", "/a/../a/b", "/a%2E%2E/b", "/a%00/b", "/a;x/b", "/a/b;", "/a%3B/b", "/a%5Cb", "/a/b%20", "/a/b+",
		"/%61/b", "/a/b?", "/a/b?x", "/a/b?x=", "/a/b?x&", "/a/b?%78", "/a/b?x=1&y=2", "/a/b?y=2&x=1", "/a/b?x=1;y=2", "/a/b%3Fx", "/a/b%23x", "/account/x.css", "/account%2Fx.css", "/account/%0d%0aSet-Cookie:x",
	}
	for _, path := range paths {
		escaped, _, _ := strings.Cut(path, "?")
		reflecting(r, unescaped(t, escaped))
	}
	seen := map[string]string{}
	for _, path := range paths {
		a := r.get(path)
		r.awaitQuiet()
		if a.code != 200 {
			t.Fatalf("%s: %d %q", path, a.code, a.status())
		}
		line, _, _ := strings.Cut(string(a.body), "\n")
		_, target, _ := strings.Cut(line, " ")
		if want := path; target != want && target != want+"?" {
			t.Errorf("%s was forwarded as %s", path, target)
		}
		if other := seen[target]; other != "" && other != "/a/b" { // an empty query is none
			t.Errorf("%s and %s are one", path, other)
		}
		if strings.Contains(a.status(), "; hit") != (path == "/a/b?") {
			t.Errorf("%s: %q", path, a.status())
		}
		seen[target] = path
	}
}

func unescaped(t *testing.T, path string) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.URL.Path
}

// Parameter cloaking: a parameter that is left out of the key takes nothing
// into the request that is not in the key.
func TestIgnoredParametersHideNothing(t *testing.T) {
	r := newRig(t, func(o *Options) { o.IgnoreQuery = []string{"utm_source"} })
	reflecting(r, "/q")
	for query, want := range map[string]string{
		"a=1&utm_source=x;callback=evil":    "a=1",
		"a=1&utm_source=x%26callback=evil":  "a=1",
		"utm_source=x&utm_source=evil&a=1":  "a=1",
		"a=1&utm%5Fsource=x":                "a=1&utm%5Fsource=x",
		"a=1&UTM_SOURCE=x":                  "a=1&UTM_SOURCE=x",
		"a=1;utm_source=x":                  "a=1;utm_source=x",
		"a=1&utm_source":                    "a=1",
		"CMCD=bl%3D1&a=1":                   "a=1",
		"a=1&xCMCD=2":                       "a=1&xCMCD=2",
		"a=1&utm_source[]=x":                "a=1&utm_source[]=x",
		"utm_source=x":                      "",
		"a=1&utm_source=x#b":                "a=1",
		"a=1&&utm_source=x":                 "a=1&",
		"utm_source=evil&_HLS_msn=1&CMCD=x": "_HLS_msn=1",
	} {
		a := r.get("/q?" + query)
		line, _, _ := strings.Cut(string(a.body), "\n")
		if _, got, _ := strings.Cut(line, "?"); got != want {
			t.Errorf("%s was forwarded as %q, want %q", query, got, want)
		}
		r.awaitQuiet()
	}
}

// Cache deception: the look of a path makes nothing cacheable.
func TestPathThatLooksStaticIsNotStored(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/account/x.css", "/account;x.js", "/account/..%2fx.png", "/account%3fx.css", "/favicon.ico", "/robots.txt"} {
		r.origin.Handle(unescaped(t, path), func(q *http.Request, n int) testorigin.Response {
			return testorigin.Response{Body: fmt.Append(nil, n, " for ", q.Header.Get("Cookie"))}
		})
		r.get(path, "Cookie", "id=victim")
		r.awaitQuiet()
		if a := r.get(path, "Cookie", "id=attacker"); string(a.body) != "2 for id=attacker" {
			t.Errorf("%s: %q, %q", path, a.body, a.status())
		}
		r.awaitQuiet()
	}
}

// Range abuse: overlapping, countless and tiny ranges cost the origin one
// slice, and the client gets no more than the content.
func TestRangeAbuse(t *testing.T) {
	r := newRig(t)
	body := testorigin.Content(3 << 20)
	r.origin.Serve("/r", testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true})
	many := "bytes=" + strings.TrimSuffix(strings.Repeat("0-,", 1300), ",")
	overlapping := "bytes=0-,1-,2-,3-,4-,5-,6-,7-,8-,9-"
	for _, value := range []string{many, overlapping} {
		a := r.get("/r", "Range", value)
		if a.err != nil || len(a.body) > 2*len(body) {
			t.Errorf("%.40s…: %d, %d bytes for a content of %d, %v", value, a.code, len(a.body), len(body), a.err)
		}
		r.awaitQuiet()
	}
	r.origin.Serve("/tiny", testorigin.Response{Body: body, Header: fresh, ETag: `"1"`, Ranges: true})
	for _, a := range r.many(100, func(i int) answer { return r.get("/tiny", "Range", fmt.Sprintf("bytes=%d-%d", 2<<20+i, 2<<20+i)) }) {
		if a.code != 206 || len(a.body) != 1 {
			t.Fatalf("%d, %d bytes, %q", a.code, len(a.body), a.status())
		}
	}
	if sent := r.origin.Sent("/tiny"); sent > 2<<20 {
		t.Errorf("100 ranges of one byte cost the origin %d bytes", sent)
	}
	for _, value := range []string{"bytes=5-2", "bytes=-", "bytes=a-b", "bytes=99999999999999999999-", "bytes=0-99999999999999999999", "lines=0-1", "bytes=0-1,", "bytes 0-1"} {
		if a := r.get("/r", "Range", value); a.code != 200 && a.code != 206 && a.code != 416 || a.err != nil || len(a.body) > len(body) {
			t.Errorf("Range %q: %d, %d bytes, %v", value, a.code, len(a.body), a.err)
		}
	}
}
