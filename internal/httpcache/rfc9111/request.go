package rfc9111

import "net/http"

// Request is what the rules need to know of a request.
type Request struct {
	Directives    Directives
	Authorization bool
	Cookie        bool
}

// ParseRequest reads a request's header. Without Cache-Control, Pragma,
// Authorization and Cookie it costs four map look-ups.
func ParseRequest(h http.Header) Request {
	var r Request
	if cc := h["Cache-Control"]; len(cc) > 0 {
		r.Directives = ParseDirectives(cc)
	} else if p := h["Pragma"]; len(p) > 0 {
		// Section 5.4: Pragma counts only without Cache-Control.
		r.Directives.NoCache = ParseDirectives(p).NoCache
	}
	r.Authorization = len(h["Authorization"]) > 0
	r.Cookie = len(h["Cookie"]) > 0
	return r
}
