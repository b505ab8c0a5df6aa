package rfc9111

import (
	"net/http"
	"time"
)

// heuristicCap bounds an invented lifetime (section 4.2.2 leaves it open).
const heuristicCap = 24 * time.Hour

// lifetimeSource says where a freshness lifetime came from.
type lifetimeSource int

const (
	noLifetime      lifetimeSource = iota
	fromDirective                  // s-maxage or max-age
	fromExpires                    // Expires less Date
	fromRules                      // Rules.DefaultLifetime or Rules.Heuristics
	fromNoCacheOnly                // none, but the origin asked for validation, so storing may pay
)

// lifetime is freshness_lifetime (section 4.2.1) for a shared cache.
func lifetime(r Rules, d Directives, targeted bool, status int, h http.Header, received time.Time) (time.Duration, lifetimeSource) {
	switch {
	case d.SMaxAge.OK:
		return d.SMaxAge.D, fromDirective
	case d.MaxAge.OK:
		return d.MaxAge.D, fromDirective
	}
	if lines := h["Expires"]; len(lines) > 0 && !targeted {
		expires, ok := fieldDate(h, "Expires")
		if !ok { // section 5.3: an invalid date is a time in the past
			return 0, fromExpires
		}
		date, ok := fieldDate(h, "Date")
		if !ok {
			date = received
		}
		return max(0, expires.Sub(date)), fromExpires
	}
	if !heuristicallyCacheable(status) && !d.Public {
		return 0, noLifetime
	}
	if r.Heuristics {
		if modified, ok := fieldDate(h, "Last-Modified"); ok {
			date, ok := fieldDate(h, "Date")
			if !ok {
				date = received
			}
			return min(max(0, date.Sub(modified)/10), heuristicCap), fromRules
		}
	}
	if r.DefaultLifetime > 0 {
		return r.DefaultLifetime, fromRules
	}
	if d.NoCache {
		return 0, fromNoCacheOnly
	}
	return 0, noLifetime
}

// heuristicallyCacheable lists the status codes of RFC 9110 section 15.1 and
// 308; 206 is left out since partial responses are not stored as such.
func heuristicallyCacheable(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// initialAge is corrected_initial_age (section 4.2.3). Date counts whole
// seconds, so an apparent age under one second is none. The response delay is
// added only to an Age that was received: without one the response came from
// the origin itself, whose Date already tells when it was made, and counting
// the delay would make short-lived responses of a slow origin stale on
// arrival, just when caching them matters.
func initialAge(h http.Header, requested, received time.Time) time.Duration {
	var apparent time.Duration
	if date, ok := fieldDate(h, "Date"); ok {
		apparent = max(0, received.Sub(date)-time.Second)
	}
	age, ok := parseAge(h)
	if !ok {
		return apparent
	}
	return max(apparent, age+max(0, received.Sub(requested)))
}
