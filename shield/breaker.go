package shield

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/internal/httpcache"
)

const (
	// breakerWindow is the time over which failed fetches are weighed, breakerFetches how many there have to be: one page that fails is the
	// engine's to back off from, and says little of the origin.
	breakerWindow  = 10 * time.Second
	breakerFetches = 10
	// breakerDelay is how long the first opening lasts; each further one twice the last, at most breakerDelayMost. Then one fetch is let
	// through: what it meets decides.
	breakerDelay     = time.Second
	breakerDelayMost = 30 * time.Second
)

// errGivenUp is of a fetch that nobody waits for any more: it says nothing of the origin.
var errGivenUp = errors.New("given up")

// breaker keeps fetches from an origin that fails most of them: those who ask get what is stored, or 503, at once instead of after a
// time-out, and the origin gets one fetch per step of a back-off instead of all of them. Without a rate it lets everything through. It is
// safe for concurrent use.
type breaker struct {
	circuit      circuitbreaker.CircuitBreaker[*http.Response]
	opens        atomic.Uint32 // in a row, without a success in between
	opened       atomic.Uint64
	declined     atomic.Uint64
	disconnected atomic.Bool  // the last failure was without a response
	retryAt      atomic.Int64 // Unix time in nanoseconds from which on one fetch is let through
}

// newBreaker returns a breaker that opens when at least percent of the fetches within breakerWindow have failed. Zero is never.
func newBreaker(percent int, logger zerolog.Logger) *breaker {
	b := &breaker{}
	if percent <= 0 {
		return b
	}
	b.circuit = circuitbreaker.NewBuilder[*http.Response]().
		WithFailureRateThreshold(float64(percent)/100, breakerFetches, breakerWindow).
		WithSuccessThreshold(1).
		HandleIf(b.failed).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[*http.Response]) time.Duration { return b.delay(e.LastResult()) }).
		OnOpen(func(circuitbreaker.StateChangedEvent) {
			b.opened.Add(1)
			logger.Warn().Uint32("in_a_row", b.opens.Load()).Msg("circuit breaker opened: the origin fails")
		}).
		OnClose(func(circuitbreaker.StateChangedEvent) {
			b.opens.Store(0)
			logger.Info().Msg("circuit breaker closed: the origin is well again")
		}).
		Build()
	return b
}

// failed says what counts against an origin. A 500 does not: one resource whose handler is broken, or is made to fail by what a client
// sends, must not take the others along.
func (b *breaker) failed(response *http.Response, err error) bool {
	switch {
	case errors.Is(err, errGivenUp):
		// Of the one fetch that is to show how the origin is, no news is no good news.
		return !b.circuit.IsClosed()
	case err != nil:
		b.disconnected.Store(true)
		return true
	}
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		b.disconnected.Store(false)
		return true
	}
	return false
}

// delay is how long to stay open after a failure with response, which is nil where there was none.
func (b *breaker) delay(response *http.Response) time.Duration {
	delay := min(breakerDelay<<min(b.opens.Add(1)-1, 10), breakerDelayMost)
	if response != nil {
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			delay = max(delay, min(time.Duration(min(seconds, 3600))*time.Second, breakerDelayMost))
		}
	}
	b.retryAt.Store(time.Now().Add(delay).UnixNano())
	return delay
}

// openForHeld is open for a fetch that the origin is meant to hold. It shows
// nothing of how the origin is, so it waits for the one that does: all of them
// at once would be what the breaker keeps from an origin that just comes back.
// Where none has come for a while, since all that is asked for is such, it goes.
func (b *breaker) openForHeld() error {
	if b.isOpen() {
		if left := time.Until(time.Unix(0, b.retryAt.Load())); left > -breakerWindow {
			return b.decline(max(left, breakerDelay))
		}
	}
	return nil
}

// open returns why no fetch is to be begun, or nil.
func (b *breaker) open() error {
	if b.circuit == nil {
		return nil
	}
	if left := b.circuit.RemainingDelay(); left > 0 {
		return b.decline(left)
	}
	return nil
}

// fetch calls what fetches unless the breaker is open, and learns from what comes back.
func (b *breaker) fetch(attempt func() (*http.Response, error)) (*http.Response, error) {
	if b.circuit == nil {
		return attempt()
	}
	response, err := failsafe.With(b.circuit).Get(attempt)
	if errors.Is(err, circuitbreaker.ErrOpen) {
		return nil, b.decline(b.circuit.RemainingDelay())
	}
	return response, err
}

func (b *breaker) decline(left time.Duration) error {
	b.declined.Add(1)
	return &httpcache.Unavailable{Reason: "breaker", RetryAfter: left, Disconnected: b.disconnected.Load()}
}

// isOpen reports whether fetches are declined, but for the one that shows how the origin is.
func (b *breaker) isOpen() bool { return b.circuit != nil && !b.circuit.IsClosed() }
