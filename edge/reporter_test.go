package edge

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/httpcache"
)

// heard is one event on the bus and when it came.
type heard struct {
	at time.Duration // since the beginning of the story
	events.Event
}

// bus is a Publisher that decodes what it gets, as a controller would.
type bus struct {
	t     *testing.T
	began time.Time

	mu  sync.Mutex
	all []heard
}

func (b *bus) Publish(m events.Message) {
	e, err := events.Decode(m)
	if err != nil {
		b.t.Errorf("published what nobody accepts: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, heard{time.Since(b.began), e})
}

// take returns what came since the last take.
func (b *bus) take() []heard {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

func rates(all []heard) (of []*events.Rate) {
	for _, e := range all {
		if rate, ok := e.Body.(*events.Rate); ok {
			of = append(of, rate)
		}
	}
	return of
}

func states(all []heard) (of []events.LifeState) {
	for _, e := range all {
		if life, ok := e.Body.(*events.Life); ok {
			of = append(of, life.State)
		}
	}
	return of
}

// story is an edge with clients, a reporter and a bus, in a bubble with its own time.
type story struct {
	*bus
	meter    *Meter
	reporter *Reporter
	serve    http.Handler
}

// request is one request that hits.
func (s *story) request(n int) {
	for range n {
		s.serve.ServeHTTP(nil, nil)
	}
}

// load is this many requests every 10 ms, for so long.
func (s *story) load(each int, d time.Duration) {
	for range int(d / (10 * time.Millisecond)) {
		s.request(each)
		time.Sleep(10 * time.Millisecond)
	}
	synctest.Wait()
}

func (s *story) wait(d time.Duration) { time.Sleep(d); synctest.Wait() }

// tell runs the story and returns what came after its end, when the reporter was told to stop.
func tell(t *testing.T, tale func(t *testing.T, s *story)) (last []heard) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &story{bus: &bus{t: t, began: time.Now()}, meter: NewMeter()}
		s.serve = s.meter.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			s.meter.Observe(httpcache.Outcome{Status: httpcache.StatusHit, Key: "http://a/", BytesOut: 100})
		}))
		s.reporter = NewReporter(ReporterOptions{
			Fleet: "sports", Pod: "edge-1", BootID: "abcdefgh", Meter: s.meter, Publisher: s.bus, Logger: zerolog.Nop(),
			Capacity: events.Capacity{CPU: 2},
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.reporter.Run(ctx) }()
		synctest.Wait()
		tale(t, s)
		s.take()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		last = s.take()
	})
	return last
}

func TestAnIdleEdgeSaysSoOnceASecond(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		s.wait(30 * time.Second)
		all := s.take()
		of := rates(all)
		if len(of) < 29 || len(of) > 31 {
			t.Fatalf("%d windows in 30 s", len(of))
		}
		for i, rate := range of[1:] {
			if rate.Offered != 0 || rate.WindowMS != 1000 || rate.Early || rate.Draining || rate.Warm != 1 || rate.Capacity.CPU != 2 {
				t.Errorf("window %d: %+v", i+1, rate)
			}
		}
		for i, e := range all {
			if e.Seq != uint64(i+1) || e.Source != "/sports/edge-1" || e.BootID != all[0].BootID {
				t.Fatalf("event %d has sequence %d, source %s, boot %s", i, e.Seq, e.Source, e.BootID)
			}
		}
	})
}

func TestWindowsFollowEachOtherAndCountEverything(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		s.load(1, 10*time.Second)
		s.load(7, 3*time.Second)
		s.wait(1100 * time.Millisecond)
		var offered, bytes, ended uint64
		var length time.Duration
		for _, rate := range rates(s.take()) {
			offered += rate.Offered
			ended += rate.Status.Hit
			bytes += rate.BytesOut
			length += rate.Window()
		}
		if offered != 1000+2100 || ended != offered || bytes != 100*offered {
			t.Errorf("offered %d, hits %d, bytes %d; want 3100, 3100, 310000", offered, ended, bytes)
		}
		if spent := time.Since(s.began); length > spent || length < spent-1100*time.Millisecond {
			t.Errorf("windows of %s in %s", length, spent)
		}
	})
}

func TestAJumpIsOnTheBusWithinATick(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		s.load(1, 10*time.Second)
		s.take()
		kickoff := time.Since(s.began)
		s.load(10, 2*time.Second)
		for _, e := range s.take() {
			rate, ok := e.Body.(*events.Rate)
			if !ok || !rate.Early {
				continue
			}
			// A tick that holds part of the jump may show too little of it; the next one shows all.
			if late := e.at - kickoff; late > 2*tickLength {
				t.Errorf("the first early window came %s after the jump", late)
			}
			return
		}
		t.Error("no early window")
	})
}

