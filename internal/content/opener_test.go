package content

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

// echo is a log in the form of a publisher: what is published comes to its reader, once it is open.
type echo struct {
	mu     sync.Mutex
	reader *Replica
	offset int64
	deaf   bool
	last   events.Message
	n      int
}

func (e *echo) Publish(m events.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n++; !e.deaf {
		e.reader.Event(e.offset, m)
		e.last, e.offset = m, e.offset+1
	}
}

func (e *echo) published() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.n
}

// An empty log gets an event, so that who loses its connection before the first purge can resume, and distrusts nothing.
func TestAnEmptyLogIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		log := &echo{reader: r.replica, deaf: true}
		var seq uint64
		opener := Opener{Replica: r.replica, Publisher: log, Logger: zerolog.Nop(), Attributes: func(time.Time) events.Attributes {
			seq++
			return events.Attributes{Source: "/controller/c-0", BootID: "0123456789abcdef", Seq: seq}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = opener.Run(ctx) })
		defer running.Wait()
		defer cancel()
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		wait(time.Minute)
		if n := log.published(); n != 0 {
			t.Errorf("%d events without a subscription", n)
		}
		r.replica.Up()
		wait(openAfter - time.Second)
		if n := log.published(); n != 0 {
			t.Errorf("%d events before the log counts as empty", n)
		}
		wait(10 * time.Second)
		if n := log.published(); n < 1 || n > 3 {
			t.Errorf("%d events at a broker that loses them", n)
		}
		log.mu.Lock()
		log.deaf = false
		log.mu.Unlock()
		wait(10 * time.Second)
		n := log.published()
		wait(time.Minute)
		if !r.replica.Position().Known() || log.published() != n {
			t.Errorf("position %v, %d events more", r.replica.Position(), log.published()-n)
		}
		r.want("? " + nowhere)
		// What it is for: the connection is lost, and nothing that is stored is doubted.
		r.replica.Down()
		if _, latest := r.replica.From(); latest {
			t.Error("there is no position to resume at")
		}
		r.replica.Up()
		r.replica.Event(0, log.last)
		r.want("")
		if !r.replica.Live() || r.replica.Counters().Gaps != 0 {
			t.Errorf("live %v, %+v", r.replica.Live(), r.replica.Counters())
		}
	})
}
