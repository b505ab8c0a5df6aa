package content

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/events"
)

// An edge that still follows a log which is gone is far ahead of the new one. That says nothing about the next update of this one.
func TestAnotherLogsOffsetIsNoLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.replica.Up()
		r.event(6, "a")
		r.cache.take()
		r.replica.Await(t.Context(), events.PositionOf("of the old log", 5000), time.Second)
		r.want("?")
		time.Sleep(time.Minute)
		began := time.Now()
		go func() {
			time.Sleep(20 * time.Millisecond)
			r.event(7, "b")
		}()
		r.replica.Await(t.Context(), events.PositionOf("b", 7), time.Second)
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("waited %v for the next update", took)
		}
		r.want("b")
		// And where it does not come, nothing is trusted, though an edge was further before.
		r.replica.Await(t.Context(), events.PositionOf("c", 8), time.Second)
		r.want("?")
	})
}

// Whoever makes positions up brings it about that everything is validated, but only once a second; and nobody's answer goes out before that
// has happened after its question.
func TestMadeUpPositionsCostOneDistrustASecond(t *testing.T) {
	for name, position := range map[string]func(n int) events.Position{
		"ahead":       func(n int) events.Position { return events.PositionOf(fmt.Sprint("x", n), 1<<40) },
		"another log": func(n int) events.Position { return events.PositionOf(fmt.Sprint("x", n), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				r.replica.Up()
				r.event(0, "a")
				r.cache.take()
				distrusts := func() int {
					r.replica.mu.Lock()
					defer r.replica.mu.Unlock()
					return r.replica.distrusts
				}
				first := distrusts()
				var asked sync.WaitGroup
				for n := range 1000 {
					asked.Go(func() {
						time.Sleep(time.Duration(n) * 10 * time.Millisecond)
						before := distrusts()
						r.replica.Await(t.Context(), position(n), 500*time.Millisecond)
						if distrusts() == before {
							t.Errorf("question %d is answered from what may have been purged", n)
						}
					})
				}
				asked.Wait()
				if got := distrusts() - first; got < 8 || got > 12 {
					t.Errorf("everything was distrusted %d times in 10 s", got)
				}
				r.replica.mu.Lock()
				defer r.replica.mu.Unlock()
				if kept := len(r.replica.doubted.known); kept != positionsKept || len(r.replica.doubted.order) != positionsKept {
					t.Errorf("%d positions are remembered", kept)
				}
			})
		})
	}
}

// An edge hears of two logs in turn: it distrusts for each once, and never waits.
func TestAnEdgeThatHearsOfOtherLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.replica.Up()
		r.event(0, "a")
		r.cache.take()
		for range 10 {
			r.replica.Heard("http://shield", events.PositionOf("x", 0))
			r.replica.Heard("http://shield", events.PositionOf("y", 0))
		}
		r.want("?")
		time.Sleep(doubtEvery)
		r.replica.Tick()
		r.want("?")
		for range 20 {
			r.replica.Heard("http://shield", events.PositionOf("x", 0))
			r.replica.Heard("http://shield", events.PositionOf("y", 0))
			time.Sleep(doubtEvery)
			r.replica.Tick()
		}
		r.want("")
	})
}
