package rfc9111

import (
	"net/http"
	"net/url"
)

// SafeMethod reports whether a method changes nothing (RFC 9110 section 9.2.1).
func SafeMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// Invalidates returns the URIs whose stored responses a response makes invalid
// (section 4.4): after an unsafe method that did not fail, the target and, on
// the same host, what Location and Content-Location name.
func Invalidates(method string, target *url.URL, status int, h http.Header) []*url.URL {
	if SafeMethod(method) || status < 200 || status >= 400 {
		return nil
	}
	uris := []*url.URL{target}
	for _, name := range []string{"Location", "Content-Location"} {
		ref, err := url.Parse(h.Get(name))
		if err != nil || h.Get(name) == "" {
			continue
		}
		// Another host could otherwise empty this one's cache.
		if u := target.ResolveReference(ref); u.Host == target.Host && u.Scheme == target.Scheme {
			uris = append(uris, u)
		}
	}
	return uris
}
