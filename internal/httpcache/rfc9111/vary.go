package rfc9111

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// ParseVary returns the field names of Vary (RFC 9110 section 12.5.5) in
// canonical form, sorted, each once; star reports a "*".
func ParseVary(lines []string) (fields []string, star bool) {
	for _, line := range lines {
		for line != "" {
			var name string
			name, line, _ = strings.Cut(line, ",")
			name = trimOWS(name)
			if name == "*" {
				star = true
			} else if name != "" {
				fields = append(fields, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields), star
}

// MergeVary is the union of two lists as ParseVary returns them.
func MergeVary(a, b []string) []string {
	m := slices.Concat(a, b)
	slices.Sort(m)
	return slices.Compact(m)
}

// VariantKey is the key of the response that request header h selects among
// those of a primary key. A new generation makes all older variants
// unreachable at once.
func VariantKey(primary string, generation uint64, fields []string, h http.Header) string {
	var b strings.Builder
	b.WriteString(primary)
	b.WriteByte(0) // occurs in no URL and no field value, so nothing can be forged
	b.WriteString(strconv.FormatUint(generation, 36))
	for _, f := range fields {
		b.WriteByte(0)
		if _, ok := h[f]; !ok {
			b.WriteByte(1) // absent differs from empty (section 4.1)
			continue
		}
		b.WriteString(varyValue(f, h[f]))
	}
	return b.String()
}

// VaryMatch reports whether two requests' headers select the same variant.
func VaryMatch(fields []string, a, b http.Header) bool {
	for _, f := range fields {
		_, inA := a[f]
		_, inB := b[f]
		if inA != inB || inA && varyValue(f, a[f]) != varyValue(f, b[f]) {
			return false
		}
	}
	return true
}

// varyValue normalizes a field's value as far as section 4.1 permits for any
// field: lines are combined and white space around commas goes. The Accept
// family is case-insensitive besides.
func varyValue(field string, lines []string) string {
	if len(lines) == 1 && !strings.Contains(lines[0], ",") && !strings.HasPrefix(field, "Accept") {
		return trimOWS(lines[0])
	}
	var parts []string
	for _, line := range lines {
		for line != "" {
			var m string
			if m, line = cutMember(line); m != "" {
				parts = append(parts, m)
			}
		}
	}
	s := strings.Join(parts, ",")
	if strings.HasPrefix(field, "Accept") {
		s = strings.ToLower(s)
	}
	return s
}
