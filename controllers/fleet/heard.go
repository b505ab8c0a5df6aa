package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/surgewall/surgewall/controllers/plan"
	"github.com/surgewall/surgewall/events"
)

// heardFor is how long a plan from the bus waits for a leader that can keep it:
// longer than it takes to replace one that crashed.
const heardFor = 30 * time.Second

// maxHeard bounds the plans that wait.
const maxHeard = 256

// heardPlan is a planned event from the bus that waits to be kept.
type heardPlan struct {
	at   time.Time
	by   string
	plan events.Plan
	err  error // of the latest attempt
}

// errNoFleet says that a plan is for a fleet that this controller does not have,
// or not yet.
var errNoFleet = errors.New("no policy ConfigMap names this fleet")

// HeardPlan takes a planned event from the bus; by is the broker's user who sent
// it. The leader keeps it; the others wait whether they become it.
func (m *Manager) HeardPlan(by string, p events.Plan) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.heard) >= maxHeard {
		m.options.Logger.Warn().Str("fleet", p.Fleet).Str("plan", p.Name).Msg("too many planned events wait, dropped one")
		return
	}
	m.heard = append(m.heard, heardPlan{at: m.options.Now(), by: by, plan: p})
	if !m.options.Leadership.Leading() {
		m.settle() // the leader may have been quicker than the bus
	}
}

// settle drops what waits and is kept by now, and whatever came for the same plan
// before it: the leader did it, and what somebody does to that plan from now on
// must not be undone by who leads next. It is called with the lock held.
func (m *Manager) settle() {
	if m.plans == nil {
		return // nothing is known of what is kept
	}
	done := map[[2]string]int{} // the last one that is kept, by fleet and plan
	documents := map[string]plan.Document{}
	for i, h := range m.heard {
		d, parsed := documents[h.plan.Fleet]
		if !parsed {
			var err error
			if d, err = plan.Parse(m.plans[h.plan.Fleet]); err != nil {
				continue
			}
			documents[h.plan.Fleet] = d
		}
		kept, found := d.Find(h.plan.Name)
		if h.plan.Action == events.PlanRemove && !found || h.plan.Action != events.PlanRemove && found && kept == plan.FromEvent(h.plan, h.by) {
			done[[2]string{h.plan.Fleet, h.plan.Name}] = i + 1
		}
	}
	i := 0
	m.heard = slices.DeleteFunc(m.heard, func(h heardPlan) bool {
		i++
		return i <= done[[2]string{h.plan.Fleet, h.plan.Name}]
	})
}

// keepPlans is the leader's hand on the store: plans from the bus, and the loads
// at which ramps began.
func (m *Manager) keepPlans(ctx context.Context) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.keepOnce(ctx)
		}
	}
}

func (m *Manager) keepOnce(ctx context.Context) {
	leading, now := m.options.Leadership.Leading(), m.options.Now()
	m.mu.Lock()
	fresh, old := m.heard, []heardPlan(nil)
	if i := slices.IndexFunc(fresh, func(h heardPlan) bool { return now.Sub(h.at) < heardFor }); i != 0 {
		if i < 0 {
			i = len(fresh)
		}
		old, fresh = fresh[:i], fresh[i:]
	}
	m.heard = fresh
	if leading {
		m.heard = nil
	}
	m.mu.Unlock()
	for _, h := range old {
		if h.err != nil { // who was no leader meanwhile leaves it to the one that was
			m.refuseHeard(h)
		}
	}
	if !leading {
		return
	}
	if waiting := m.keepHeard(ctx, fresh, now); len(waiting) > 0 {
		m.mu.Lock()
		m.heard = append(waiting, m.heard...)
		m.settle() // the answer of the API server may be what was lost
		m.mu.Unlock()
	}
	m.keepBases(ctx)
}

// keepHeard keeps what was heard, and returns what is to be tried again. After
// one that could not be kept those of the same fleet wait too: their order counts.
func (m *Manager) keepHeard(ctx context.Context, heard []heardPlan, now time.Time) (waiting []heardPlan) {
	failed := map[string]bool{}
	for _, h := range heard {
		if failed[h.plan.Fleet] {
			waiting = append(waiting, h)
			continue
		}
		h.err = m.keep(ctx, h)
		switch {
		case h.err == nil:
		case h.isFinal(now):
			m.refuseHeard(h)
		default:
			failed[h.plan.Fleet] = true
			waiting = append(waiting, h)
		}
	}
	return waiting
}

func (m *Manager) keep(ctx context.Context, h heardPlan) error {
	if m.fleet(h.plan.Fleet) == nil {
		return errNoFleet
	}
	if h.plan.Action == events.PlanRemove {
		return m.RemovePlan(ctx, h.plan.Fleet, h.plan.Name, h.by)
	}
	return m.AddPlan(ctx, h.plan.Fleet, plan.FromEvent(h.plan, h.by), true)
}

// isFinal reports whether another attempt can end in nothing else.
func (h heardPlan) isFinal(now time.Time) bool {
	if errors.Is(h.err, plan.ErrUnknown) || errors.Is(h.err, plan.ErrFull) || errors.Is(h.err, errNoStore) {
		return true
	}
	return h.plan.Action != events.PlanRemove && plan.FromEvent(h.plan, h.by).Check(now) != nil
}

func (m *Manager) refuseHeard(h heardPlan) {
	m.options.Logger.Warn().Err(h.err).Str("fleet", h.plan.Fleet).Str("plan", h.plan.Name).Str("by", h.by).Msg("planned event refused")
	if m.fleet(h.plan.Fleet) != nil { // an Event needs something to show it on
		m.options.Recorder.OnPolicy(h.plan.Fleet, true, "PlanRefused", clip(h.plan.Name+": "+h.err.Error()))
	}
}

func (m *Manager) keepBases(ctx context.Context) {
	for _, f := range m.all() {
		f.mu.Lock()
		unkept := f.ahead.unkept()
		f.mu.Unlock()
		if len(unkept) == 0 {
			continue
		}
		err := m.change(ctx, f.name, func(d plan.Document) (plan.Document, error) { return d.WithBases(unkept), nil })
		if err != nil && !errors.Is(err, errNoStore) {
			m.options.Logger.Debug().Err(err).Str("fleet", f.name).Msg("the loads at which ramps began are not kept yet")
		}
	}
}
