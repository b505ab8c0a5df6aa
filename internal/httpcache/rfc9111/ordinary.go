package rfc9111

import "net/http"

// OrdinaryRequest takes out of a request's header what Rules.HonourRequest would
// let count: Pragma, and all of Cache-Control but no-store and only-if-cached, which
// nobody but the client itself pays for.
func OrdinaryRequest(h http.Header) {
	lines := h["Cache-Control"]
	if len(lines) == 0 {
		if len(h["Pragma"]) > 0 {
			delete(h, "Pragma")
		}
		return
	}
	d := ParseDirectives(lines)
	delete(h, "Pragma")
	switch {
	case d.NoStore && d.OnlyIfCached:
		h["Cache-Control"] = []string{"no-store, only-if-cached"}
	case d.NoStore:
		h["Cache-Control"] = []string{"no-store"}
	case d.OnlyIfCached:
		h["Cache-Control"] = []string{"only-if-cached"}
	default:
		delete(h, "Cache-Control")
	}
}
