// Package fleet keeps each fleet at the replicas that its policy and its load
// ask for: four times a second, and at once when the load jumps, it reads, decides and
// applies.
//
// Every replica of the controller reads and decides, so that each is warm; only
// the leader writes, records and publishes. A decision never outlives its tick:
// what could not be written is not written later, but decided anew.
package fleet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/span"
)

// Options are what the fleets of one controller share. All but Now, Logger,
// Plans, Trace and Publisher are required.
type Options struct {
	Namespace  string
	Scaler     Scaler
	Signals    Signals
	Leadership Leadership
	Recorder   Recorder
	Plans      PlanStore      // nil: plans cannot be changed
	Publisher  Publisher      // nil: decisions are not published
	Sender     *ingest.Sender // numbers the published decisions
	Trace      span.Recorder  // nil: nobody collects spans
	Now        func() time.Time
	Logger     zerolog.Logger
}

// Manager runs one fleet for each policy. It is safe for concurrent use.
type Manager struct {
	options Options

	mu     sync.Mutex
	fleets map[string]*Fleet // guarded by mu
	plans  map[string]string // texts that are kept, by fleet; guarded by mu
	heard  []heardPlan       // from the bus, the oldest first; guarded by mu
	ctx    context.Context   // of Run; nil before and after it; guarded by mu
	group  sync.WaitGroup
	count  atomic.Int64 // of fleets
}

// NewManager returns a Manager without fleets.
func NewManager(o Options) *Manager {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Manager{options: o, fleets: map[string]*Fleet{}}
}

// SetPolicy takes the data of the policy ConfigMap of a fleet. A bad one is
// refused whole: the policy before it stays in force, or the safe defaults where
// there is none.
func (m *Manager) SetPolicy(name, resourceVersion string, data map[string]string) {
	m.mu.Lock()
	f := m.fleets[name]
	added := f == nil
	if added {
		f = newFleet(name, m.options, &m.count)
		m.count.Add(1)
		m.fleets[name] = f
	}
	m.mu.Unlock()
	f.setPolicy(resourceVersion, data)
	if !added {
		return
	}
	// Read and handed over under one lock: plans that come meanwhile come after.
	m.mu.Lock()
	f.setPlans(m.plans[name])
	m.mu.Unlock()
	m.start(f) // with its policy and its plans
}

// DeletePolicy takes note that the ConfigMap of a fleet is gone. Its last good
// policy stays in force: a deletion is no order to stop, mode is.
func (m *Manager) DeletePolicy(name string) {
	if f := m.fleet(name); f != nil {
		f.policyDeleted()
	}
}

func (m *Manager) start(f *Fleet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx == nil || f.started {
		return
	}
	f.started = true
	ctx := m.ctx
	m.group.Go(func() { f.Run(ctx) })
}

// Run runs every fleet until the context ends, and waits for their last ticks.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	all := slices.Collect(maps.Values(m.fleets))
	m.mu.Unlock()
	for _, f := range all {
		m.start(f)
	}
	m.group.Go(func() { m.keepPlans(ctx) })
	<-ctx.Done()
	m.mu.Lock()
	m.ctx = nil // no fleet is started from here on, or Wait would race with it
	m.mu.Unlock()
	m.group.Wait()
	return ctx.Err()
}

// Poke asks a fleet to decide now.
func (m *Manager) Poke(name string) {
	if f := m.fleet(name); f != nil {
		f.Poke()
	}
}

// PokeTarget asks every fleet whose target is this Deployment to decide now.
func (m *Manager) PokeTarget(deployment string) {
	for _, f := range m.all() {
		if f.target() == deployment {
			f.Poke()
		}
	}
}

// Heard takes a decision from the bus. Those of other replicas are kept, so that
// a standby answers with what the leader did.
func (m *Manager) Heard(replica string, d events.Decision) {
	if replica == m.options.Sender.Replica() {
		return
	}
	if f := m.fleet(d.Fleet); f != nil {
		f.heard(d)
	}
}

// TargetFound reports whether the Deployment of a fleet exists, as of its last
// tick. Where it does, the pods of the fleet are known.
func (m *Manager) TargetFound(name string) bool {
	f := m.fleet(name)
	return f != nil && f.targetFound()
}

func (m *Manager) fleet(name string) *Fleet {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fleets[name]
}

// all returns the fleets sorted by name.
func (m *Manager) all() []*Fleet {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Fleet, 0, len(m.fleets))
	for _, name := range slices.Sorted(maps.Keys(m.fleets)) {
		all = append(all, m.fleets[name])
	}
	return all
}
