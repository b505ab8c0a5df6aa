package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/policy"
)

func names(others []autoscale.Autoscaler) string {
	texts := make([]string, len(others))
	for i, a := range others {
		texts[i] = a.Kind + " " + a.Name
	}
	return strings.Join(texts, ", ")
}

// scale is the number that a mode writes: the replicas of a Deployment, or the
// least of an autoscaler.
type scale struct {
	what  string
	spec  int // as the watch shows it
	read  func(context.Context) (replicas int, version string, err error)
	write func(ctx context.Context, version string, replicas int) error
}

// scaleOf finds what is to be written in the mode of the policy, and the policy
// with the bounds that hold there. Not nil is a reason to write nothing.
func (f *Fleet) scaleOf(p policy.Policy, t autoscale.Target) (scale, policy.Policy, *Condition) {
	s, scaler := scale{what: "the scale of " + p.TargetDeployment, spec: t.Spec}, f.options.Scaler
	s.read = func(ctx context.Context) (int, string, error) { return scaler.Scale(ctx, p.TargetDeployment) }
	s.write = func(ctx context.Context, version string, n int) error {
		return scaler.SetScale(ctx, p.TargetDeployment, version, n)
	}
	if p.Mode != policy.Floor {
		if p.Mode == policy.Direct && len(t.Autoscalers) > 0 {
			c := condition(AmbiguousScaler, true, "OtherAutoscaler",
				"nothing is written in mode direct while this scales the Deployment too: "+names(t.Autoscalers)+"; remove it, or set mode to floor")
			return s, p, &c
		}
		return s, p, nil
	}
	if len(t.Autoscalers) != 1 || t.Autoscalers[0].Kind != autoscale.HorizontalPodAutoscaler {
		c := condition(AmbiguousScaler, true, "NoOneAutoscaler", "mode floor needs one HorizontalPodAutoscaler of the Deployment that nobody else manages; found: "+names(t.Autoscalers))
		if len(t.Autoscalers) == 0 {
			c.Message = "mode floor needs a HorizontalPodAutoscaler of the Deployment, and there is none"
		}
		return s, p, &c
	}
	hpa := t.Autoscalers[0]
	s.what = "minReplicas of the HorizontalPodAutoscaler " + hpa.Name
	// At zero replicas the autoscaler is switched off, and so are we.
	if t.Spec > 0 {
		s.spec = max(hpa.Min, 1)
	}
	s.read = func(ctx context.Context) (int, string, error) {
		least, version, err := scaler.Floor(ctx, hpa.Name)
		return max(least, 1), version, err
	}
	s.write = func(ctx context.Context, version string, n int) error {
		return scaler.SetFloor(ctx, hpa.Name, version, n)
	}
	// The API server refuses a minReplicas above maxReplicas.
	p.MaxReplicas = min(p.MaxReplicas, hpa.Max)
	p.MinReplicas, p.HoldReplicas = min(p.MinReplicas, p.MaxReplicas), min(p.HoldReplicas, p.MaxReplicas)
	return s, p, nil
}

// The rules of contention: so many edits by others within the time are a fight,
// in which raises are written rarely and nothing is scaled in.
const (
	contendedEdits  = 3
	contendedWithin = 5 * time.Minute
	contendedPause  = 30 * time.Second
)

// edit is somebody else's change of the replicas.
type edit struct {
	at time.Time
	by string
}

// Edited takes note of a change of the replicas of a Deployment by somebody
// else, as the API server names them.
func (m *Manager) Edited(deployment, by string) {
	for _, f := range m.all() {
		if f.target() == deployment {
			f.edited(by)
		}
	}
}

func (f *Fleet) edited(by string) {
	now := f.options.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.policy.Mode != policy.Direct {
		return // what the others do is theirs
	}
	f.edits = append(f.edits, edit{now, by})
	f.edits = f.edits[max(0, len(f.edits)-2*contendedEdits):]
	f.logger.Info().Str("by", by).Msg("replicas were changed by somebody else")
}

// contention is called with the lock held.
func (f *Fleet) contention(now time.Time) Condition {
	var by []string
	n := 0
	for _, e := range f.edits {
		if now.Sub(e.at) < contendedWithin {
			n++
			if !strings.Contains(strings.Join(by, ","), e.by) {
				by = append(by, e.by)
			}
		}
	}
	if n < contendedEdits {
		return condition(Contended, false, "SingleWriter", "nobody else keeps changing the replicas")
	}
	return condition(Contended, true, "ForeignEdits", fmt.Sprintf("the replicas were changed %d times within %v by %s: no edge is removed, and raises wait for %v",
		n, contendedWithin, strings.Join(by, ", "), contendedPause))
}
