package httpcache

import (
	"errors"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// Unavailable is the error of an upstream that declines to send a request, as a
// circuit breaker does. It is answered from what is stored where that is allowed
// (RFC 9111 section 4.2.4), and otherwise with 503 and Retry-After. It says
// nothing about the resource: the next request for it is sent as if none had been.
type Unavailable struct {
	// Reason is the detail in Cache-Status, a token.
	Reason rfc9111.Reason
	// RetryAfter is when to ask again, rounded up to seconds; at least one is said.
	RetryAfter time.Duration
	// Disconnected says that the upstream cannot be reached at all, and not only
	// that it answers with errors: then Options.StaleIfUnreachable counts too.
	Disconnected bool
}

// Error names the reason.
func (u *Unavailable) Error() string { return "upstream is unavailable: " + string(u.Reason) }

// declined returns the Unavailable in err, or nil.
func declined(err error) *Unavailable {
	u, _ := errors.AsType[*Unavailable](err)
	return u
}

// staleOn reports whether o may answer, stale, for a request whose fetch failed
// with err.
func (c *Cache) staleOn(err error, m *rfc9111.Stored, now time.Time) bool {
	if m.StaleOnError(now) {
		return true
	}
	u := declined(err)
	return (u == nil || u.Disconnected) && m.StaleWhenDisconnected(now, c.opt.StaleIfUnreachable)
}
