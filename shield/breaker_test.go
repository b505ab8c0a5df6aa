package shield

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache"
)

// sick is an origin that answers as it is told, and counts.
type sick struct {
	status     atomic.Int32 // 0: no response
	retryAfter string
	takes      time.Duration
	fetches    atomic.Int64
}

func (s *sick) RoundTrip(r *http.Request) (*http.Response, error) {
	s.fetches.Add(1)
	select {
	case <-time.After(s.takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if s.status.Load() == 0 {
		return nil, errors.New("no route to host")
	}
	h := http.Header{}
	if s.retryAfter != "" {
		h.Set("Retry-After", s.retryAfter)
	}
	return &http.Response{StatusCode: int(s.status.Load()), Header: h, Body: http.NoBody, Request: r}, nil
}

func (s *sick) origin(t *testing.T) *Origin {
	return NewOrigin(OriginOptions{URLs: base(t, "http://origin"), Transport: s, Concurrency: 100, Breaker: 50})
}

// declinedFor returns what a fetch that was not sent was told; it fails the test where it was sent.
func declinedFor(t *testing.T, o *Origin) *httpcache.Unavailable {
	t.Helper()
	_, _, err := fetch(t.Context(), o)
	u, ok := errors.AsType[*httpcache.Unavailable](err)
	if !ok || u.Reason != "breaker" {
		t.Fatalf("error %v, want the breaker's", err)
	}
	return u
}

// TestAnOriginThatIsDownGetsOneFetchPerStepOfABackOff is the whole story: it fails, is left alone, fails again, is left alone for longer,
// and is well again.
func TestAnOriginThatIsDownGetsOneFetchPerStepOfABackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{takes: 50 * time.Millisecond}
		o := s.origin(t)
		for range 10 {
			_, _, _ = fetch(t.Context(), o)
		}
		if s.fetches.Load() != 10 || !o.Open() || o.Opened() != 1 {
			t.Fatalf("%d fetches, open %v, %d times; want 10, true, 1", s.fetches.Load(), o.Open(), o.Opened())
		}
		for step, wait := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			wait *= time.Second
			u := declinedFor(t, o)
			if !u.Disconnected || u.RetryAfter > wait || u.RetryAfter < wait-time.Second {
				t.Errorf("step %d: %+v, want about %v", step, u, wait)
			}
			time.Sleep(wait + time.Millisecond)
			before := s.fetches.Load()
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() { _, _, _ = fetch(t.Context(), o) })
			}
			all.Wait()
			if n := s.fetches.Load() - before; n != 1 {
				t.Fatalf("step %d: %d fetches by 20 clients, want 1", step, n)
			}
		}
		s.status.Store(200)
		time.Sleep(31 * time.Second)
		if code, _, err := fetch(t.Context(), o); code != 200 || err != nil || o.Open() {
			t.Fatalf("well again: code %d, %v, open %v", code, err, o.Open())
		}
		s.status.Store(503)
		for range 10 {
			_, _, _ = fetch(t.Context(), o)
		}
		if u := declinedFor(t, o); u.RetryAfter > time.Second || u.Disconnected {
			t.Errorf("after a recovery: %+v, want a second at most, and an origin that answers", u)
		}
		if o.Declined() == 0 || o.InFlight() != 0 {
			t.Errorf("%d declined, %d in flight", o.Declined(), o.InFlight())
		}
	})
}

func TestWhatDoesNotCountAgainstAnOrigin(t *testing.T) {
	for name, play := range map[string]func(*testing.T, *sick, *Origin){
		"a broken resource": func(t *testing.T, s *sick, o *Origin) {
			s.status.Store(500)
			for range 50 {
				_, _, _ = fetch(t.Context(), o)
			}
		},
		"what is not there": func(t *testing.T, s *sick, o *Origin) {
			s.status.Store(404)
			for range 50 {
				_, _, _ = fetch(t.Context(), o)
			}
		},
		"clients who leave": func(t *testing.T, s *sick, o *Origin) {
			s.takes = time.Second
			for range 50 {
				ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
				_, _, _ = fetch(ctx, o)
				leave()
			}
		},
		"a few failures": func(t *testing.T, _ *sick, o *Origin) {
			for range 9 {
				_, _, _ = fetch(t.Context(), o)
			}
		},
		"failures far apart": func(t *testing.T, _ *sick, o *Origin) {
			for range 50 {
				_, _, _ = fetch(t.Context(), o)
				time.Sleep(2 * time.Second)
			}
		},
		"fewer than half": func(t *testing.T, s *sick, o *Origin) {
			for i := range 50 {
				s.status.Store([]int32{200, 503, 200}[i%3])
				_, _, _ = fetch(t.Context(), o)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sick{}
				o := s.origin(t)
				if play(t, s, o); o.Open() {
					t.Error("the breaker opened")
				}
			})
		})
	}
}

func TestTheBreakerKeepsToRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "99999999999": 30 * time.Second, "0": time.Second, "-5": time.Second, "soon": time.Second, "3600": 30 * time.Second,
		"999999999999999999999": time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &sick{retryAfter: value}
			s.status.Store(503)
			o := s.origin(t)
			for range 10 {
				_, _, _ = fetch(t.Context(), o)
			}
			if u := declinedFor(t, o); u.RetryAfter != want {
				t.Errorf("Retry-After %q: open for %v, want %v", value, u.RetryAfter, want)
			}
		})
	}
}

// TestTheFetchThatShowsHowTheOriginIsMayBeGivenUp: the next one is let through all the same, later.
func TestTheFetchThatShowsHowTheOriginIsMayBeGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{}
		o := s.origin(t)
		for range 10 {
			_, _, _ = fetch(t.Context(), o)
		}
		time.Sleep(time.Second)
		s.takes = time.Minute
		ctx, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, _, _ = fetch(ctx, o)
		leave()
		s.takes = 0
		s.status.Store(200)
		declinedFor(t, o)
		time.Sleep(2 * time.Second)
		if code, _, err := fetch(t.Context(), o); code != 200 || err != nil || o.Open() {
			t.Errorf("code %d, %v, open %v", code, err, o.Open())
		}
	})
}

func TestWithoutARateNothingIsDeclined(t *testing.T) {
	s := &sick{}
	o := NewOrigin(OriginOptions{URLs: base(t, "http://origin"), Transport: s})
	for range 100 {
		_, _, _ = fetch(t.Context(), o)
	}
	if s.fetches.Load() != 100 || o.Open() || o.Declined() != 0 {
		t.Errorf("%d fetches, open %v, %d declined", s.fetches.Load(), o.Open(), o.Declined())
	}
}

// TestABodyOfADeclinedRequestIsClosed, as RoundTrip has to.
func TestABodyOfADeclinedRequestIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := (&sick{}).origin(t)
		for range 10 {
			_, _, _ = fetch(t.Context(), o)
		}
		body := &gateBody{Reader: http.NoBody, g: newGate()}
		body.g.now = 1
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		r.Body = body
		if _, err := o.RoundTrip(r); err == nil || body.g.now != 0 {
			t.Errorf("error %v, %d bodies open", err, body.g.now)
		}
	})
}
