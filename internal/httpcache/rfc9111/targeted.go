package rfc9111

import (
	"math"
	"net/http"
	"time"

	"github.com/dunglas/httpsfv"
)

// responseDirectives returns the directives that govern a response: those of
// the first usable targeted field, else those of Cache-Control. targeted says
// which it was: a targeted field also makes Expires and Pragma void (RFC 9213
// section 2.1).
func responseDirectives(r Rules, h http.Header) (d Directives, targeted bool) {
	for _, name := range r.targeted() {
		if lines := h[http.CanonicalHeaderKey(name)]; len(lines) > 0 {
			if d, ok := parseTargeted(lines); ok {
				return d, true
			}
		}
	}
	return ParseDirectives(h["Cache-Control"]), false
}

// parseTargeted reads a targeted field: a Dictionary of structured fields (RFC
// 9213 section 2.1). An empty or malformed field counts as absent, and so does
// a member of the wrong type.
func parseTargeted(lines []string) (d Directives, ok bool) {
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return d, false
	}
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		item, isItem := member.(httpsfv.Item)
		if !isItem {
			continue
		}
		switch v := item.Value.(type) {
		case bool:
			if v {
				d.set(name, "", false)
			}
		case string: // no-cache="field": the stricter reading
			if name == "no-cache" || name == "private" {
				d.set(name, "", false)
			}
		case int64:
			d.setDelta(name, float64(v))
		case float64:
			d.setDelta(name, v)
		}
	}
	return d, true
}

func (d *Directives) setDelta(name string, seconds float64) {
	v := Delta{time.Duration(math.Round(min(max(seconds, 0), maxDelta) * float64(time.Second))), true}
	switch name {
	case "max-age":
		d.MaxAge = v
	case "s-maxage":
		d.SMaxAge = v
	case "stale-while-revalidate":
		d.StaleWhileRevalidate = v
	case "stale-if-error":
		d.StaleIfError = v
	}
}
