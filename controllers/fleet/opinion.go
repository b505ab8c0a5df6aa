package fleet

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/policy"
)

// Opinion is the answer to POST /v1/fleets/{fleet}/policy/check: what would become
// of an edit of the policy. Nothing is changed by asking.
type Opinion struct {
	Accepted bool            `json:"accepted"`
	Problems []string        `json:"problems,omitempty"` // one line for each reason to refuse it
	Changes  []policy.Change `json:"changes"`            // against the policy in force
	// Now and Then are the latest decision, and what it would have been.
	Now  *Verdict `json:"now,omitempty"`
	Then *Verdict `json:"then,omitempty"`
}

// Verdict is a decision in short.
type Verdict struct {
	From   int    `json:"from"`
	To     int    `json:"to"`
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Opinion says what would become of this data as the policy of a fleet.
func (m *Manager) Opinion(name string, data map[string]string) (Opinion, bool) {
	f := m.fleet(name)
	if f == nil {
		return Opinion{}, false
	}
	o := Opinion{Changes: []policy.Change{}}
	p, err := policy.Parse(name, data)
	if errs, ok := err.(policy.Errors); ok { //nolint:errorlint // Parse returns no other
		o.Problems = errs.Lines()
		return o, true
	}
	o.Accepted = true
	f.mu.Lock()
	defer f.mu.Unlock()
	o.Changes = slices.Concat(o.Changes, policy.Diff(f.policy.Policy, p))
	if !f.view.decided || p.TargetDeployment != f.policy.TargetDeployment {
		return o, true // of another Deployment nothing is known
	}
	d := f.view.decision
	o.Now = &Verdict{d.From, d.To, d.Path, d.Reason}
	then := f.decideWith(p)
	o.Then = &Verdict{then.From, then.To, string(then.Path), then.Reason}
	return o, true
}

// decideWith makes the latest decision by another policy, which the target puts the same
// things over as over the one in force. It is called with the lock held.
func (f *Fleet) decideWith(p policy.Policy) autoscale.Decision {
	asked, inForce, at := f.view.asked, f.policy.Policy, f.view.decision.At
	p, _ = p.Annotated(asked.target.Annotations)
	to, p, _ := f.scaleOf(p, asked.target)
	load := asked.load
	if (p.Mode == policy.Floor) != (inForce.Mode == policy.Floor) {
		load.SpecReplicas = to.spec // of the replicas, or the least of the autoscaler
	}
	if p.Calendar != inForce.Calendar || p.Forecast != inForce.Forecast || p.ForecastBudget != inForce.ForecastBudget {
		what := f.ahead
		what.bases = maps.Clone(what.bases) // asking changes nothing
		load.Floor = f.floorFrom(&what, p, load, at)
	}
	d, _ := autoscale.Decide(p, load, asked.prior, at)
	return d
}

// maxPolicyBody bounds the data of a ConfigMap, as the API server does.
const maxPolicyBody = 1 << 20

func (m *Manager) checkPolicy(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Data map[string]string `json:"data"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPolicyBody)).Decode(&body); err != nil {
		answer(w, http.StatusBadRequest, Problem{`the body is not of the form {"data": {"key": "value"}}: ` + err.Error()})
		return
	}
	if o, ok := m.Opinion(r.PathValue("fleet"), body.Data); ok {
		answer(w, http.StatusOK, o)
		return
	}
	noFleet(w, r)
}
