package rfc9111

import (
	"net/http"
	"strings"
)

// conditionalFields are the preconditions of RFC 9110 section 13.1.
var conditionalFields = []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range"}

// StripConditional removes a request's preconditions and range, so that the
// response is complete and can serve others too.
func StripConditional(h http.Header) {
	for _, f := range conditionalFields {
		delete(h, f)
	}
	delete(h, "Range")
}

// SetConditional makes a request ask whether s is still current (section
// 4.3.1). It reports false when s has no validator.
func SetConditional(h http.Header, s *Stored) bool {
	if s.ETag != "" {
		h["If-None-Match"] = []string{s.ETag}
	}
	if s.LastModified != "" {
		h["If-Modified-Since"] = []string{s.LastModified}
	}
	return s.ETag != "" || s.LastModified != ""
}

// Confirms reports whether a 304 with header h speaks of s: a strong entity
// tag in it must be the stored one (section 4.3.4).
func Confirms(h http.Header, s *Stored) bool {
	tag := h.Get("Etag")
	if tag == "" || s.ETag == "" {
		return true
	}
	return WeakMatch(tag, s.ETag)
}

// Update returns the stored header with the fields of a 304 in place of their
// old values (section 3.2). Fields that describe the stored content itself stay.
func Update(stored, h http.Header) http.Header {
	out := stored.Clone()
	for name, values := range h {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Type", "Content-Range", "Age":
			continue
		}
		out[name] = values
	}
	// The age of the confirmation replaces that of the first response.
	if age, ok := h["Age"]; ok {
		out["Age"] = age
	} else {
		delete(out, "Age")
	}
	return out
}

// WeakMatch is the weak comparison of two entity tags (RFC 9110 section 8.8.3.2).
func WeakMatch(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}

// StrongTag reports whether tag is a well-formed strong entity tag.
func StrongTag(tag string) bool {
	return len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"'
}

// HasPrecondition reports whether the request carries a precondition that only
// the origin can judge (section 4.3.2).
func HasPrecondition(h http.Header) bool {
	return len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0
}

// NotModified judges a client's If-None-Match, or without one its
// If-Modified-Since, against a response (section 4.3.2).
func NotModified(request http.Header, s *Stored) bool {
	if lines := request["If-None-Match"]; len(lines) > 0 {
		return matchesAny(lines, s.ETag)
	}
	since, ok := fieldDate(request, "If-Modified-Since")
	if !ok {
		return false
	}
	modified, ok := parseDate(s.LastModified)
	return ok && !modified.After(since)
}

func matchesAny(lines []string, tag string) bool {
	for _, line := range lines {
		for line != "" {
			var m string
			m, line = cutTag(line)
			if m == "*" || tag != "" && m != "" && WeakMatch(m, tag) {
				return true
			}
		}
	}
	return false
}

// cutTag splits off the first entity tag of a list. A backslash is an ordinary
// character in an entity tag, unlike in a quoted string.
func cutTag(s string) (tag, rest string) {
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return trimOWS(s[:i]), s[i+1:]
			}
		}
	}
	return trimOWS(s), ""
}
