package policy

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// AnnotationPrefix begins the names of the annotations that a Deployment may
// carry to override the policy of its fleet for a while.
const AnnotationPrefix = "surgewall.io/"

// The annotations.
const (
	annotationPause     = AnnotationPrefix + "pause"
	annotationPauseDown = AnnotationPrefix + "pause-scale-down"
	annotationPauseUp   = AnnotationPrefix + "pause-scale-up"
	annotationHold      = AnnotationPrefix + "hold"
)

const (
	switchAllowed = "one of true, false"
	holdAllowed   = "EDGES or EDGES;until=TIME, such as 12;until=2026-06-14T23:30:00Z"
)

// Annotated is the policy with the annotations of the Deployment over it. They
// are for a moment's hand on the wheel, so each counts by itself: a bad one is
// left out and reported, the others hold.
func (p Policy) Annotated(annotations map[string]string) (Policy, Errors) {
	var errs Errors
	on := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		value := annotations[key]
		bad := func(what, allowed string) {
			errs = append(errs, Problem{Key: key, Value: value, What: what, Allowed: allowed})
		}
		switch key {
		case annotationPause, annotationPauseDown, annotationPauseUp:
			if value != "true" && value != "false" {
				bad(errNotAllowed.Error(), switchAllowed)
				continue
			}
			on[key] = value == "true"
			if key == annotationPause && value == "false" {
				p.Pause = PauseNone
			}
		case annotationHold:
			replicas, until, err := parseHold(value)
			if err != nil {
				bad(err.Error(), holdAllowed)
				continue
			}
			if replicas < p.MinReplicas || replicas > p.MaxReplicas {
				bad("is outside min-replicas and max-replicas", formatInt(p.MinReplicas)+" to "+formatInt(p.MaxReplicas)+" replicas")
				continue
			}
			p.HoldReplicas, p.HoldUntil = replicas, until
		default:
			if strings.HasPrefix(key, AnnotationPrefix) {
				bad("is no known annotation", strings.Join([]string{annotationPause, annotationPauseDown, annotationPauseUp, annotationHold}, ", "))
			}
		}
	}
	switch {
	case on[annotationPause], on[annotationPauseDown] && on[annotationPauseUp]:
		p.Pause = PauseAll
	case on[annotationPauseDown] && p.Pause == PauseScaleUp, on[annotationPauseUp] && p.Pause == PauseScaleDown:
		p.Pause = PauseAll
	case p.Pause == PauseAll:
	case on[annotationPauseDown]:
		p.Pause = PauseScaleDown
	case on[annotationPauseUp]:
		p.Pause = PauseScaleUp
	}
	return p, errs
}

func parseHold(v string) (replicas int, until time.Time, err error) {
	number, rest, more := strings.Cut(v, ";")
	if replicas, err = parseInt(strings.TrimSpace(number)); err != nil {
		return 0, time.Time{}, err
	}
	if !more {
		return replicas, time.Time{}, nil
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(rest), "until=")
	if !ok {
		return 0, time.Time{}, errNotAHold
	}
	until, err = parseTime(text)
	return replicas, until, err
}
