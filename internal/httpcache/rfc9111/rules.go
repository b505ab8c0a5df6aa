package rfc9111

import "time"

// Rules are the choices that the standards leave to a cache. The zero value is
// the safe choice everywhere. Read-only after first use.
type Rules struct {
	// ShareSetCookie lets responses with Set-Cookie be stored and shared.
	// RFC 9111 section 7.3 permits it; one client's cookie then reaches others.
	ShareSetCookie bool
	// DefaultLifetime is the freshness lifetime of storable responses that
	// state none. Zero: they are not stored.
	DefaultLifetime time.Duration
	// Heuristics invents a lifetime of a tenth of the time since Last-Modified
	// for responses that state none (RFC 9111 section 4.2.2).
	Heuristics bool
	// HonourRequest makes clients' Cache-Control (no-cache, max-age, min-fresh,
	// max-stale) and Pragma count. Default: only no-store and only-if-cached
	// do, so that a client cannot send others' requests to the origin.
	HonourRequest bool
	// Targeted are the targeted fields (RFC 9213) to obey, first match first.
	// Nil: Surgewall-Cache-Control, CDN-Cache-Control.
	Targeted []string
}

var defaultTargeted = []string{"Surgewall-Cache-Control", "Cdn-Cache-Control"}

func (r Rules) targeted() []string {
	if r.Targeted == nil {
		return defaultTargeted
	}
	return r.Targeted
}
