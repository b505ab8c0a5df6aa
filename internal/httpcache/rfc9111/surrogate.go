package rfc9111

import (
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Tags returns the tags that a response may be purged by, in order and with
// repetitions: those of Surrogate-Key and xkey, separated by white space, and
// those of Cache-Tag, separated by commas. They are compared as they are.
func Tags(h http.Header) []string {
	var tags []string
	for _, name := range []string{"Surrogate-Key", "Xkey"} {
		for _, line := range h[name] {
			tags = append(tags, strings.Fields(line)...)
		}
	}
	for _, line := range h["Cache-Tag"] {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = trimOWS(tag); tag != "" {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// IsSurrogate reports whether a response field, in canonical form, speaks to
// the caches in front of an origin and to no client.
func IsSurrogate(name string) bool {
	switch name {
	case "Surrogate-Key", "Xkey", "Cache-Tag", "Surrogate-Control", "Surgewall-Cache-Control":
		return true
	}
	return false
}

// Groups returns the groups that a response belongs to (RFC 9875 section 2).
// A field that cannot be parsed counts as absent (RFC 9651 section 4.2).
func Groups(h http.Header) []string { return stringList(h["Cache-Groups"]) }

// InvalidatedGroups returns the groups that a response to a request with
// method makes invalid within its origin (RFC 9875 section 3); a safe method
// has no such power.
func InvalidatedGroups(method string, h http.Header) []string {
	if SafeMethod(method) {
		return nil
	}
	return stringList(h["Cache-Group-Invalidation"])
}

// stringList reads a List of Strings; parameters are ignored, and a member of
// another type makes the whole field void.
func stringList(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, member := range list {
		item, ok := member.(httpsfv.Item)
		if !ok {
			return nil
		}
		s, ok := item.Value.(string)
		if !ok {
			return nil
		}
		out = append(out, s)
	}
	return out
}
