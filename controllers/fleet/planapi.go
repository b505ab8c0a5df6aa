package fleet

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/surgewall/surgewall/controllers/plan"
)

// PlanList is the answer to GET /v1/fleets/{fleet}/plans.
type PlanList struct {
	Plans []PlanStatus `json:"plans"`
}

// PlanStatus is a plan and how far it is.
type PlanStatus struct {
	plan.Plan
	State string  `json:"state"`              // "waiting", "ramp", "active" or "over"
	Share float64 `json:"share"`              // part of it in force, 0 to 1
	Base  float64 `json:"base_rps,omitempty"` // load that factor multiplies; absent before the ramp
	// Warning says why it will not do all that it asks for.
	Warning string `json:"warning,omitempty"`
}

// Plans returns the plans of a fleet by their beginning.
func (m *Manager) Plans(name string) ([]PlanStatus, bool) {
	f := m.fleet(name)
	if f == nil {
		return nil, false
	}
	now, lead := f.options.Now(), leadOf(f.options.Scaler.StartTime(name))
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []PlanStatus{}
	for _, p := range f.ahead.kept.Plans {
		out = append(out, f.planStatus(p, now, lead))
	}
	return out, true
}

// planStatus is called with the lock of the fleet held.
func (f *Fleet) planStatus(p plan.Plan, now time.Time, lead time.Duration) PlanStatus {
	o := p.Occurrence()
	s := PlanStatus{Plan: p, State: "waiting", Share: o.Share(now, lead)}
	s.Base, _ = f.ahead.base(plan.Key("plan", p.Name, p.At))
	switch {
	case !now.Before(o.End):
		s.State = "over"
	case s.Share == 1:
		s.State = "active"
	case s.Share > 0:
		s.State = "ramp"
	}
	if p.Floor > f.policy.MaxReplicas {
		s.Warning = "floor is more than max-replicas: at most max-replicas edges will be asked for"
	}
	return s
}

// maxPlanBody bounds the body of a request.
const maxPlanBody = 16 << 10

func (m *Manager) addPlan(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("fleet")
	f := m.fleet(name)
	if f == nil {
		noFleet(w, r)
		return
	}
	var p plan.Plan
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPlanBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		answer(w, http.StatusBadRequest, Problem{"the body is no plan: " + err.Error()})
		return
	}
	p.At, p.By = p.At.UTC().Truncate(time.Second), "http"
	if p.Name == "" {
		p.Name = "p" + p.At.Format("20060102-1504")
	}
	if err := m.AddPlan(r.Context(), name, p, false); err != nil {
		m.refusePlan(w, err, p.Check(m.options.Now()) != nil)
		return
	}
	f.mu.Lock()
	s := f.planStatus(p, m.options.Now(), leadOf(f.options.Scaler.StartTime(name)))
	f.mu.Unlock()
	answer(w, http.StatusCreated, s)
}

func (m *Manager) removePlan(w http.ResponseWriter, r *http.Request) {
	if m.fleet(r.PathValue("fleet")) == nil {
		noFleet(w, r)
		return
	}
	if err := m.RemovePlan(r.Context(), r.PathValue("fleet"), r.PathValue("plan"), "http"); err != nil {
		m.refusePlan(w, err, false)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (m *Manager) refusePlan(w http.ResponseWriter, err error, malformed bool) {
	code := http.StatusServiceUnavailable
	switch {
	case malformed:
		code = http.StatusBadRequest
	case errors.Is(err, plan.ErrUnknown):
		code = http.StatusNotFound
	case errors.Is(err, errTaken), errors.Is(err, plan.ErrFull):
		code = http.StatusConflict
	}
	answer(w, code, Problem{err.Error()})
}
