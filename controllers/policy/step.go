package policy

import (
	"math"
	"strings"
)

// Step limits a change: to a number of replicas, or to a percentage of what ran
// before. Exactly one of the two is set.
type Step struct {
	Replicas int
	Percent  int
}

// Of is the most replicas that this step allows a fleet of n to change by: at
// least one, so that a small percentage of a small fleet still moves.
func (s Step) Of(n int) int {
	if s.Replicas > 0 {
		return s.Replicas
	}
	return max(1, int(math.Floor(float64(n)*float64(s.Percent)/100)))
}

// String is the form that the ConfigMap uses: "4" or "20%".
func (s Step) String() string {
	if s.Replicas > 0 {
		return formatInt(s.Replicas)
	}
	return formatInt(s.Percent) + "%"
}

func parseStep(v string) (Step, error) {
	digits, percent := strings.CutSuffix(v, "%")
	n, err := parseInt(digits)
	if err != nil {
		return Step{}, errNotAStep
	}
	if percent {
		return Step{Percent: n}, nil
	}
	return Step{Replicas: n}, nil
}
