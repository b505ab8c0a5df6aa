package rfc9111

import (
	"net/http"
	"strings"
	"time"
)

// Range is one byte range of a request (RFC 9110 section 14.1.2).
type Range struct {
	First int64 // -1 for a suffix range
	Last  int64 // inclusive; -1 for "to the end"; the length of a suffix range
}

// ParseRange reads a Range field. ok is false for what a cache may ignore and
// answer whole: no field, another unit, a malformed or a multiple range.
func ParseRange(h http.Header) (r Range, ok bool) {
	set, ok := rangeSet(h)
	if !ok {
		return r, false
	}
	return parseSpec(set)
}

// rangeSet is what follows the unit in the one Range field of a request.
func rangeSet(h http.Header) (string, bool) {
	lines := h["Range"]
	if len(lines) != 1 {
		return "", false
	}
	unit, set, found := strings.Cut(lines[0], "=")
	return trimOWS(set), found && strings.EqualFold(trimOWS(unit), "bytes")
}

func parseSpec(spec string) (r Range, ok bool) {
	first, last, found := strings.Cut(spec, "-")
	if !found {
		return r, false
	}
	r.First, r.Last = -1, -1
	if first != "" {
		if r.First, ok = parsePosition(first); !ok {
			return r, false
		}
	}
	if last != "" {
		if r.Last, ok = parsePosition(last); !ok {
			return r, false
		}
	}
	if first == "" && last == "" || first != "" && last != "" && r.Last < r.First {
		return r, false
	}
	return r, true
}

// parsePosition reads a byte position of at most 18 digits.
func parsePosition(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// Suffix reports whether r counts from the end.
func (r Range) Suffix() bool { return r.First < 0 }

// Resolve returns the part of a content of size bytes that r selects; ok is
// false when it selects nothing (416).
func (r Range) Resolve(size int64) (offset, length int64, ok bool) {
	if r.Suffix() {
		length = min(r.Last, size)
		return size - length, length, length > 0
	}
	if r.First >= size {
		return 0, 0, false
	}
	end := size - 1
	if r.Last >= 0 {
		end = min(r.Last, end)
	}
	return r.First, end - r.First + 1, true
}

// IfRange reports whether a request's Range applies to the response (RFC 9110
// section 13.1.5): there is no If-Range, or it names the response by a strong
// entity tag or by a date that equals Last-Modified and is strong, that is, at
// least a minute before the response's Date, given as sent.
func IfRange(request http.Header, s *Stored, date string) bool {
	lines := request["If-Range"]
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	v := trimOWS(lines[0])
	if strings.HasPrefix(v, `"`) || strings.HasPrefix(v, "W/") {
		return StrongTag(v) && v == s.ETag
	}
	if v == "" || v != s.LastModified {
		return false
	}
	modified, ok := parseDate(v)
	made, ok2 := parseDate(date)
	return ok && ok2 && made.Sub(modified) >= time.Minute
}

// ContentRange is the first and the last position and the complete length (-1
// if "*") of a 206's Content-Range (RFC 9110 section 14.4).
func ContentRange(h http.Header) (first, last, size int64, ok bool) {
	lines := h["Content-Range"]
	if len(lines) != 1 {
		return 0, 0, 0, false
	}
	rest, found := strings.CutPrefix(lines[0], "bytes ")
	if !found {
		return 0, 0, 0, false
	}
	span, total, found := strings.Cut(rest, "/")
	if !found {
		return 0, 0, 0, false
	}
	a, b, found := strings.Cut(span, "-")
	if !found {
		return 0, 0, 0, false
	}
	first, ok = parsePosition(a)
	last, ok2 := parsePosition(b)
	size = -1
	ok3 := total == "*"
	if !ok3 {
		size, ok3 = parsePosition(total)
	}
	return first, last, size, ok && ok2 && ok3 && last >= first && (size < 0 || last < size)
}
