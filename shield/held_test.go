package shield

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func fetchHeld(ctx context.Context, o *Origin) (int, error) {
	r := httptest.NewRequestWithContext(ctx, "GET", "/live.m3u8?_HLS_msn=273", nil)
	r.Body = nil
	response, err := o.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// TestWhatTheOriginHoldsTakesNoTurnOfOthers, nor the other way round; both are bounded.
func TestWhatTheOriginHoldsTakesNoTurnOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ordinary, held := newGate(), newGate()
		o := NewOrigin(OriginOptions{URLs: base(t, "http://origin"), Transport: ordinary, HeldTransport: held,
			Concurrency: 1, HeldConcurrency: 2, QueueTimeout: time.Second})
		codes := make(chan int, 10)
		for range 5 {
			go func() {
				code, err := fetchHeld(t.Context(), o)
				if err != nil {
					t.Error(err)
				}
				codes <- code
			}()
		}
		synctest.Wait()
		if o.Held() != 2 || o.InFlight() != 2 || o.Waiting() != 3 {
			t.Errorf("%d held, %d in flight, %d waiting; want 2, 2, 3", o.Held(), o.InFlight(), o.Waiting())
		}
		ordinary.release <- struct{}{}
		if code, _, err := fetch(t.Context(), o); code != 200 || err != nil {
			t.Errorf("an ordinary fetch beside held ones: %d, %v", code, err)
		}
		time.Sleep(2 * time.Second)
		for range 3 {
			if code := <-codes; code != 503 {
				t.Errorf("beyond the bound: %d", code)
			}
		}
		for range 2 {
			held.release <- struct{}{}
		}
		for range 2 {
			if code := <-codes; code != 200 {
				t.Errorf("held: %d", code)
			}
		}
		if o.Held() != 0 || held.max != 2 || ordinary.max != 1 {
			t.Errorf("%d held after all; at most %d and %d at once", o.Held(), held.max, ordinary.max)
		}
	})
}

// TestWhatTheOriginHoldsSaysNothingOfItsHealth: neither a minute until the answer nor the 503 that the draft prescribes after it.
func TestWhatTheOriginHoldsSaysNothingOfItsHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{takes: time.Minute}
		s.status.Store(503)
		o := s.origin(t)
		for range 20 {
			if code, err := fetchHeld(t.Context(), o); code != 503 || err != nil {
				t.Fatalf("%d, %v", code, err)
			}
		}
		window := o.health.take()
		if fetches, failed := o.Totals(); o.Open() || window.fetches != 0 || fetches != 20 || failed != 20 {
			t.Errorf("open %v, %+v, %d fetches, %d failed", o.Open(), window, fetches, failed)
		}
		s.takes = 0
		for range 10 {
			_, _, _ = fetch(t.Context(), o)
		}
		if _, err := fetchHeld(t.Context(), o); err == nil || !strings.Contains(err.Error(), "breaker") {
			t.Errorf("while the origin counts as down: %v", err)
		}
	})
}

// TestWhatTheOriginHoldsWaitsForTheOneFetchThatIsLetThrough: an origin that comes back gets one fetch, not one and all that it is meant to
// hold. Without any other it gets those, later.
func TestWhatTheOriginHoldsWaitsForTheOneFetchThatIsLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sick{}
		o := s.origin(t)
		down := func() {
			s.status.Store(0)
			s.takes = 0
			for range 10 {
				_, _, _ = fetch(t.Context(), o)
			}
			s.status.Store(200)
		}
		declined := func(when string) {
			t.Helper()
			if code, err := fetchHeld(t.Context(), o); err == nil || !strings.Contains(err.Error(), "breaker") {
				t.Errorf("%s: %d, %v", when, code, err)
			}
		}
		down()
		declined("open")
		time.Sleep(1500 * time.Millisecond)
		declined("before the one fetch")
		s.takes = 2 * time.Second
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = fetch(t.Context(), o)
		}()
		synctest.Wait()
		declined("while the one fetch is under way")
		<-done
		if code, err := fetchHeld(t.Context(), o); code != 200 || err != nil {
			t.Errorf("well again: %d, %v", code, err)
		}

		down()
		time.Sleep(10 * time.Second)
		declined("for a while without any other fetch")
		time.Sleep(2 * time.Second)
		if code, err := fetchHeld(t.Context(), o); code != 200 || err != nil {
			t.Errorf("for long without any other fetch: %d, %v", code, err)
		}
	})
}

// TestATransportOfItsOwnHasItsOwnTime: what the origin holds is not cut off by the time that others have.
func TestATransportOfItsOwnHasItsOwnTime(t *testing.T) {
	server := listener(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(300 * time.Millisecond)
		_, _ = io.WriteString(w, "playlist")
	})
	s, err := (&Options{}).newSite(SiteOptions{Name: "live", Origins: base(t, server.URL), Trusted: true,
		ConnectTimeout: time.Second, ResponseHeaderTimeout: 50 * time.Millisecond, HeldTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.transport.CloseIdleConnections()
	defer s.held.CloseIdleConnections()
	if code, err := fetchHeld(t.Context(), s.Origin()); code != 200 || err != nil {
		t.Errorf("held: %d, %v", code, err)
	}
	if _, _, err := fetch(t.Context(), s.Origin()); err == nil {
		t.Error("an ordinary fetch was not cut off")
	}
}
