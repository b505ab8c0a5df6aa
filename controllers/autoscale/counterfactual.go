package autoscale

import (
	"fmt"
	"strconv"
	"time"

	"github.com/surgewall/surgewall/controllers/policy"
)

// Counterfactual is what a decision would have been with another value of one
// key of the policy.
type Counterfactual struct {
	Key, Value string // as the ConfigMap would write them
	From, To   int    // replicas
}

// String tells it in words: "with spike-ratio 1.6 it would have stayed at 6".
func (c Counterfactual) String() string {
	if c.To == c.From {
		return fmt.Sprintf("with %s %s it would have stayed at %d", c.Key, c.Value, c.To)
	}
	return fmt.Sprintf("with %s %s it would have asked for %s", c.Key, c.Value, count(c.To))
}

// Counterfactuals re-decides with nearby values of each key, from the arguments
// of Decide, and returns for each key and direction the nearest value that asks
// for another number of edges. What happened before stays as it was: with a
// longer hold, say, more might be remembered than is. It costs some dozens of
// decisions, so it is for decisions that are told, and for who asks.
func Counterfactuals(p policy.Policy, l Load, s State, now time.Time) (found []Counterfactual) {
	taken := s
	taken.take(&p, &l, now)
	probe := taken
	real := probe.settle(&p, &l, now)
	for _, key := range nearby {
		for _, values := range key.values(p) {
			for _, v := range values {
				other := p
				key.set(&other, v)
				after := taken
				if key.whole {
					after = s
					after.take(&other, &l, now)
				}
				if d := after.settle(&other, &l, now); d.To != real.To {
					found = append(found, Counterfactual{Key: key.name, Value: key.format(v), From: d.From, To: d.To})
					break
				}
			}
		}
	}
	return found
}

// neighbours are the values of one key that are tried, the nearest first.
type neighbours struct {
	name   string
	values func(p policy.Policy) [2][]float64 // below and above
	set    func(p *policy.Policy, v float64)
	format func(v float64) string
	whole  bool // the load is taken in by it, too
}

// around is the ladder of factors about a value, within its range and rounded to
// a step.
func around(v, low, high, step float64, factors ...float64) (out [2][]float64) {
	for _, f := range factors {
		for i, x := range [2]float64{v / f, v * f} {
			x = round(x, step)
			if n := len(out[i]); x >= low && x <= high && x != v && (n == 0 || out[i][n-1] != x) {
				out[i] = append(out[i], x)
			}
		}
	}
	return out
}

func round(x, step float64) float64 {
	n := strconv.FormatFloat(float64(int64(x/step+0.5))*step, 'f', 4, 64)
	v, _ := strconv.ParseFloat(n, 64)
	return v
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func seconds(v float64) string { return policy.FormatDuration(time.Duration(v * float64(time.Second))) }

func replicas(v float64) string { return strconv.Itoa(int(v)) }

var nearby = []neighbours{
	{
		name: "spike-ratio",
		values: func(p policy.Policy) [2][]float64 {
			return around(p.SpikeRatio, 1.05, 100, 0.05, 1.07, 1.14, 1.3, 1.6, 2.5)
		},
		set: func(p *policy.Policy, v float64) { p.SpikeRatio = v }, format: plain,
	},
	{
		name: "spike-false-alarm-interval",
		values: func(p policy.Policy) [2][]float64 {
			return around(p.SpikeFalseAlarmInterval.Seconds(), 60, 365*86400, 60, 4, 12, 60)
		},
		set: func(p *policy.Policy, v float64) { p.SpikeFalseAlarmInterval = time.Duration(v) * time.Second }, format: seconds,
	},
	{
		name:   "tolerance",
		values: func(p policy.Policy) [2][]float64 { return around(p.Tolerance, 0, 0.5, 0.01, 1.2, 1.5, 2, 3) },
		set:    func(p *policy.Policy, v float64) { p.Tolerance = v }, format: plain,
	},
	{
		name:   "target-rps-per-edge",
		values: func(p policy.Policy) [2][]float64 { return around(p.TargetRPSPerEdge, 0.1, 1e6, 0.1, 1.1, 1.25) },
		set: func(p *policy.Policy, v float64) {
			if p.CapacityRPSPerEdge > 0 { // an edge can do what it can, whatever is aimed at
				p.CapacityRPSPerEdge = max(p.CapacityRPSPerEdge, v)
			}
			p.TargetRPSPerEdge = v
		}, format: plain, whole: true,
	},
	{
		name:   "stable-window",
		values: func(p policy.Policy) [2][]float64 { return around(p.StableWindow.Seconds(), 5, 120, 1, 2) },
		set:    func(p *policy.Policy, v float64) { p.StableWindow = time.Duration(v) * time.Second }, format: seconds, whole: true,
	},
	{
		name:   "scale-down-hold",
		values: func(p policy.Policy) [2][]float64 { return around(p.ScaleDownHold.Seconds(), 0, 86400, 1, 1.5, 2, 5) },
		set:    func(p *policy.Policy, v float64) { p.ScaleDownHold = time.Duration(v) * time.Second }, format: seconds,
	},
	{
		name: "max-replicas",
		values: func(p policy.Policy) [2][]float64 {
			return around(float64(p.MaxReplicas), float64(p.MinReplicas), 5000, 1, 1.25, 2)
		},
		set: func(p *policy.Policy, v float64) { p.MaxReplicas = int(v) }, format: replicas,
	},
	{
		name: "min-replicas",
		values: func(p policy.Policy) [2][]float64 {
			return around(float64(p.MinReplicas), 1, float64(p.MaxReplicas), 1, 1.5, 2)
		},
		set: func(p *policy.Policy, v float64) { p.MinReplicas = int(v) }, format: replicas,
	},
	{
		name: "scale-up-max-step",
		values: func(p policy.Policy) [2][]float64 {
			return around(float64(p.ScaleUpMaxStep.Percent), 1, 100000, 1, 2, 10, 50)
		},
		set: func(p *policy.Policy, v float64) {
			p.ScaleUpMaxStep = policy.Step{Percent: int(v)}
		}, format: percent,
	},
	{
		name: "scale-down-max-step",
		values: func(p policy.Policy) [2][]float64 {
			return around(float64(p.ScaleDownMaxStep.Percent), 1, 100, 1, 2, 5)
		},
		set: func(p *policy.Policy, v float64) {
			p.ScaleDownMaxStep = policy.Step{Percent: int(v)}
		}, format: percent,
	},
}

func percent(v float64) string { return strconv.Itoa(int(v)) + "%" }
