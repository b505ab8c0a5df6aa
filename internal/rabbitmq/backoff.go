package rabbitmq

import "time"

// backoff spreads attempts with full jitter: each wait is random between nothing and a bound that doubles from base to cap, so that
// a thousand clients of a broker that restarts do not return as one.
type backoff struct {
	base, cap time.Duration
	attempt   int
	// random draws from 0 to 1.
	random func() float64
}

// next returns the wait before the next attempt.
func (b *backoff) next() time.Duration {
	bound := b.cap
	// Beyond 30 doublings the shift could overflow; any sane cap is reached long before.
	if b.attempt < 30 {
		bound = min(b.base<<b.attempt, b.cap)
	}
	b.attempt++
	return time.Duration(b.random() * float64(bound))
}

// reset makes the next failure the first one.
func (b *backoff) reset() { b.attempt = 0 }
