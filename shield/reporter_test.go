package shield

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/testleak"
)

func TestMain(m *testing.M) { os.Exit(testleak.Main(m)) }

func windowOf(fetches, failed, unanswered int, took time.Duration) sample {
	var h health
	for i := range fetches {
		switch {
		case i < unanswered:
			h.observe(took, nil, errors.New("refused"), false, false)
		case i < failed:
			h.observe(took, &http.Response{StatusCode: 502}, nil, false, false)
		default:
			h.observe(took, &http.Response{StatusCode: 200}, nil, false, false)
		}
	}
	return h.take()
}

func TestHowTheOriginLooks(t *testing.T) {
	for _, c := range []struct {
		say    string
		window sample
		want   events.OriginState
	}{
		{"fine", windowOf(100, 0, 0, 10*time.Millisecond), events.OriginHealthy},
		{"a few errors", windowOf(100, 10, 2, 10*time.Millisecond), events.OriginHealthy},
		{"half are errors", windowOf(100, 50, 0, 10*time.Millisecond), events.OriginFailing},
		{"no answer to most", windowOf(100, 99, 99, 10*time.Millisecond), events.OriginFailing},
		{"no answer at all", windowOf(100, 100, 100, 10*time.Millisecond), events.OriginDown},
		{"slow", windowOf(1000, 0, 0, 1200*time.Millisecond), events.OriginSlow},
	} {
		for _, before := range []events.OriginState{events.OriginHealthy, events.OriginDown} {
			if got := c.window.state(before); got != c.want {
				t.Errorf("%s, was %s: %s, want %s", c.say, before, got, c.want)
			}
		}
	}
	if got := (sample{}).state(events.OriginSlow); got != events.OriginSlow {
		t.Errorf("no fetches after slow: %s, want no change", got)
	}
}

type bus struct {
	t   *testing.T
	mu  sync.Mutex
	all []*events.Origin
	seq []uint64
}

func (b *bus) Publish(m events.Message) {
	e, err := events.Decode(m)
	if err != nil {
		b.t.Errorf("published what nobody accepts: %v", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, e.Body.(*events.Origin))
	b.seq = append(b.seq, e.Seq)
}

func (b *bus) take() []*events.Origin {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.all
	b.all = nil
	return all
}

func TestTheOriginIsReportedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{t: t}
		origin := NewOrigin(OriginOptions{URLs: base(t, "http://origin.example"), Transport: newGate()})
		r := NewReporter(ReporterOptions{
			Fleet: "shield", Pod: "shield-0", BootID: "abcdefgh", Origins: func() []Reported { return []Reported{{"origin.example", origin}} }, Publisher: b, Logger: zerolog.Nop(),
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(b.take()); n < 9 || n > 10 {
			t.Errorf("%d events in 10 s", n)
		}
		for range 4 {
			origin.health.observe(time.Millisecond, nil, errors.New("refused"), false, false)
		}
		r.Resume()
		synctest.Wait()
		got := b.take()
		if len(got) != 1 || got[0].State != events.OriginDown || got[0].Fetches != 4 || got[0].Errors != 4 || got[0].Site != "origin.example" {
			t.Errorf("at once: %+v", got)
		}
		time.Sleep(3 * time.Second)
		for _, e := range b.take() {
			if e.State != events.OriginDown || e.Fetches != 0 {
				t.Errorf("without news: %+v", e)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for i, seq := range b.seq {
			if seq != uint64(i+1) {
				t.Fatalf("sequence %v", b.seq)
			}
		}
	})
}

// TestEachOriginHasAStateOfItsOwn: one site's origin is down while the other's is fine, and the sequence counts every message once.
func TestEachOriginHasAStateOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{t: t}
		down, fine := NewOrigin(OriginOptions{Transport: newGate()}), NewOrigin(OriginOptions{Transport: newGate()})
		r := NewReporter(ReporterOptions{
			Fleet: "shield", Pod: "shield-0", BootID: "abcdefgh", Origins: func() []Reported { return []Reported{{"www", down}, {"shop", fine}} }, Publisher: b, Logger: zerolog.Nop(),
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		for range 3 {
			down.health.observe(0, nil, errors.New("refused"), false, false)
			fine.health.observe(time.Millisecond, &http.Response{StatusCode: 200}, nil, false, false)
		}
		r.Resume()
		synctest.Wait()
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		states := map[string]map[events.OriginState]int{"www": {}, "shop": {}}
		for _, e := range b.take() {
			states[e.Site][e.State]++
		}
		if n := states["www"][events.OriginDown]; n < 3 || n != states["shop"][events.OriginHealthy] || len(states["www"]) != 1 || len(states["shop"]) != 1 {
			t.Errorf("states %v", states)
		}
		for i, seq := range b.seq {
			if seq != uint64(i+1) {
				t.Fatalf("sequence %v", b.seq)
			}
		}
	})
}
