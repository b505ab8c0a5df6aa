package httpcache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// response is a response as clients get it, stored or in flight, apart from
// the fields that differ per request.
type response struct {
	meta        rfc9111.Stored
	fields      []store.Field
	cacheStatus string // upstream's entries
	hasAge      bool   // upstream sent Age
	length      int64  // of the content, or -1
}

// perRequest are fields made anew for each answer.
func perRequest(name string) bool {
	return name == "Age" || name == "Cache-Status" || name == "Content-Length"
}

func newResponse(h http.Header, v rfc9111.Verdict, length int64) response {
	r := response{meta: v.Stored, cacheStatus: strings.Join(h["Cache-Status"], ", "), hasAge: len(h["Age"]) > 0, length: length}
	r.fields = make([]store.Field, 0, len(h)+1)
	for name, values := range h {
		if !perRequest(name) {
			r.fields = append(r.fields, store.Field{Name: name, Values: values, Surrogate: rfc9111.IsSurrogate(name)})
		}
	}
	slices.SortFunc(r.fields, func(a, b store.Field) int { return strings.Compare(a.Name, b.Name) })
	if length >= 0 {
		r.fields = withLength(r.fields, length)
	}
	return r
}

// withLength returns fields with Content-Length, which a body in flight may not have.
func withLength(fields []store.Field, n int64) []store.Field {
	for _, f := range fields {
		if f.Name == "Content-Length" {
			return fields
		}
	}
	return append(fields[:len(fields):len(fields)], store.Field{Name: "Content-Length", Values: []string{strconv.FormatInt(n, 10)}})
}

func newObject(key string, h http.Header, v rfc9111.Verdict, body store.Body) *store.Object {
	r := newResponse(h, v, body.Size())
	return &store.Object{Key: key, Meta: v.Stored, Fields: r.fields, CacheStatus: r.cacheStatus, Body: body}
}

func responseOf(o *store.Object) response {
	r := response{meta: o.Meta, fields: o.Fields, cacheStatus: o.CacheStatus, length: o.Body.Size()}
	if o.Total != 0 {
		r.length = o.Total // of which o has a slice, or tells where the slices are
	}
	return r
}

// headerOf is the stored header as a map, for an update by a 304.
func headerOf(o *store.Object) http.Header {
	h := make(http.Header, len(o.Fields))
	for _, f := range o.Fields {
		h[f.Name] = f.Values
	}
	return h
}

// field returns a field's first value, or "".
func field(fields []store.Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Values[0]
		}
	}
	return ""
}