func TestTheEndOfAWindowIsReportedOnItsOwn(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		s.load(1, 10*time.Second)
		for _, rate := range rates(s.take()) {
			if rate.WindowMS == 1000 && (rate.RecentMS != recentTicks*tickLength.Milliseconds() || rate.Recent < 49 || rate.Recent > 51) {
				t.Errorf("%d requests in the last %d ms, want 50 in 500", rate.Recent, rate.RecentMS)
			}
		}
		kickoff := time.Since(s.began)
		s.load(10, 3*time.Second)
		early := 0
		for _, e := range s.take() {
			rate, ok := e.Body.(*events.Rate)
			if !ok || !rate.Early {
				continue
			}
			early++
			rps := float64(rate.Offered) / rate.Window().Seconds()
			if rate.RecentMS > 0 {
				rps = float64(rate.Recent) * 1000 / float64(rate.RecentMS)
			}
			// From the second tick on, it is all of the jump.
			if e.at-kickoff > 2*tickLength && (rps < 900 || rps > 1100) {
				t.Errorf("%s after the jump to 1000 rps: %.0f", e.at-kickoff, rps)
			}
		}
		if early < 2 || early > 2*(1+alertTicks) {
			t.Errorf("%d early windows", early)
		}
	})
}

func TestTheEndOfAWindowTakesInALateTick(t *testing.T) {
	began := time.Now()
	at := func(ticks int) time.Time { return began.Add(time.Duration(ticks) * tickLength) }
	w := window{marks: []mark{{at: at(0)}, {at: at(1), offered: 10}, {at: at(4), offered: 11, late: true}, {at: at(5), offered: 50}, {at: at(6), offered: 60}}}
	if length, count := w.recent(at(7), 70, 3); length != 6*tickLength || count != 60 {
		t.Errorf("%d requests in %s: what came while nothing was counted is in a shorter time", count, length)
	}
	if length, count := w.recent(at(7), 70, 2); length != 2*tickLength || count != 20 {
		t.Errorf("%d requests in %s, want 20 in the last two ticks", count, length)
	}
}

func TestASteadyEdgeIsNotEarly(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		s.load(5, 20*time.Second)
		for i, rate := range rates(s.take()) {
			if rate.Early {
				t.Errorf("window %d is early: %+v", i, rate)
			}
		}
	})
}

func TestASessionThatComesUpHearsAtOnceWhoIsThere(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		s.reporter.SetState(events.LifeReady)
		s.wait(5 * time.Second)
		all := s.take()
		// Amid a window: one that has just begun is not cut.
		s.wait(all[len(all)-1].at + 1300*time.Millisecond - time.Since(s.began))
		s.take()
		up := time.Since(s.began)
		s.reporter.Resume()
		s.reporter.Resume()
		s.wait(time.Millisecond)
		all = s.take()
		// One window, since a second one would be too short; the state as often as it was asked for, or once for both.
		if told := states(all); len(rates(all)) != 1 || len(told) == 0 || len(told) > 2 || told[0] != events.LifeReady {
			t.Fatalf("at once: %+v", all)
		}
		if all[0].at-up > time.Millisecond {
			t.Errorf("only after %s", all[0].at-up)
		}
		s.wait(1100 * time.Millisecond)
		if n := len(rates(s.take())); n != 1 {
			t.Errorf("%d windows in the second after, want 1", n)
		}
	})
}

func TestTheLastWords(t *testing.T) {
	last := tell(t, func(t *testing.T, s *story) {
		s.reporter.SetState(events.LifeReady)
		s.load(2, 3*time.Second)
		if got := states(s.take()); len(got) != 2 || got[0] != events.LifeStarting || got[1] != events.LifeReady {
			t.Errorf("states %v, want starting, ready", got)
		}
		s.reporter.SetState(events.LifeDraining)
		s.wait(time.Millisecond)
		if got := states(s.take()); len(got) != 1 || got[0] != events.LifeDraining {
			t.Errorf("states at the drain: %v", got)
		}
		s.load(2, 2*time.Second)
		draining := rates(s.take())
		if len(draining) == 0 || !draining[0].Draining || draining[0].Offered == 0 {
			t.Errorf("windows while draining: %+v", draining)
		}
		s.wait(100 * time.Millisecond)
		s.request(5)
	})
	of := rates(last)
	if len(of) != 1 || of[0].Offered < 5 || !of[0].Draining {
		t.Errorf("the last window: %+v", of)
	}
	if got := states(last); len(got) != 1 || got[0] != events.LifeClosing {
		t.Errorf("the last state: %v", got)
	}
	if _, ok := last[len(last)-1].Body.(*events.Life); !ok {
		t.Errorf("something was said after the last state: %+v", last)
	}
}

func TestMissesAreReportedWithTheirWindow(t *testing.T) {
	tell(t, func(t *testing.T, s *story) {
		for range 300 {
			s.meter.Observe(httpcache.Outcome{Status: httpcache.StatusMiss, Key: "http://a/cold"})
			s.wait(10 * time.Millisecond)
		}
		s.wait(5 * time.Second)
		var misses, windows uint64
		for _, e := range s.take() {
			if miss, ok := e.Body.(*events.Miss); ok {
				misses += miss.Misses
				windows++
				if miss.Distinct != 1 || len(miss.TopMissing) != 1 || miss.TopMissing[0].Key != "http://a/cold" {
					t.Errorf("%+v", miss)
				}
			}
		}
		if misses != 300 || windows < 3 || windows > 4 {
			t.Errorf("%d misses in %d events, want 300 in 3 or 4", misses, windows)
		}
	})
}
