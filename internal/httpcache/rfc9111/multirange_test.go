package rfc9111

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// RFC 9110 sections 14.1.2, 14.2 and 15.3.7.2.
func TestSelect(t *testing.T) {
	for _, c := range []struct {
		value string
		size  int64
		want  []Span // nil: ignored; empty: not satisfiable
	}{
		{"bytes=0-9", 1000, []Span{{0, 10}}},
		{"bytes=0-9, 500-509", 1000, []Span{{0, 10}, {500, 10}}},
		{"bytes=500-509,0-9", 1000, []Span{{500, 10}, {0, 10}}}, // order as asked
		{"bytes=0-9,,900-", 1000, []Span{{0, 10}, {900, 100}}},
		{"bytes=0-9,-5", 1000, []Span{{0, 10}, {995, 5}}},
		{"bytes=0-500,400-600", 1000, []Span{{0, 601}}},
		{"bytes=0-9,20-29", 1000, []Span{{0, 30}}},                             // the gap is cheaper than a part
		{"bytes=0-9,600-609,300-309,5-605", 1000, []Span{{0, 610}}},            // the last one joins all
		{"bytes=800-809,0-9,300-309,5-305", 1000, []Span{{800, 10}, {0, 310}}}, // merged at the earliest place
		{"bytes=0-9,2000-", 1000, []Span{{0, 10}}},
		{"bytes=2000-,3000-", 1000, []Span{}},
		{"bytes=0-9,9-5", 1000, nil},
		{"bytes=,", 1000, nil},
		{"bytes=" + strings.Repeat("0-0,", 63) + "1-1", 1000, []Span{{0, 2}}},
		{"bytes=" + strings.Repeat("0-0,", 64) + "1-1", 1000, nil},
	} {
		list, ok := ParseRanges(header("Range", c.value))
		if ok != (c.want != nil) {
			t.Errorf("%q: ok %v", c.value, ok)
			continue
		}
		if got := Select(list, c.size); ok && !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.value, got, c.want)
		}
	}
}

// Parts lie within the content, apart from each other, and cover what was asked.
func FuzzSelect(f *testing.F) {
	f.Add("bytes=0-1,500-", int64(1000))
	f.Add("bytes=-5,0-0,3-3", int64(2))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		list, ok := ParseRanges(http.Header{"Range": {s}})
		if !ok || size < 0 {
			return
		}
		spans := Select(list, size)
		for i, a := range spans {
			if a.Offset < 0 || a.Length < 1 || a.End() > size {
				t.Fatalf("%q of %d: %v", s, size, a)
			}
			for _, b := range spans[:i] {
				if a.Offset < b.End() && b.Offset < a.End() {
					t.Fatalf("%q of %d: %v and %v overlap", s, size, a, b)
				}
			}
		}
		for _, r := range list {
			offset, length, sat := r.Resolve(size)
			if sat && !slices.ContainsFunc(spans, func(p Span) bool { return p.Offset <= offset && offset+length <= p.End() }) {
				t.Fatalf("%q of %d: %d+%d is in none of %v", s, size, offset, length, spans)
			}
		}
	})
}
