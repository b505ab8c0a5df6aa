// Package content keeps one replica, an edge or a shield, in step with the log of content updates, and keeps it honest where it cannot be:
// what it may have missed makes everything older unfit to be served without validation.
//
// A replica follows the broker's stream. It remembers its position, resumes at the event that it applied last, and goes on only if that is
// still the event it was: otherwise a log was truncated, or deleted and made anew, and nobody knows what is missing. Then the
// replica distrusts what it holds; it never drops it, since that would send every request to the origin at once. Where the broker's path is dead,
// positions in HTTP headers show the lag and the missing range is pulled over HTTP; see http.go.
package content

import (
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
)

// Cache is what content updates are applied to. Its methods are called one at a time and must be quick.
type Cache interface {
	// Apply purges what the event names.
	Apply(events.Content) error
	// Distrust makes everything that is stored now, or whose fetch has begun, be validated before its next use.
	Distrust()
	// Bypass makes requests pass the cache by, or ends that.
	Bypass(on bool)
}

// Policy says how requests are answered by a replica that has lost touch with the log.
type Policy string

// The policies.
const (
	// Serve goes on as if nothing were missed, until it is back in touch and knows.
	Serve Policy = "serve"
	// Revalidate lets nothing be used that was not validated within the last few seconds.
	Revalidate Policy = "revalidate"
	// Bypass forwards every request.
	Bypass Policy = "bypass"
)

const (
	// verifyWithin is how long the event that was applied last may take to come again after a subscription. A stream that is shorter
	// than it was says nothing at all; a broker that has just come back may be slow to open its files, and is not to be taken for one that forgot.
	verifyWithin = 3 * time.Second
	// unsureFor bounds the wait for the subscription that follows when the log has turned out to be another one.
	unsureFor = 300 * time.Millisecond
	// distrustEvery bounds what Revalidate lets pass.
	distrustEvery = 5 * time.Second
	// doubtEvery bounds how often what others say of their position makes this replica distrust all that it has stored.
	doubtEvery = time.Second
	// pollEvery is how often a replica without the broker asks others how far they are.
	pollEvery = 5 * time.Second
)

// Options configure a Replica.
type Options struct {
	Cache Cache
	// Policy rules when the log was out of reach for DisconnectedAfter. Defaults: Revalidate, 30 s.
	Policy            Policy
	DisconnectedAfter time.Duration
	// Resubscribe makes the stream's consumer begin anew, soon. Optional without a broker.
	Resubscribe func()
	// Sources are base URLs of replicas, such as http://10.0.0.7:8081, that are asked when the broker's path is dead. Optional.
	Sources func() []string
	// Transport asks the sources. Optional.
	Transport http.RoundTripper
	// NoLog reports that the broker has no log at all. While that was never otherwise, nothing can have been missed. Optional.
	NoLog func() bool
	// OnApplied is told each event that was applied, with its position. Optional; it must not call back.
	OnApplied func(events.Event, events.Position)
	// OnPosition is told each position that is reached, before OnApplied, and the zero one when it is given up. Optional; it must not call back.
	OnPosition func(events.Position)
	// Now is the clock; nil is time.Now.
	Now    func() time.Time
	Logger zerolog.Logger
}

// Replica follows the log. It is safe for concurrent use.
type Replica struct {
	o       Options
	pulls   chan string
	changed chan struct{} // a token after each change that others should hear of

	mu       sync.Mutex
	log      log
	position events.Position
	moved    chan struct{} // closed and replaced when position or distrusts change
	// up is true while there is a subscription, verified once it is known to continue our log. verifyBy bounds the time between.
	up, verified, wasUp bool
	verifyBy            time.Time
	// contact is when the log was last known to be followed to its end.
	contact time.Time
	polled  time.Time
	lost    bool // disconnected for longer than the policy bears
	// unsure is by when what is stored is distrusted at the latest, where the log is known to be another one and the subscription to it is about
	// to distrust anyway: twice within a moment would ask the origin twice for each object. Zero: nothing of that kind.
	unsure     time.Time
	distrusted time.Time
	distrusts  int // so far
	// doubted are positions of others for which we distrusted, the last time at doubtedAt; doubtful is one for which that is still to come.
	doubted   positions
	doubtedAt time.Time
	doubtful  events.Position
	counters  Counters
}

