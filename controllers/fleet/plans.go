package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/surgewall/surgewall/controllers/plan"
)

// PlanStore keeps the plans of all fleets, one text for each, so that they
// survive a restart. Errors are as those of Scaler.
type PlanStore interface {
	// Plans reads the texts by fleet, and the version that a write must name.
	Plans(ctx context.Context) (texts map[string]string, version string, err error)
	// SetPlans writes them if they still have this version; otherwise it fails with a conflict and changes nothing.
	SetPlans(ctx context.Context, version string, texts map[string]string) error
}

// errNoStore says that plans cannot be changed.
var errNoStore = errors.New("this controller keeps no plans")

// errTaken says that the fleet has another plan of that name.
var errTaken = errors.New("there is a plan of that name: remove it first, or choose another name")

// SetPlans takes the texts that are kept. One that cannot be read leaves the
// plans of its fleet as they were.
func (m *Manager) SetPlans(texts map[string]string) {
	m.mu.Lock()
	m.plans = maps.Clone(texts)
	m.settle()
	m.mu.Unlock()
	for _, f := range m.all() {
		f.setPlans(texts[f.name])
	}
}

func (f *Fleet) setPlans(text string) {
	d, err := plan.Parse(text)
	now := f.options.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.policy.notice = &notice{now, true, "PlansUnreadable", clip("the plans before stay in force: " + err.Error())}
		f.logger.Warn().Err(err).Msg("kept plans cannot be read, those before stay")
		return
	}
	f.ahead.setPlans(d)
	f.Poke()
}

// AddPlan keeps a plan. Its errors are those of Check, errTaken, plan.ErrFull,
// and those of the store.
func (m *Manager) AddPlan(ctx context.Context, fleet string, p plan.Plan, replace bool) error {
	if err := p.Check(m.options.Now()); err != nil {
		return err
	}
	err := m.change(ctx, fleet, func(d plan.Document) (plan.Document, error) {
		if _, taken := d.Find(p.Name); taken && !replace {
			return d, errTaken
		}
		return d.Add(p)
	})
	if err == nil {
		m.options.Logger.Info().Str("fleet", fleet).Str("plan", p.Name).Str("what", p.String()).Str("by", p.By).Msg("plan added")
		m.options.Recorder.OnPolicy(fleet, false, "PlanAdded", clip(p.Name+": "+p.String()))
	}
	return err
}

// RemovePlan drops a plan; plan.ErrUnknown where there is none of the name.
func (m *Manager) RemovePlan(ctx context.Context, fleet, name, by string) error {
	err := m.change(ctx, fleet, func(d plan.Document) (plan.Document, error) { return d.Remove(name) })
	if err == nil {
		m.options.Logger.Info().Str("fleet", fleet).Str("plan", name).Str("by", by).Msg("plan removed")
		m.options.Recorder.OnPolicy(fleet, false, "PlanRemoved", name)
	}
	return err
}

// change reads, edits and writes what is kept for a fleet, anew after each
// conflict.
func (m *Manager) change(ctx context.Context, fleet string, edit func(plan.Document) (plan.Document, error)) (err error) {
	store := m.options.Plans
	if store == nil {
		return errNoStore
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	for range 2 * attempts {
		texts, version, readErr := store.Plans(ctx)
		if readErr != nil {
			return fmt.Errorf("read the plans: %w", readErr)
		}
		before, parseErr := plan.Parse(texts[fleet])
		if parseErr != nil {
			return fmt.Errorf("what is kept for the fleet %s is damaged: %w", fleet, parseErr)
		}
		after, editErr := edit(before)
		if editErr != nil {
			return editErr
		}
		if texts == nil {
			texts = map[string]string{}
		}
		texts[fleet] = after.Prune(m.options.Now()).String()
		if err = store.SetPlans(ctx, version, texts); err == nil {
			m.SetPlans(texts) // the watch may lag behind the answer to who asked
			return nil
		}
		if !isConflict(err) {
			break
		}
	}
	return fmt.Errorf("keep the plans: %w", err)
}
