package httpcache

import "time"

// Status says in one word how a request was answered. The words are those of
// Cache-Status (RFC 9211), reduced to what a meter counts.
type Status string

const (
	// StatusHit is an answer from the store, fresh.
	StatusHit Status = "hit"
	// StatusMiss is an answer from a fetch that this request opened.
	StatusMiss Status = "miss"
	// StatusStale is an answer from the store, stale, as the response or the
	// failure of its validation allowed (RFC 5861).
	StatusStale Status = "stale"
	// StatusRevalidated is an answer from the store after the upstream
	// confirmed it with a 304.
	StatusRevalidated Status = "revalidated"
	// StatusCollapsed is an answer from a fetch that another request opened.
	StatusCollapsed Status = "collapsed"
	// StatusError is an answer that failed: the upstream gave no response, a
	// 5xx, or a body that broke off.
	StatusError Status = "error"
	// StatusBypass is a request that no cache can answer: an unsafe method, a
	// key known as uncacheable, a request for one user only.
	StatusBypass Status = "bypass"
	// StatusShed is a request refused to protect the rest: too many waiters, a
	// loop, a malformed request.
	StatusShed Status = "shed"
)

// Outcome is one finished request, as Options.Observe sees it.
type Outcome struct {
	Status   Status
	Method   string
	Key      string        // primary key; empty for a request that was refused before it had one
	Code     int           // status code sent; 0 when the client left before the header
	BytesOut int64         // body bytes written to the client
	Duration time.Duration // from the first to the last step of the handler
	TTFB     time.Duration // from the first step to the response header; 0 when none was sent
	Aborted  bool          // the body was cut: upstream broke off, or the client left
}