// Counters tell what happened so far.
type Counters struct {
	// Applied updates; Repeated ones had an id that was known with the same body; Refused ones were outside of the contract.
	Applied, Repeated, Refused uint64
	// Gaps counts the times that nobody could know what was missed, Pulls the ranges that came over HTTP, PullErrors those that did not.
	Gaps, Pulls, PullErrors uint64
}

// NewReplica returns a replica that has seen nothing.
func NewReplica(o Options) *Replica {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Policy == "" {
		o.Policy = Revalidate
	}
	if o.DisconnectedAfter == 0 {
		o.DisconnectedAfter = 30 * time.Second
	}
	if o.Resubscribe == nil {
		o.Resubscribe = func() {}
	}
	if o.OnPosition == nil {
		o.OnPosition = func(events.Position) {}
	}
	return &Replica{o: o, log: newLog(), pulls: make(chan string, 1), changed: make(chan struct{}, 1), moved: make(chan struct{}), contact: o.Now()}
}

// From says where a subscription is to begin: at the event that was applied last, which comes again and so proves that the log is the same; or,
// without one, at the latest.
func (r *Replica) From() (offset int64, latest bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position.Offset, !r.position.Known()
}

// Up says that there is a subscription, from the place that From named. What comes from now on is complete.
func (r *Replica) Up() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up, r.verified = true, !r.position.Known()
	r.verifyBy = r.o.Now().Add(verifyWithin)
	if r.verified {
		// Whatever was stored before the subscription may have been purged before it.
		if r.wasUp && r.unsure.IsZero() {
			r.counters.Gaps++
		}
		r.distrust("subscribed without a position")
		r.touch()
	}
	r.wasUp = true
	r.tell()
}

// Down says that the subscription is gone.
func (r *Replica) Down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.up {
		if r.verified {
			r.contact = r.o.Now()
		}
		r.up, r.verified = false, false
		r.tell()
	}
}

// Event takes one event of the subscription.
func (r *Replica) Event(offset int64, m events.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := Entry{offset, m}
	if r.up && !r.verified {
		r.verified = true
		r.touch()
		if at, ok := r.log.at(offset); !ok || at != e.position() {
			r.gap("the log does not continue where it was left")
		}
	}
	r.take(e)
}

// take applies an entry if it is the next one, and finds out what is missing if it is not.
func (r *Replica) take(e Entry) {
	known := r.position.Known()
	switch {
	case known && e.Offset <= r.position.Offset:
		switch at, ok := r.log.at(e.Offset); {
		case ok && at == e.position():
			return // a range that was pulled came first, or the event that proves the log
		case ok:
			r.gap("an event that was applied is another one now")
		default:
			// Our place is one that another replica showed, whose log may be gone. The subscription has all that came since it began, and what was
			// stored before it is not trusted: so it tells where we are.
			r.log.restart(events.Position{})
		}
	case known && e.Offset > r.position.Offset+1:
		r.gap("events are missing")
	}
	r.apply(e)
}

func (r *Replica) apply(e Entry) {
	r.log.add(e)
	r.position = e.position()
	r.o.OnPosition(r.position)
	r.wake()
	defer r.tell()
	event, err := events.Decode(e.Message)
	body, ok := event.Body.(*events.Content)
	if err != nil || !ok || body.Action == events.ContentPrefetch {
		r.counters.Refused++
		r.o.Logger.Warn().Err(err).Int64("offset", e.Offset).Msg("content update refused")
		return
	}
	// The publisher may repeat what it knows no answer for. An id that comes with something else to do was used by who did not know of the first one, and
	// has been promised to its caller as well.
	if !r.log.first(event.ID, e.Message.Body, e.Offset) {
		r.counters.Repeated++
		return
	}
	if err := r.o.Cache.Apply(*body); err != nil {
		// Whatever it meant: nothing that it may have meant is served without a question.
		r.counters.Refused++
		r.o.Logger.Warn().Err(err).Str("id", event.ID).Int64("offset", e.Offset).Msg("content update cannot be applied")
		r.distrust("an update cannot be applied")
		return
	}
	r.counters.Applied++
	r.o.Logger.Info().Str("id", event.ID).Int64("offset", e.Offset).Str("action", string(body.Action)).Str("scope", string(body.Scope)).
		Int("values", len(body.Values)).Str("principal", body.Principal).Msg("content update applied")
	if r.o.OnApplied != nil {
		r.o.OnApplied(event, r.position)
	}
}

