package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/surgewall/surgewall/edge"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/hack/bench/rig"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/rabbitmq"
)

// counted counts what is published.
type counted struct {
	*rabbitmq.Publisher
	messages, bytes *atomic.Int64
}

// Publish counts and sends.
func (c counted) Publish(m events.Message) {
	c.messages.Add(1)
	c.bytes.Add(int64(len(m.Body)))
	c.Publisher.Publish(m)
}

// crowd is all edges and those who ask them. What the edges say is what the
// edge's own reporter says: of what they are asked for, in windows of their own
// phase, with sketches of latencies and keys, early where a count jumps.
type crowd struct {
	publishers      []*rabbitmq.Publisher
	messages, bytes atomic.Int64
	running         errgroup.Group
}

func (c *crowd) dropped() (n uint64) {
	for _, p := range c.publishers {
		n += p.Dropped()
	}
	return n
}

func (o options) speak(ctx context.Context, r *rig.Rig) (*crowd, error) {
	c := new(crowd)
	var names []string
	for i := range o.fleets {
		names = append(names, fleetName(i))
	}
	r.Users(names...)
	perFleet := max(1, o.connections/o.fleets)
	for i, name := range names {
		var own []counted
		for range perFleet {
			p, stop, err := r.Publisher(name)
			if err != nil {
				return c, err
			}
			c.publishers = append(c.publishers, p)
			own = append(own, counted{p, &c.messages, &c.bytes})
			c.running.Go(func() error {
				<-ctx.Done()
				stop()
				return nil
			})
		}
		var edges []asked
		for j := range o.size(i) {
			meter := edge.NewMeter()
			reporter := edge.NewReporter(edge.ReporterOptions{
				Fleet: name, Pod: rig.Pod(name, j), BootID: fmt.Sprintf("boot-%08x", rand.Uint32()), Meter: meter,
				Publisher: own[j%len(own)], Capacity: events.Capacity{CPU: 2, Connections: 10_000}, Logger: zerolog.Nop(),
			})
			reporter.SetState(events.LifeReady)
			edges = append(edges, asked{meter, meter.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))})
			c.running.Go(func() error { return reporter.Run(ctx) })
		}
		c.running.Go(func() error { return o.ask(ctx, edges) })
	}
	return c, nil
}

// asked is one edge for those who ask.
type asked struct {
	meter   *edge.Meter
	handler http.Handler
}

// ask lets requests arrive, independent of each other, each at a random edge: most
// for a few objects that every edge has, the others for the long tail.
func (o options) ask(ctx context.Context, edges []asked) error {
	const beat = 10 * time.Millisecond
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // no secret
	popular := rand.NewZipf(random, 1.2, 10, 5000)
	keys := make([]string, 5001)
	for i := range keys {
		keys[i] = fmt.Sprintf("http://media.example.org/live/channel-%d/1080p/segment-%06d.ts", i%50, i)
	}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	mean := o.rps * float64(len(edges))
	for next := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			next = maxTime(next, now.Add(-50*beat)) // a machine that stood still makes no crowd
			for next.Before(now) {
				next = next.Add(time.Duration(random.ExpFloat64() / mean * float64(time.Second)))
				e := edges[random.IntN(len(edges))]
				e.handler.ServeHTTP(nil, nil)
				x := httpcache.Outcome{
					Status: httpcache.StatusHit, Method: http.MethodGet, Code: http.StatusOK, BytesOut: 190_000,
					Key: keys[popular.Uint64()], TTFB: time.Duration(float64(time.Millisecond) * math.Exp(random.NormFloat64()/2)),
				}
				if random.Float64() < o.misses {
					x.Status, x.Key = httpcache.StatusMiss, fmt.Sprintf("http://media.example.org/vod/film-%06d/segment-%06d.ts", random.IntN(1e6), random.IntN(1000))
					x.TTFB += time.Duration(40 * random.ExpFloat64() * float64(time.Millisecond))
				}
				e.meter.Observe(x)
			}
		}
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
