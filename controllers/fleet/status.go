package fleet

import (
	"slices"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

// Status is the state of a fleet, as the HTTP API shows it.
type Status struct {
	Fleet      string      `json:"fleet"`
	Namespace  string      `json:"namespace"`
	Target     string      `json:"target"`
	Mode       string      `json:"mode"`
	Leader     string      `json:"leader"`
	Replica    string      `json:"replica"` // the one that answers
	IsLeader   bool        `json:"is_leader"`
	Policy     Policy      `json:"policy"`
	Signal     Signal      `json:"signal"`
	Load       Load        `json:"load"`
	Latency    *Latency    `json:"latency,omitempty"`  // absent while no Ready edge has served anything
	Capacity   *Capacity   `json:"capacity,omitempty"` // absent while no Ready edge says any
	Replicas   Replicas    `json:"replicas"`
	Writes     Writes      `json:"writes"`
	Forecast   *Forecast   `json:"forecast,omitempty"`    // absent while the policy says off
	Decision   *Record     `json:"decision,omitempty"`    // of the latest tick of the replica that answers
	LastChange *Record     `json:"last_change,omitempty"` // the latest one that was written
	Conditions []Condition `json:"conditions"`
}

// Policy is the policy in force.
type Policy struct {
	ResourceVersion string            `json:"resource_version"`
	AcceptedAt      time.Time         `json:"accepted_at,omitzero"`
	Values          map[string]string `json:"values"`
	Error           string            `json:"error"`              // of the ConfigMap that was refused; one line or empty
	Problems        []string          `json:"problems,omitempty"` // one line for each reason
}

// Signal says how far the load can be trusted.
type Signal struct {
	State      string            `json:"state"`
	Known      int               `json:"known"`
	Live       int               `json:"live"`
	Silent     []string          `json:"silent,omitempty"`
	LostEvents uint64            `json:"lost_events"`
	Dropped    map[string]uint64 `json:"dropped"`
}

// Latency is the time to first byte over all Ready edges, from the latest report
// of each, in milliseconds.
type Latency struct {
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
}

// Capacity is what the Ready edges say together that they can do.
type Capacity struct {
	CPU         float64 `json:"cpu,omitempty"`         // processors
	Connections uint64  `json:"connections,omitempty"` // of clients
	MaxRPS      float64 `json:"max_rps,omitempty"`     // requests per second that they were seen to serve well
}

// Replicas are the numbers of edges.
type Replicas struct {
	Desired int `json:"desired"` // by the latest decision, with its limits
	Spec    int `json:"spec"`    // asked for
	Ready   int `json:"ready"`
}

// Forecast is what is expected, and how good it was to expect it.
type Forecast struct {
	Mode          string  `json:"mode"`           // shadow or auto
	DemandRPS     float64 `json:"demand_rps"`     // most until the end of the next five minutes; 0: nothing is known
	Method        string  `json:"method"`         // daily, weekly or ramp
	Skill         float64 `json:"skill"`          // part of the error of persistence that it avoids; below 0 it is worse
	Cost          float64 `json:"cost"`           // edges that it would have added, as a part of those that ran
	ScoredSeconds float64 `json:"scored_seconds"` // time that the score covers
	Promoted      bool    `json:"promoted"`       // the score is good enough to keep edges by
}

func (f *Fleet) outlook() *Forecast {
	if f.policy.Forecast == policy.ForecastOff {
		return nil
	}
	o := f.forecast.Outlook()
	return &Forecast{
		Mode: string(f.policy.Forecast), DemandRPS: o.Demand, Method: o.By.String(), Skill: o.Skill, Cost: o.Cost,
		ScoredSeconds: o.Scored.Seconds(), Promoted: o.Promoted && o.Cost <= f.policy.ForecastBudget,
	}
}

// Writes counts the scale writes of the replica that answers.
type Writes struct {
	Accepted uint64 `json:"accepted"`
	Failed   uint64 `json:"failed"`
}

// Status returns the state of a fleet.
func (m *Manager) Status(name string) (Status, bool) {
	f := m.fleet(name)
	if f == nil {
		return Status{}, false
	}
	s := f.status()
	if s.Decision != nil && s.Decision.Counterfactuals == nil {
		s.Decision.Counterfactuals = f.wouldChange()
	}
	return s, true
}

// wouldChange asks again about the latest decision: who reads the state of one
// fleet wants to know, and a list of all is read too often for it.
func (f *Fleet) wouldChange() []Counterfactual {
	f.mu.Lock()
	q, at := f.view.asked, f.view.decision.At
	f.mu.Unlock()
	return counterfactuals(autoscale.Counterfactuals(q.policy, q.load, q.prior, at))
}

// Statuses returns the state of every fleet, sorted by name.
func (m *Manager) Statuses() []Status {
	out := []Status{}
	for _, f := range m.all() {
		out = append(out, f.status())
	}
	return out
}

// Decisions returns the decisions of a fleet after t, the newest last.
func (m *Manager) Decisions(name string, t time.Time) ([]Record, bool) {
	f := m.fleet(name)
	if f == nil {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ring.since(t), true
}

func (f *Fleet) status() Status {
	leadership := f.options.Leadership
	s := Status{
		Fleet: f.name, Namespace: f.options.Namespace,
		Leader: leadership.Leader(), Replica: leadership.Identity(), IsLeader: leadership.Leading(),
	}
	f.mu.Lock()
	clamp := f.policy.EdgeClamp()
	f.mu.Unlock()
	p50, p99 := f.options.Signals.Latency(f.name, clamp)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Target, s.Mode = f.policy.TargetDeployment, string(f.policy.Mode)
	s.Policy = Policy{
		ResourceVersion: f.policy.resourceVersion, AcceptedAt: f.policy.at,
		Values: f.policy.Values(), Error: f.policy.problem, Problems: f.policy.lines,
	}
	s.Signal, s.Writes = signal(f.view.reading), f.writes
	s.Conditions, s.Forecast = slices.Clone(f.conds), f.outlook()
	if p99 > 0 {
		s.Latency = &Latency{P50MS: milliseconds(p50), P99MS: milliseconds(p99)}
	}
	if c := f.view.reading.Capacity; c != (events.Capacity{}) {
		s.Capacity = &Capacity{CPU: c.CPU, Connections: c.Connections, MaxRPS: c.MaxRPS}
	}
	if f.view.decided {
		d := f.view.decision
		s.Decision, s.Load = &d, d.Load
		s.Replicas = Replicas{Desired: d.To, Spec: d.From, Ready: f.view.ready}
		if d.Written {
			s.Replicas.Spec = d.To
		}
	}
	if !f.lastChange.At.IsZero() {
		last := f.lastChange
		s.LastChange = &last
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func signal(r ingest.Reading) Signal {
	s := Signal{
		State: string(r.Signal), Known: r.Known, Live: r.Live, Silent: r.Silent,
		LostEvents: r.LostEvents, Dropped: make(map[string]uint64, len(r.Dropped)),
	}
	if s.State == "" {
		s.State = "BLIND" // no tick yet
	}
	for reason, n := range r.Dropped {
		s.Dropped[string(reason)] = n
	}
	return s
}
