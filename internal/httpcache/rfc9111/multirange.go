package rfc9111

import (
	"net/http"
	"strings"
)

// maxSpecs bounds how many ranges a request may list before it is taken for an
// attack (RFC 9110 section 14.2) and answered whole.
const maxSpecs = 64

// partOverhead is about what one more part of a multipart/byteranges costs: two
// ranges with a smaller gap travel better as one (RFC 9110 section 15.3.7.2).
const partOverhead = 100

// ParseRanges reads a Range field of one or more ranges. ok is false for what a
// cache may ignore and answer whole: no field, another unit, one malformed
// range, or more than 64 of them.
func ParseRanges(h http.Header) (list []Range, ok bool) {
	set, ok := rangeSet(h)
	if !ok || strings.Count(set, ",") >= maxSpecs {
		return nil, false
	}
	for spec := range strings.SplitSeq(set, ",") {
		if spec = trimOWS(spec); spec == "" {
			continue // RFC 9110 section 5.6.1.2: empty list elements are ignored
		}
		r, ok := parseSpec(spec)
		if !ok {
			return nil, false
		}
		list = append(list, r)
	}
	return list, len(list) > 0
}

// Span is a part of a content, in bytes.
type Span struct{ Offset, Length int64 }

// End is the position after the span's last byte.
func (s Span) End() int64 { return s.Offset + s.Length }

// Select returns the parts of a content of size bytes that ranges select: in
// the order asked for, without those that select nothing, and those that
// overlap or nearly touch as one. None means that no range is satisfiable (416).
func Select(ranges []Range, size int64) []Span {
	var out []Span
	for _, r := range ranges {
		offset, length, ok := r.Resolve(size)
		if !ok {
			continue
		}
		s := Span{offset, length}
		place := len(out)
		// A merge may close the gap to yet another: take in all that touch, at the
		// place of the earliest.
		for i := 0; i < len(out); {
			o := out[i]
			if s.Offset > o.End()+partOverhead || o.Offset > s.End()+partOverhead {
				i++
				continue
			}
			end := max(s.End(), o.End())
			s.Offset = min(s.Offset, o.Offset)
			s.Length = end - s.Offset
			place = min(place, i)
			out = append(out[:i], out[i+1:]...)
			i = 0
		}
		place = min(place, len(out))
		out = append(out[:place], append([]Span{s}, out[place:]...)...)
	}
	return out
}
