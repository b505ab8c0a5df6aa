package shield

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

// Publisher sends messages. Publish never waits and never fails: what cannot be sent is dropped and counted there.
type Publisher interface{ Publish(events.Message) }

// ReporterOptions say who reports what to whom.
type ReporterOptions struct {
	Fleet, Pod string            // name of the tier, and of this shield in it
	BootID     string            // drawn anew by each process
	Origins    func() []Reported // at present; called once a second
	Publisher  Publisher
	Logger     zerolog.Logger
}

// Reported is one origin and the name of its site in events: DNS labels with dots between.
type Reported struct {
	Site   string
	Origin *Origin
}

// Reporter publishes once a second how the origins look from here.
type Reporter struct {
	o      ReporterOptions
	resume chan struct{}
	// Of Run alone.
	states map[string]events.OriginState // by site
	seq    uint64
}

// NewReporter returns a Reporter.
func NewReporter(o ReporterOptions) *Reporter {
	return &Reporter{o: o, resume: make(chan struct{}, 1), states: map[string]events.OriginState{}}
}

// Resume publishes at once. It is called when a session with the broker is up.
func (r *Reporter) Resume() {
	select {
	case r.resume <- struct{}{}:
	default:
	}
}

// Run reports until the context ends, and returns nil. It is called once.
func (r *Reporter) Run(ctx context.Context) error {
	const period = time.Second
	began := time.Now()
	// A first window of its own length for each shield spreads their messages over the second.
	ticker := time.NewTicker(period/4 + rand.N(period))
	defer ticker.Stop()
	for first := true; ; first = false {
		select {
		case <-ticker.C:
		case <-r.resume:
		case <-ctx.Done():
			return nil
		}
		if first {
			ticker.Reset(period)
		}
		now := time.Now()
		origins := r.o.Origins()
		for _, each := range origins {
			r.report(each.Site, each.Origin, now, now.Sub(began))
		}
		maps.DeleteFunc(r.states, func(site string, _ events.OriginState) bool {
			return !slices.ContainsFunc(origins, func(each Reported) bool { return each.Site == site })
		})
		began = now
	}
}

// report ends the window of one origin and publishes it.
func (r *Reporter) report(site string, origin *Origin, now time.Time, length time.Duration) {
	before, known := r.states[site]
	if !known {
		before = events.OriginHealthy
	}
	window := origin.health.take()
	state := window.state(before)
	if state != before {
		r.o.Logger.Warn().Str("site", site).Str("before", string(before)).Str("now", string(state)).Msg("origin changed")
	}
	r.states[site] = state
	r.seq++
	message, err := events.EncodeOrigin(events.Attributes{
		Source: events.Source(r.o.Fleet, r.o.Pod), Time: now, BootID: r.o.BootID, Seq: r.seq,
	}, events.Origin{
		Site: site, State: state, WindowMS: min(max(length.Milliseconds(), 1), events.MaxWindowMS),
		Fetches: window.fetches, Errors: window.failed, InFlight: uint64(origin.InFlight()),
		LatencyMS: float64(window.median()) / float64(time.Millisecond),
	})
	if err != nil {
		r.o.Logger.Error().Err(err).Str("site", site).Msg("event cannot be encoded")
		return
	}
	r.o.Publisher.Publish(message)
}
