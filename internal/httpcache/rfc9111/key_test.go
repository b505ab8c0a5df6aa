package rfc9111

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCanonicalHost(t *testing.T) {
	for _, c := range []struct {
		scheme, host, want string
		ok                 bool
	}{
		{"http", "Example.COM", "example.com", true},
		{"http", "a:80", "a", true},
		{"http", "a:443", "a:443", true},
		{"https", "a:443", "a", true},
		{"http", "[::1]:8080", "[::1]:8080", true},
		{"http", "", "", false},
		{"http", "a/b", "", false},
		{"http", "a@b", "", false},
		{"http", "a b", "", false},
		{"http", "é", "", false},
	} {
		if got, ok := CanonicalHost(c.scheme, c.host); got != c.want || ok != c.ok {
			t.Errorf("%s %q: %q %v", c.scheme, c.host, got, ok)
		}
	}
}

func TestCleanQuery(t *testing.T) {
	for _, c := range []struct {
		query  string
		ignore []string
		want   string
	}{
		{"", nil, ""},
		{"b=1&a=2", nil, "b=1&a=2"},
		{"CMCD=bl%3D1", nil, ""},
		{"a=1&CMCD=x&b=2", nil, "a=1&b=2"},
		{"CMCDX=1&xCMCD=2", nil, "CMCDX=1&xCMCD=2"},
		{"_HLS_msn=1&_HLS_part=2&CMCD=", nil, "_HLS_msn=1&_HLS_part=2"},
		{"utm=1&a&utm", []string{"utm"}, "a"},
		{"a=1&&b", []string{"x"}, "a=1&&b"},
	} {
		if got := CleanQuery(c.query, c.ignore); got != c.want {
			t.Errorf("%q without %q: %q, want %q", c.query, c.ignore, got, c.want)
		}
	}
}

func TestVary(t *testing.T) {
	fields, star := ParseVary([]string{"accept, X-b ,", "Accept"})
	if star || !slices.Equal(fields, []string{"Accept", "X-B"}) {
		t.Fatalf("%q %v", fields, star)
	}
	if _, star := ParseVary([]string{"a, *"}); !star {
		t.Error("* not seen")
	}
	if got := MergeVary([]string{"A", "C"}, []string{"B", "C"}); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("%q", got)
	}
	// Section 4.1: what may be taken as equal, and what may not.
	for _, c := range []struct {
		a, b  http.Header
		equal bool
	}{
		{header("Accept", "a,b"), header("Accept", " a , b "), true},
		{header("Accept", "a", "Accept", "b"), header("Accept", "a, b"), true},
		{header("Accept", "GZIP"), header("Accept", "gzip"), true},
		{header("Accept", "a,b"), header("Accept", "b,a"), false},
		{header("X-B", "v"), header("X-B", "V"), false},
		{header("X-B", ""), header(), false},
		{header("X-B", "1"), header("Accept", "1"), false},
		{header("X-Other", "1"), header(), true},
	} {
		if VaryMatch(fields, c.a, c.b) != c.equal {
			t.Errorf("%v and %v: equal %v", c.a, c.b, !c.equal)
		}
		if (VariantKey("k", 1, fields, c.a) == VariantKey("k", 1, fields, c.b)) != c.equal {
			t.Errorf("keys of %v and %v: equal %v", c.a, c.b, !c.equal)
		}
	}
	if VariantKey("k", 1, fields, nil) == VariantKey("k", 2, fields, nil) {
		t.Error("a new generation reaches old variants")
	}
}

// Whatever the values, equal keys mean that the requests match.
func FuzzVariantKey(f *testing.F) {
	f.Add("a", "b", "a", "b", true)
	f.Add("a,b", "", "a", "b", false)
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string, both bool) {
		for _, v := range []string{a1, a2, b1, b2} {
			if strings.ContainsAny(v, "\x00\x01\r\n") { // cannot be in a field value
				t.Skip()
			}
		}
		fields := []string{"Accept", "X-B"}
		a, b := header("Accept", a1, "X-B", a2), header("Accept", b1, "X-B", b2)
		if !both {
			delete(b, "X-B")
		}
		if (VariantKey("k", 1, fields, a) == VariantKey("k", 1, fields, b)) != VaryMatch(fields, a, b) {
			t.Fatalf("%q and %q: key and match differ", a, b)
		}
	})
}

// Section 4.4.
func TestInvalidates(t *testing.T) {
	target, _ := url.Parse("http://h/a/b?q")
	for _, c := range []struct {
		method string
		status int
		header http.Header
		want   []string
	}{
		{"GET", 200, header(), nil},
		{"POST", 500, header(), nil},
		{"POST", 404, header(), nil},
		{"POST", 200, header(), []string{"http://h/a/b?q"}},
		{"M-SEARCH", 204, header(), []string{"http://h/a/b?q"}},
		{"PUT", 303, header("Location", "c", "Content-Location", "/d"), []string{"http://h/a/b?q", "http://h/a/c", "http://h/d"}},
		{"DELETE", 200, header("Location", "http://other/x", "Content-Location", "https://h/x"), []string{"http://h/a/b?q"}},
		{"POST", 200, header("Location", "http://[bad"), []string{"http://h/a/b?q"}},
	} {
		var got []string
		for _, u := range Invalidates(c.method, target, c.status, c.header) {
			got = append(got, u.String())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %d %v: %q, want %q", c.method, c.status, c.header, got, c.want)
		}
	}
}

// RFC 9110 section 7.6.1.
func TestStripHopByHop(t *testing.T) {
	h := header("Connection", "close, X-Mine, Cache-Control", "X-Mine", "1", "Keep-Alive", "5", "Te", "trailers",
		"Transfer-Encoding", "chunked", "Upgrade", "h2c", "Proxy-Authorization", "x", "Cache-Control", "no-store", "Etag", "e")
	StripHopByHop(h)
	if want := header("Cache-Control", "no-store", "Etag", "e"); !reflect.DeepEqual(h, want) {
		t.Errorf("%v", h)
	}
}