// gap is for when nobody can know what was missed: the position is given up, and nothing that is stored is trusted.
func (r *Replica) gap(why string) {
	r.giveUp()
	r.distrust(why)
}

// giveUp forgets the position of a log that is not followed any more. Who shows that very position is not ahead of us: we had applied it too.
func (r *Replica) giveUp() {
	r.counters.Gaps++
	if r.position.Known() {
		r.doubted.add(r.position)
	}
	r.position = events.Position{}
	r.o.OnPosition(r.position)
	r.log.restart(events.Position{})
}

func (r *Replica) distrust(why string) {
	r.distrusted, r.unsure = r.o.Now(), time.Time{}
	r.distrusts++
	r.wake()
	r.o.Cache.Distrust()
	r.o.Logger.Debug().Str("why", why).Msg("what is stored is validated before its next use")
}

// touch notes that the log is followed to its end.
func (r *Replica) touch() {
	r.contact = r.o.Now()
	if r.lost {
		r.lost = false
		// Until now nothing was sure; from now on updates come again.
		r.distrust("back in touch with the log")
		r.o.Cache.Bypass(false)
		r.o.Logger.Info().Msg("back in touch with the log of content updates")
	}
}

// Tick looks at the time; Run calls it a few times a second.
func (r *Replica) Tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Now()
	if r.doubtful.Known() && r.doubtAfter() <= 0 {
		r.doubt(r.doubtful, "another replica follows another log")
		r.doubtful = events.Position{}
	}
	if !r.unsure.IsZero() && !now.Before(r.unsure) {
		r.distrust("there is no subscription to another log")
	}
	switch {
	case r.up && !r.verified:
		if now.After(r.verifyBy) {
			r.o.Logger.Debug().Msg("the log ends before the event that was applied last")
			r.giveUp()
			r.unsure = now.Add(unsureFor)
			r.up = false
			r.o.Resubscribe()
		}
		return
	case r.up:
		r.contact = now
		return
	}
	if !r.wasUp && !r.position.Known() && r.o.NoLog != nil && r.o.NoLog() {
		r.contact = now
		return
	}
	if now.Sub(r.polled) >= pollEvery && now.Sub(r.contact) >= pollEvery && r.o.Sources != nil {
		r.polled = now
		if sources := r.o.Sources(); len(sources) > 0 {
			r.ask(sources[int(now.UnixNano()/int64(pollEvery))%len(sources)])
		}
	}
	if now.Sub(r.contact) < r.o.DisconnectedAfter || r.o.Policy == Serve {
		return
	}
	if !r.lost {
		r.lost = true
		r.o.Logger.Warn().Str("policy", string(r.o.Policy)).Dur("for", now.Sub(r.contact)).Msg("out of touch with the log of content updates")
		r.o.Cache.Bypass(r.o.Policy == Bypass)
		r.distrust("out of touch with the log")
	} else if now.Sub(r.distrusted) >= distrustEvery {
		r.distrust("out of touch with the log")
	}
}

// ask has Run pull from a base URL, unless a pull waits already.
func (r *Replica) ask(base string) {
	select {
	case r.pulls <- base:
	default:
	}
}

// wake has those look again that wait for a position.
func (r *Replica) wake() {
	close(r.moved)
	r.moved = make(chan struct{})
}

func (r *Replica) tell() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Position is how far the log was applied.
func (r *Replica) Position() events.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position
}

// Live reports whether the log is followed: by the broker, or until lately over HTTP.
func (r *Replica) Live() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live()
}

func (r *Replica) live() bool {
	return r.up && r.verified || !r.up && r.wasHeard()
}

// wasHeard is true for a while after a contact over HTTP.
func (r *Replica) wasHeard() bool {
	return r.position.Known() && r.o.Now().Sub(r.contact) < 2*pollEvery
}

// Counters tell what happened so far.
func (r *Replica) Counters() Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counters
}

// Offset returns where the update with an id was seen first with its latest body, if that is remembered.
func (r *Replica) Offset(id string) (int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.log.find(id)
	return s.offset, ok
}
