package rfc9111

import (
	"slices"
	"strings"
)

// Key is the primary cache key (section 2) of a GET for a target URI. host
// must come from CanonicalHost and query from CleanQuery; path is the escaped
// path, byte for byte as it is forwarded: a cache that decodes what the origin
// does not, or the reverse, can be made to mix up two resources.
func Key(scheme, host, path, query string) string {
	if query == "" {
		return scheme + "://" + host + path
	}
	return scheme + "://" + host + path + "?" + query
}

// CanonicalHost returns host in lower case without the scheme's default port;
// ok is false for what is no host.
func CanonicalHost(scheme, host string) (canonical string, ok bool) {
	if host == "" {
		return "", false
	}
	for i := range len(host) {
		switch c := host[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		case 'A' <= c && c <= 'Z':
			return CanonicalHost(scheme, strings.ToLower(host))
		default:
			return "", false
		}
	}
	if scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	} else if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return host, host != ""
}

// CleanQuery returns a raw query without CMCD (CTA-5004: a player's report,
// different in each request) and without the parameters named in ignore. The
// rest, LL-HLS's _HLS_* among it, stays byte for byte.
func CleanQuery(query string, ignore []string) string {
	if query == "" || len(ignore) == 0 && !strings.Contains(query, "CMCD") {
		return query
	}
	var b strings.Builder
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if name == "CMCD" || slices.Contains(ignore, name) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(part)
	}
	return b.String()
}
