package rabbitmq

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/content"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// effects is a cache that notes what takes effect, and when it last had to distrust what it holds.
type effects struct {
	mu         sync.Mutex
	applied    map[string]int // times, by an update's only value
	distrusted time.Time
}

func (e *effects) Apply(c events.Content) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.applied == nil {
		e.applied = map[string]int{}
	}
	e.applied[c.Values[0]]++
	return nil
}

func (e *effects) Distrust() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.distrusted = time.Now()
}

func (e *effects) Bypass(bool) {}

// following runs a replica that applies the log to a cache, as edges and shields do.
func following(t testing.TB, o Options, cache content.Cache) *content.Replica {
	t.Helper()
	var stream *StreamConsumer
	replica := content.NewReplica(content.Options{Cache: cache, Resubscribe: func() { stream.Resubscribe() }})
	o.OnUp = replica.Up
	o.OnState = func(s State) {
		if s != StateUp {
			replica.Down()
		}
	}
	var err error
	stream, err = NewStreamConsumer(o, events.StreamContent, func() Start {
		offset, latest := replica.From()
		return Start{Latest: latest, Offset: offset}
	}, replica.Event)
	if err != nil {
		t.Fatal(err)
	}
	background(t, replica.Run)
	background(t, stream.Run)
	eventually(t, "the replica follows", 60*time.Second, replica.Live)
	return replica
}

// The broker is killed while updates are published. What was confirmed is in the stream, who resumes after the last event that it has gets each
// offset once, and at a replica each update takes effect, once.
func TestNothingConfirmedIsLost(t *testing.T) {
	b := broker.Get(t)
	vhost := b.VHost(t)
	b.Setup(t, vhost)
	b.Sync(t)
	c := confirmer(t, options(b, vhost))
	var l log
	reader := reading(t, options(b, vhost), &l)
	t.Cleanup(func() {
		if t.Failed() {
			explain(t, b, vhost, reader)
		}
	})
	var cache effects
	replica := following(t, options(b, vhost), &cache)
	n, kills := 200, 2
	if os.Getenv("SURGEWALL_FAULTS") == "full" {
		n, kills = 2000, 20
	}
	id := func(i int) string { return fmt.Sprint("u-", i) }
	const publishers = 8
	confirmed := make([]time.Time, n)
	var failed atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	for part := range publishers {
		wg.Go(func() {
			for i := part; i < n && !failed.Load(); i += publishers {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				err := c.Publish(ctx, update(t, id(i), events.ContentPurge))
				cancel()
				if confirmed[i] = time.Now(); err != nil {
					failed.Store(true)
					t.Errorf("%d: %v", i, err)
				}
				time.Sleep(10 * time.Millisecond) // a rate that lasts over the kills, no synchronization
			}
		})
	}
	for kill := range kills {
		before := c.Outcomes().Confirmed
		if !eventuallyOr(t, "some are confirmed", time.Minute, func() bool { return c.Outcomes().Confirmed > before+uint64(n/(kills+2)) }) {
			failed.Store(true)
			break
		}
		b.Restart(t)
		t.Logf("kill %d: %+v", kill+1, c.Outcomes())
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	eventually(t, "every confirmed update is in the stream", 2*time.Minute, func() bool {
		_, ids := l.read()
		slices.Sort(ids)
		for i := range n {
			if _, found := slices.BinarySearch(ids, id(i)); !found {
				return false
			}
		}
		return true
	})
	offsets, ids := l.read()
	for i, offset := range offsets {
		if offset != int64(i) {
			t.Fatalf("delivery %d has offset %d", i, offset)
		}
	}
	// A replica that could not know what it missed has distrusted what it holds: then the update needs no effect of its own.
	without := 0
	eventually(t, "every confirmed update takes effect", 2*time.Minute, func() bool {
		gaps := replica.Counters().Gaps // not under the cache's lock: the replica takes both the other way round
		cache.mu.Lock()
		defer cache.mu.Unlock()
		without = 0
		for i := range n {
			if cache.applied["http://www.example.com/"+id(i)] == 0 {
				if without++; gaps == 0 || cache.distrusted.Before(confirmed[i]) {
					return false
				}
			}
		}
		return true
	})
	counters := replica.Counters()
	cache.mu.Lock()
	defer cache.mu.Unlock()
	twice := 0
	for value, times := range cache.applied {
		if times != 1 {
			twice++
			t.Errorf("%s took effect %d times", value, times)
		}
	}
	t.Logf("%d kills under %d confirmed updates: 0 lost, %d took effect twice; the stream has %d events, %d of them a repetition, which the replica knew (%d); "+
		"%d gaps, %d updates made up for by distrust; %+v", kills, n, twice, len(ids), len(ids)-n, counters.Repeated, counters.Gaps, without, c.Outcomes())
}

// eventuallyOr is eventually for who has others to wait for before the test may end.
func eventuallyOr(t testing.TB, what string, limit time.Duration, holds func() bool) bool {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Since(start) > limit {
			t.Errorf("not within %v: %s", limit, what)
			return false
		}
	}
	return true
}

// explain prints what the broker knows of the log: a binding that is gone, or a stream that its routing has lost.
func explain(t testing.TB, b *testrabbit.Broker, vhost string, reader *StreamConsumer) {
	t.Helper()
	t.Logf("reader %s, absent %t", reader.State(), reader.Absent())
	t.Log(b.Ctl(t, "list_bindings", "-p", vhost, "source_name", "routing_key", "destination_name"))
	t.Log(b.Ctl(t, "list_queues", "-p", vhost, "name", "type", "state", "messages"))
	t.Log(b.Log())
}
