package rfc9111

import (
	"net/http"
	"testing"
)

// RFC 9110 section 14.1.2.
func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		value          string
		ok             bool
		size           int64
		offset, length int64 // length 0: not satisfiable
	}{
		{"bytes=0-0", true, 10, 0, 1},
		{"bytes=2-5", true, 10, 2, 4},
		{"bytes=5-", true, 10, 5, 5},
		{"bytes=5-99", true, 10, 5, 5},
		{"bytes=-3", true, 10, 7, 3},
		{"bytes=-30", true, 10, 0, 10},
		{"bytes=-0", true, 10, 10, 0},
		{"bytes=10-", true, 10, 0, 0},
		{"bytes=0-", true, 0, 0, 0},
		{"Bytes=1-1", true, 10, 1, 1},
		{"bytes=5-2", false, 0, 0, 0},
		{"bytes=-", false, 0, 0, 0},
		{"bytes=a-b", false, 0, 0, 0},
		{"bytes=+1-2", false, 0, 0, 0},
		{"bytes=0-1,3-4", false, 0, 0, 0},
		{"bytes=99999999999999999999-", false, 0, 0, 0},
		{"lines=0-1", false, 0, 0, 0},
		{"bytes", false, 0, 0, 0},
	} {
		r, ok := ParseRange(header("Range", c.value))
		if ok != c.ok {
			t.Errorf("%q: ok %v", c.value, ok)
			continue
		}
		if !ok {
			continue
		}
		offset, length, sat := r.Resolve(c.size)
		if sat != (c.length > 0) || sat && (offset != c.offset || length != c.length) {
			t.Errorf("%q of %d: %d+%d %v", c.value, c.size, offset, length, sat)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-1", int64(5))
	f.Add("bytes=-5", int64(2))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		r, ok := ParseRange(http.Header{"Range": {s}})
		if !ok || size < 0 {
			return
		}
		if offset, length, sat := r.Resolve(size); sat && (offset < 0 || length < 1 || offset+length > size) {
			t.Fatalf("%q of %d: %d+%d", s, size, offset, length)
		}
	})
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-1/2")
	f.Add("bytes 5-9/*")
	f.Fuzz(func(t *testing.T, s string) {
		first, last, size, ok := ContentRange(http.Header{"Content-Range": {s}})
		if ok && (first < 0 || last < first || size == 0 || size > 0 && last >= size) {
			t.Fatalf("%q: %d-%d of %d", s, first, last, size)
		}
	})
}

// RFC 9110 section 13.1.5.
func TestIfRange(t *testing.T) {
	s := Stored{ETag: `"a"`, LastModified: "Tue, 01 Jan 2030 11:58:00 GMT"}
	const later, soon = "Tue, 01 Jan 2030 12:00:00 GMT", "Tue, 01 Jan 2030 11:58:30 GMT"
	for _, c := range []struct {
		value, date string
		want        bool
	}{
		{"", later, true},
		{`"a"`, later, true},
		{`"b"`, later, false},
		{`W/"a"`, later, false},
		{s.LastModified, later, true},
		{s.LastModified, soon, false}, // a weak date
		{"Tue, 01 Jan 2030 11:59:00 GMT", later, false},
		{"nonsense", later, false},
	} {
		h := http.Header{}
		if c.value != "" {
			h.Set("If-Range", c.value)
		}
		if IfRange(h, &s, c.date) != c.want {
			t.Errorf("%q at %s: %v", c.value, c.date, !c.want)
		}
	}
	weak := Stored{ETag: `W/"a"`}
	if IfRange(header("If-Range", `W/"a"`), &weak, later) {
		t.Error("a weak tag chose a range")
	}
}

// Section 4.3.2 and RFC 9110 section 13.2.2.
func TestNotModified(t *testing.T) {
	s := Stored{ETag: `W/"a,b"`, LastModified: "Tue, 01 Jan 2030 12:00:00 GMT"}
	for _, c := range []struct {
		h    http.Header
		want bool
	}{
		{header(), false},
		{header("If-None-Match", `"a,b"`), true},
		{header("If-None-Match", `"x", W/"a,b"`), true},
		{header("If-None-Match", `"x"`, "If-None-Match", `"a,b"`), true},
		{header("If-None-Match", `*`), true},
		{header("If-None-Match", `"a"`), false},
		{header("If-None-Match", `"x"`, "If-Modified-Since", "Tue, 01 Jan 2030 12:00:00 GMT"), false},
		{header("If-Modified-Since", "Tue, 01 Jan 2030 12:00:00 GMT"), true},
		{header("If-Modified-Since", "Tue, 01 Jan 2030 11:59:59 GMT"), false},
		{header("If-Modified-Since", "rubbish"), false},
	} {
		if NotModified(c.h, &s) != c.want {
			t.Errorf("%v: %v", c.h, !c.want)
		}
	}
	if NotModified(header("If-None-Match", `""`), &Stored{}) {
		t.Error("a response without a tag matched one")
	}
}

// Section 3.2 and 4.3.4.
func TestUpdate(t *testing.T) {
	stored := header("Content-Type", "a", "Content-Length", "3", "X-Old", "1", "X-Same", "1", "Age", "50")
	got := Update(stored, header("Content-Type", "b", "Content-Length", "0", "X-Same", "2", "X-New", "3"))
	for name, want := range map[string]string{"Content-Type": "a", "Content-Length": "3", "X-Old": "1", "X-Same": "2", "X-New": "3", "Age": ""} {
		if got.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Get(name), want)
		}
	}
	if stored.Get("X-Same") != "1" {
		t.Error("the stored header was changed in place")
	}
	if !Confirms(header("Etag", `W/"a"`), &Stored{ETag: `"a"`}) || Confirms(header("Etag", `"b"`), &Stored{ETag: `"a"`}) || !Confirms(header(), &Stored{ETag: `"a"`}) {
		t.Error("Confirms judges wrongly")
	}
	h := header()
	if SetConditional(h, &Stored{}) || !SetConditional(h, &Stored{ETag: `"a"`, LastModified: "x"}) || h.Get("If-None-Match") != `"a"` || h.Get("If-Modified-Since") != "x" {
		t.Errorf("conditional request %v", h)
	}
}
