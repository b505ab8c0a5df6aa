package rfc9111

import (
	"net/http"
	"strings"
	"time"
)

// parseDate reads an HTTP-date (RFC 9110 section 5.6.7) in any of its three
// forms, names and zone in any case. Unlike time.Parse it takes no one-digit
// hours or doubled spaces: a date that needs guessing must count as unreadable,
// which for Expires means stale.
func parseDate(s string) (time.Time, bool) {
	const imf, asctime = len(http.TimeFormat), len(time.ANSIC)
	if n := len(s); n > 3 && strings.EqualFold(s[n-3:], "GMT") {
		s = s[:n-3] + "GMT"
	}
	layout := "Monday, 02-Jan-06 15:04:05 GMT"
	switch {
	case len(s) == imf && s[3] == ',' && s[7] == ' ':
		layout = http.TimeFormat
	case len(s) == asctime && s[3] == ' ':
		layout = time.ANSIC
	default:
		i := strings.IndexByte(s, ',')
		if i < 6 || len(s) != i+24 {
			return time.Time{}, false
		}
	}
	t, err := time.Parse(layout, s)
	return t, err == nil
}

// fieldDate reads a field that holds one HTTP-date.
func fieldDate(h http.Header, name string) (time.Time, bool) {
	lines := h[name]
	if len(lines) != 1 {
		return time.Time{}, false
	}
	return parseDate(trimOWS(lines[0]))
}

// parseAge reads Age (section 5.1): of a list or repeated field the first
// member counts, and what is not a number of seconds is ignored.
func parseAge(h http.Header) (time.Duration, bool) {
	lines := h["Age"]
	if len(lines) == 0 {
		return 0, false
	}
	first, _ := cutMember(lines[0])
	n, ok := parseDigits(first)
	return time.Duration(n) * time.Second, ok
}
