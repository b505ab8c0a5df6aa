package rfc9111

import (
	"strings"
	"time"
)

// Delta is the argument of a directive that counts seconds. OK tells a zero
// from an absent directive.
type Delta struct {
	D  time.Duration
	OK bool
}

// Directives are the members of Cache-Control (sections 5.2.1 and 5.2.2) or of
// a targeted field that this cache knows.
type Directives struct {
	MaxAge, SMaxAge                    Delta
	StaleWhileRevalidate, StaleIfError Delta
	MinFresh, MaxStale                 Delta

	NoStore, NoCache, Private, Public bool
	MustRevalidate, ProxyRevalidate   bool
	MustUnderstand, Immutable         bool
	OnlyIfCached                      bool
}

// maxDelta is the largest number of seconds kept (section 1.2.2).
const maxDelta = 1<<31 - 1

// ParseDirectives reads the lines of a Cache-Control field. It is tolerant:
// names are case-insensitive, arguments may be quoted, what it cannot read is
// skipped. Of a repeated directive the first counts (section 4.2.1). A max-age
// or s-maxage that cannot be read is zero seconds: stale rather than forever.
func ParseDirectives(lines []string) Directives {
	var d Directives
	for _, line := range lines {
		for line != "" {
			var member string
			member, line = cutMember(line)
			name, arg, hasArg := strings.Cut(member, "=")
			d.set(name, arg, hasArg)
		}
	}
	return d
}

// cutMember splits off the first member of a comma-separated list, with
// commas inside quoted strings left alone.
func cutMember(s string) (member, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return trimOWS(s[:i]), s[i+1:]
		}
	}
	return trimOWS(s), ""
}

func trimOWS(s string) string { return strings.Trim(s, " \t") }

func (d *Directives) set(name, arg string, hasArg bool) {
	// Lower-casing by hand would save nothing: these are short and rarely upper.
	switch strings.ToLower(name) {
	case "max-age":
		d.MaxAge.setFirst(arg, true)
	case "s-maxage":
		d.SMaxAge.setFirst(arg, true)
	case "stale-while-revalidate":
		d.StaleWhileRevalidate.setFirst(arg, false)
	case "stale-if-error":
		d.StaleIfError.setFirst(arg, false)
	case "min-fresh":
		d.MinFresh.setFirst(arg, false)
	case "max-stale":
		if !hasArg { // any staleness (section 5.2.1.2)
			arg = "2147483647"
		}
		d.MaxStale.setFirst(arg, false)
	case "no-store":
		d.NoStore = true
	case "no-cache": // with field names too: the stricter reading (section 5.2.2.4)
		d.NoCache = true
	case "private": // likewise (section 5.2.2.7)
		d.Private = true
	case "public":
		d.Public = true
	case "must-revalidate":
		d.MustRevalidate = true
	case "proxy-revalidate":
		d.ProxyRevalidate = true
	case "must-understand":
		d.MustUnderstand = true
	case "immutable":
		d.Immutable = true
	case "only-if-cached":
		d.OnlyIfCached = true
	}
}

// setFirst keeps the first value; zeroIfBad says what an unreadable one means.
func (d *Delta) setFirst(arg string, zeroIfBad bool) {
	if d.OK {
		return
	}
	v, ok := parseSeconds(arg)
	d.D, d.OK = v, ok || zeroIfBad
}

// parseSeconds reads delta-seconds, and beyond the grammar a quoted number and
// a fraction of up to nine digits, which live playlists need.
func parseSeconds(s string) (time.Duration, bool) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	whole, frac, hasFrac := strings.Cut(s, ".")
	n, ok := parseDigits(whole)
	if !ok {
		return 0, false
	}
	d := time.Duration(n) * time.Second
	if !hasFrac || n == maxDelta {
		return d, ok
	}
	unit := time.Second
	for i := range len(frac) {
		c := frac[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		d += time.Duration(c-'0') * unit
	}
	return d, frac != ""
}

// parseDigits reads a non-negative decimal number, capped at maxDelta.
func parseDigits(s string) (int64, bool) {
	var n int64
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), maxDelta)
	}
	return n, s != ""
}
