package rfc9111

import "time"

// Use says what to do with a stored response.
type Use int

const (
	// UseFresh: answer from the store.
	UseFresh Use = iota
	// UseStale: answer from the store although stale, and validate it meanwhile
	// (RFC 5861 section 3), or because the request takes stale responses.
	UseStale
	// UseAfterValidation: forward, with the stored validators where there are any.
	UseAfterValidation
	// UseNever: forward as if nothing were stored.
	UseNever
)

// Reuse is the decision for one request and one stored response.
type Reuse struct {
	Use     Use
	Age     time.Duration
	TTL     time.Duration // negative once stale
	Request bool          // the request, not the response's age, asked to forward
}

// Evaluate decides whether s may answer req at now (section 4).
func Evaluate(r Rules, req *Request, s *Stored, now time.Time) Reuse {
	age := s.Age(now)
	u := Reuse{Age: age, TTL: s.Lifetime - age}
	if req.Authorization && !s.Public {
		u.Use, u.Request = UseNever, true
		return u
	}
	if s.NoCache {
		u.Use = UseAfterValidation
		return u
	}
	if r.HonourRequest && req.wantsForward(s, u) {
		u.Use, u.Request = UseAfterValidation, true
		return u
	}
	stale := -u.TTL
	switch {
	case u.TTL > 0:
		u.Use = UseFresh
	case !s.MustRevalidate && stale < s.StaleWhileRevalidate:
		u.Use = UseStale
	case !s.MustRevalidate && r.HonourRequest && req.Directives.MaxStale.OK && stale <= req.Directives.MaxStale.D:
		u.Use = UseStale
	default:
		u.Use = UseAfterValidation
	}
	return u
}

// wantsForward applies the request directives of section 5.2.1. max-age=0 is
// what a reload sends: of an immutable response, while it is fresh, that wants
// nothing new, as opposed to no-cache (RFC 8246 section 2).
func (req *Request) wantsForward(s *Stored, u Reuse) bool {
	d := &req.Directives
	if d.MaxAge.OK && d.MaxAge.D == 0 && s.Immutable && u.TTL > 0 {
		return d.NoCache || d.MinFresh.OK && u.TTL < d.MinFresh.D
	}
	return d.NoCache || d.MaxAge.OK && u.Age > d.MaxAge.D || d.MaxAge.OK && d.MaxAge.D == 0 ||
		d.MinFresh.OK && u.TTL < d.MinFresh.D
}

// StaleOnError reports whether s may answer at now when the upstream failed
// (RFC 5861 section 4).
func (s *Stored) StaleOnError(now time.Time) bool {
	return !s.NoCache && !s.MustRevalidate && s.StaleIfError > 0 && -s.TTL(now) < s.StaleIfError
}

// StaleWhenDisconnected reports whether s may answer at now when the upstream
// could not be reached at all (section 4.2.4), at most limit after it became stale.
func (s *Stored) StaleWhenDisconnected(now time.Time, limit time.Duration) bool {
	return !s.NoCache && !s.NoStale && -s.TTL(now) < limit
}
