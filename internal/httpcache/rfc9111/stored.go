package rfc9111

import "time"

// Stored is what the rules need to know of a stored response, worked out once
// when it arrives so that each reuse is a few comparisons.
type Stored struct {
	Status       int
	ResponseTime time.Time     // when its header arrived (section 4.2.3)
	InitialAge   time.Duration // corrected_initial_age (section 4.2.3)
	Lifetime     time.Duration // freshness lifetime (section 4.2.1)

	StaleWhileRevalidate time.Duration // RFC 5861 section 3
	StaleIfError         time.Duration // RFC 5861 section 4
	NoCache              bool          // no reuse without validation
	MustRevalidate       bool          // never served stale
	NoStale              bool          // served stale only where another directive says so: MustRevalidate, or s-maxage (section 5.2.2.10)
	Immutable            bool          // a reload does not change it while fresh (RFC 8246)
	Public               bool          // may answer requests with Authorization (section 3.5)
	ETag                 string        // entity tag as sent, or empty
	LastModified         string        // Last-Modified as sent, or empty
}

// Age is current_age (section 4.2.3) at now.
func (s *Stored) Age(now time.Time) time.Duration {
	return s.InitialAge + max(0, now.Sub(s.ResponseTime))
}

// TTL is how long the response stays fresh after now; negative once stale.
func (s *Stored) TTL(now time.Time) time.Duration { return s.Lifetime - s.Age(now) }
