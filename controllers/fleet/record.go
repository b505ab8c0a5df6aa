package fleet

import (
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

// Record is one decision and what became of it, as the HTTP API shows it.
type Record struct {
	At      time.Time `json:"at"`
	Fleet   string    `json:"fleet"`
	From    int       `json:"from"`    // replicas that were asked for
	To      int       `json:"to"`      // replicas to ask for
	Desired int       `json:"desired"` // replicas that the load needs within min-replicas and max-replicas
	Mode    string    `json:"mode"`
	Path    string    `json:"path"`
	Reason  string    `json:"reason"`
	Limits  []string  `json:"limits"`
	Load    Load      `json:"load"`
	Cause   string    `json:"cause,omitempty"` // why the fleet is busier than it was: audience, scan, slow-origin or edge-loss
	// Counterfactuals say what another value of one key would have decided; they
	// are there for decisions that were told, and for the latest one.
	Counterfactuals []Counterfactual `json:"counterfactuals,omitempty"`
	// Inputs are what the decision was made from; absent in one that came from the bus.
	Inputs    *Inputs   `json:"inputs,omitempty"`
	Written   bool      `json:"written"`
	WrittenAt time.Time `json:"written_at,omitzero"`
	Error     string    `json:"error,omitempty"`
}

// Load is the load behind a decision.
type Load struct {
	OfferedRPS float64 `json:"offered_rps"`
	FastRPS    float64 `json:"fast_rps"`
	HitRatio   float64 `json:"hit_ratio"`
}

// Counterfactual is what another value of one key would have decided.
type Counterfactual struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	To    int    `json:"to"`
	Text  string `json:"text"` // in words
}

func counterfactuals(all []autoscale.Counterfactual) (out []Counterfactual) {
	for _, c := range all {
		out = append(out, Counterfactual{Key: c.Key, Value: c.Value, To: c.To, Text: c.String()})
	}
	return out
}

// Inputs are the terms of the estimate, in requests per second where nothing
// else is said; see autoscale.Inputs.
type Inputs struct {
	Signal           string  `json:"signal"`
	Metric           string  `json:"metric,omitempty"` // that needs the most edges: offered, in-flight or egress
	Counted          float64 `json:"counted"`          // the load by that metric, after what the cause takes off
	Scan             float64 `json:"scan"`             // part of the offered load that is a scan's
	LostEdges        int     `json:"lost_edges"`       // that fell silent and whose clients went to others
	InFlight         float64 `json:"in_flight"`
	EgressMbps       float64 `json:"egress_mbps"`
	Misses           float64 `json:"misses"`          // per second, at edges with a warm cache
	DistinctMisses   float64 `json:"distinct_misses"` // different keys among them
	Level            float64 `json:"level"`
	Base             float64 `json:"base"`
	Ratio            float64 `json:"ratio"`
	SpanSeconds      float64 `json:"span_seconds"`
	Dispersion       float64 `json:"dispersion"`
	Evidence         float64 `json:"evidence"`
	Threshold        float64 `json:"threshold"`
	Alarmed          bool    `json:"alarmed"`
	Slope            float64 `json:"slope"`
	LeadSeconds      float64 `json:"lead_seconds"`
	Demand           float64 `json:"demand"`
	HeldDemand       float64 `json:"held_demand"`
	HeldAgeSeconds   float64 `json:"held_age_seconds"`
	ReadyReplicas    int     `json:"ready_replicas"`
	TargetRPSPerEdge float64 `json:"target_rps_per_edge"`
	Floor            *Floor  `json:"floor,omitempty"` // absent where none is in force
}

// Floor is the largest need that was known beforehand.
type Floor struct {
	By       string  `json:"by"`                   // "plan" or "calendar"
	Name     string  `json:"name"`                 // of the plan or the window
	Replicas int     `json:"replicas,omitempty"`   // edges at least, or
	Demand   float64 `json:"demand_rps,omitempty"` // load to be ready for
}

func record(name string, p policy.Policy, d autoscale.Decision, r ingest.Reading, w result) Record {
	in := d.Inputs
	rec := Record{
		At: d.At, Fleet: name, From: d.From, To: d.To, Desired: d.Desired,
		Mode: string(p.Mode), Path: string(d.Path), Reason: d.Reason, Cause: string(in.Cause), Limits: make([]string, 0, len(d.Limits)),
		Load: Load{OfferedRPS: in.Offered, FastRPS: in.Fast, HitRatio: r.HitRatio},
		Inputs: &Inputs{
			Signal: string(in.Signal), Metric: string(in.Metric), Counted: in.Counted, Scan: in.Scan, LostEdges: in.Lost,
			InFlight: in.InFlight, EgressMbps: in.Egress, Misses: in.Misses, DistinctMisses: in.Distinct, Level: in.Level, Base: in.Base, Ratio: in.Ratio, SpanSeconds: in.Span.Seconds(), Dispersion: in.Dispersion,
			Evidence: in.Evidence, Threshold: in.Threshold, Alarmed: in.Alarmed, Slope: in.Slope, LeadSeconds: in.Lead.Seconds(),
			Demand: in.Demand, HeldDemand: in.HeldDemand, HeldAgeSeconds: in.HeldAge.Seconds(),
			ReadyReplicas: in.ReadyReplicas, TargetRPSPerEdge: p.TargetRPSPerEdge,
		},
		Written: !w.at.IsZero(), WrittenAt: w.at,
	}
	if f := in.Floor; f != (autoscale.Floor{}) {
		rec.Inputs.Floor = &Floor{By: string(f.Path), Name: f.Name, Replicas: f.Replicas, Demand: f.Demand}
	}
	for _, l := range d.Limits {
		rec.Limits = append(rec.Limits, string(l))
	}
	if w.err != nil {
		rec.Error = w.err.Error()
	}
	return rec
}

func (r Record) event() events.Decision {
	return events.Decision{
		At: r.At, Fleet: r.Fleet, From: r.From, To: r.To, Desired: r.Desired, Mode: r.Mode, Path: r.Path,
		Reason: r.Reason, Cause: r.Cause, Limits: r.Limits, Load: events.DecisionLoad(r.Load),
		Written: r.Written, WrittenAt: r.WrittenAt, Error: r.Error,
	}
}

func fromEvent(d events.Decision) Record {
	rec := Record{
		At: d.At, Fleet: d.Fleet, From: d.From, To: d.To, Desired: d.Desired, Mode: d.Mode, Path: d.Path,
		Reason: d.Reason, Cause: d.Cause, Limits: d.Limits, Load: Load(d.Load),
		Written: d.Written, WrittenAt: d.WrittenAt, Error: d.Error,
	}
	if rec.Limits == nil {
		rec.Limits = []string{}
	}
	return rec
}

// ringSize bounds the decisions that are kept for each fleet.
const ringSize = 1000

// ring keeps the latest decisions, the newest last.
type ring struct {
	records []Record
	next    int
}

func (r *ring) add(rec Record) {
	if len(r.records) < ringSize {
		r.records = append(r.records, rec)
		return
	}
	r.records[r.next] = rec
	r.next = (r.next + 1) % ringSize
}

// since returns the decisions after t.
func (r *ring) since(t time.Time) []Record {
	out := []Record{}
	for i := range r.records {
		if rec := r.records[(r.next+i)%len(r.records)]; rec.At.After(t) {
			out = append(out, rec)
		}
	}
	return out
}
