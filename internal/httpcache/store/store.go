// Package store keeps complete HTTP responses within a bound of bytes.
package store

import (
	"sync/atomic"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// Field is one header field of a stored response, ready to be copied into an
// http.Header without allocation. The values must not be changed.
type Field struct {
	Name   string // canonical form
	Values []string
	// Surrogate marks a field that no client needs to see.
	Surrogate bool
}

// Object is one stored response, or a signpost that says which request fields
// choose among several. It is immutable from Put on, and a Get may return
// another Object that says the same: an update is a Put of a new Object, which
// may share the old one's Body.
type Object struct {
	Key string

	// Vary names the request fields that choose a variant, and Generation is
	// part of the variants' keys. An Object with Vary has no response of its own.
	Vary       []string
	Generation uint64

	Meta        rfc9111.Stored // what the caching rules need of the response
	Fields      []Field        // response header, end-to-end fields only
	CacheStatus string         // Cache-Status as the upstream sent it
	Body        Body

	// Total is the length of the content that a manifest describes without
	// holding it, or that a slice is a part of, from Offset on.
	Total, Offset int64

	// Born is the number of the last purge before the fetch began; Labels are
	// what purges by tag and group know the response by.
	Born   uint64
	Labels []uint64
	// Cleared is the number of the last purge that is known not to have reached
	// the response. It alone changes after Put.
	Cleared atomic.Uint64
}

// WithMeta is o under other terms.
func (o *Object) WithMeta(m rfc9111.Stored) *Object {
	return &Object{Key: o.Key, Vary: o.Vary, Generation: o.Generation, Meta: m, Fields: o.Fields, CacheStatus: o.CacheStatus,
		Body: o.Body, Total: o.Total, Offset: o.Offset, Born: o.Born, Labels: o.Labels}
}

// Signpost reports whether the object only points to variants.
func (o *Object) Signpost() bool { return o.Vary != nil }

// Store keeps objects by key. Implementations are safe for concurrent use and
// never block on anything slower than memory. An object that a caller got
// stays as it is after it was replaced, deleted or evicted, but for its Body:
// who wants to read that holds it first.
type Store interface {
	// Get returns the object stored under key.
	Get(key string) (*Object, bool)
	// Body copies chunks to where a Put need not copy them again, evicting
	// others for room. The caller holds the Body, and releases it when it has put
	// the object. It reports false for what is too large to be stored.
	Body(chunks ...[]byte) (Body, bool)
	// Lend counts memory that the caller has taken for what is on its way into the
	// store, in bytes; negative when it gives some back. The store holds that
	// much less, up to a quarter of its bound.
	Lend(bytes int64)
	// Put stores o under o.Key in place of what was there, evicting others for
	// room, and reports whether it was taken. One that is refused leaves
	// nothing stored under its key.
	Put(o *Object) bool
	// Delete removes what is stored under key and reports whether there was anything.
	Delete(key string) bool
	// MaxObject is the largest content that Put takes, in bytes.
	MaxObject() int64
	// Stats returns the present state.
	Stats() Stats
}

// Stats is the state of a Store at one moment.
type Stats struct {
	Objects   int
	Bytes     int64 // memory of the objects, bookkeeping included
	MaxBytes  int64
	Evictions uint64 // since the start
}
