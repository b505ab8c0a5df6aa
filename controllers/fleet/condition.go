package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/events"
)

// The types of conditions. The first two are True when all is well, the others
// when something is wrong.
const (
	PolicyAccepted     = "PolicyAccepted"
	ScaleWritten       = "ScaleWritten"       // what was decided is asked for
	TargetMissing      = "TargetMissing"      // there is no such Deployment, or it cannot be read
	Blind              = "Blind"              // nothing is heard; with the reason PARTIAL some edges are not, and it is False
	ScalingLimited     = "ScalingLimited"     // the load needs more than the policy allows
	Contended          = "Contended"          // somebody else keeps changing the replicas
	AmbiguousScaler    = "AmbiguousScaler"    // another autoscaler has the same target, or mode floor has none to work with
	PodsPending        = "PodsPending"        // pods that were asked for do not become Ready
	AnnotationsRefused = "AnnotationsRefused" // annotations of the Deployment are not understood
)

// Good reports whether a condition is as an operator wants it.
func (c Condition) Good() bool {
	return (c.Status == "True") == (c.Type == PolicyAccepted || c.Type == ScaleWritten)
}

// Condition is one aspect of the state of a fleet, in the manner of Kubernetes.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"` // "True" or "False"
	Reason  string    `json:"reason"` // one word
	Message string    `json:"message"`
	Since   time.Time `json:"since"` // of this status
}

func condition(kind string, status bool, reason, message string) Condition {
	c := Condition{Type: kind, Status: "False", Reason: reason, Message: message}
	if status {
		c.Status = "True"
	}
	return c
}

type conditions []Condition

// set replaces the condition of the same type, and reports whether its status
// or its reason changed.
func (cs *conditions) set(now time.Time, c Condition) (changed bool) {
	c.Since = now
	i := slices.IndexFunc(*cs, func(o Condition) bool { return o.Type == c.Type })
	if i < 0 {
		*cs = append(*cs, c)
		return true
	}
	old := (*cs)[i]
	if old.Status == c.Status {
		c.Since = old.Since
	}
	(*cs)[i] = c
	return old.Status != c.Status || old.Reason != c.Reason
}

func signalCondition(r ingest.Reading) Condition {
	message := fmt.Sprintf("%d of %d edges are heard", r.Live, r.Known)
	if r.Known == 0 && r.Dropped[events.ReasonUnknownEdge] > 0 {
		message += "; reports come from senders that are no pods of this fleet: do its pods carry the label surgewall.io/fleet?"
	} else if len(r.Silent) > 0 {
		message += "; silent: " + strings.Join(r.Silent[:min(len(r.Silent), 5)], ", ")
	} else if r.Signal == autoscale.Blind && r.Live > 0 {
		message += "; but the own canary does not come back through the broker"
	}
	return condition(Blind, r.Signal == autoscale.Blind, string(r.Signal), message)
}

func limitCondition(p policy.Policy, d autoscale.Decision) Condition {
	if slices.Contains(d.Limits, autoscale.LimitMax) {
		return condition(ScalingLimited, true, "TooManyReplicas", fmt.Sprintf("the load needs more than max-replicas %d", p.MaxReplicas))
	}
	if slices.Contains(d.Limits, autoscale.LimitStepUp) {
		return condition(ScalingLimited, true, "StepLimit", fmt.Sprintf("the load needs more than scale-up-max-step %v allows", p.ScaleUpMaxStep))
	}
	return condition(ScalingLimited, false, "WithinLimits", "the load gets what it needs")
}

func writeCondition(p policy.Policy, d autoscale.Decision, written result, leading bool) Condition {
	switch {
	case written.err != nil:
		return condition(ScaleWritten, false, "WriteFailed", written.err.Error())
	case d.To == d.From || !written.at.IsZero():
		return condition(ScaleWritten, true, "UpToDate", "the Deployment asks for what was decided")
	case p.Mode == policy.Observe:
		return condition(ScaleWritten, false, "ObserveMode", fmt.Sprintf("%d edges would be asked for", d.To))
	case !leading:
		return condition(ScaleWritten, false, "Standby", fmt.Sprintf("%d edges are the leader's to ask for", d.To))
	}
	return condition(ScaleWritten, false, "Pending", fmt.Sprintf("%d edges are not asked for yet", d.To))
}

func pendingCondition(pods int, why string) Condition {
	if pods == 0 {
		return condition(PodsPending, false, "AllReady", "every pod is Ready or starting")
	}
	return condition(PodsPending, true, "NotReady", fmt.Sprintf("%d of the pods that were asked for do not become Ready: %s", pods, why))
}

func annotationCondition(errs policy.Errors) Condition {
	if len(errs) == 0 {
		return condition(AnnotationsRefused, false, "Understood", "the annotations of the Deployment are understood")
	}
	return condition(AnnotationsRefused, true, "Refused", errs.Error())
}
