package simulate

import (
	"math"
	"time"
)

// Score is what came of a run. Under and Over are θU and θO of the SPEC Research
// Group ("Ready for Rain? A View from SPEC Research on the Future of Cloud
// Metrics", SPEC-RG-2016-01): the mean, over all seconds, of the missing and of
// the surplus pods as a fraction of the least that would have served that
// second. No blend of these numbers is offered, because a blend can hide
// anything.
type Score struct {
	Requests      float64 `json:"requests"`       // offered in the whole trace
	OverloadRatio float64 `json:"overload_ratio"` // of them, above the capacity of the ready pods; 0 to 1
	Under         float64 `json:"under"`          // θU, as a fraction
	Over          float64 `json:"over"`           // θO, as a fraction
	PodHours      float64 `json:"pod_hours"`      // starting pods included
	Writes        int     `json:"writes"`         // changes of the replicas
	Reversals     int     `json:"reversals"`      // writes in the other direction than the one before
	MaxReplicas   int     `json:"max_replicas"`   // most that were asked for
	Days          float64 `json:"days"`           // length of the trace

	// SilentScaleIns are the writes to fewer replicas while no fresh signal was
	// there.
	SilentScaleIns int `json:"silent_scale_ins"`

	// FirstWrite is the seconds from the onset of the trace to the first write in
	// its direction, and NeedWrite to the first time at which the replicas
	// asked for are within 10 % of what its rate needs at the target. They are
	// absent without an onset, and when it never came to that.
	FirstWrite *float64 `json:"first_write_seconds,omitempty"`
	NeedWrite  *float64 `json:"need_write_seconds,omitempty"`
}

type scorer struct {
	Score
	o        Options
	overload float64
	seconds  int
	last     int // direction of the last write: -1, 0, 1
	onset    int // second of the onset; -1: none
	need     int // replicas after the onset
	sign     int // direction of the onset
}

func newScorer(t Trace, o Options) *scorer {
	s := &scorer{o: o, onset: -1}
	s.MaxReplicas = o.Initial
	if t.Onset != nil {
		s.onset = int(t.Onset.After / time.Second)
		s.need = min(max(int(math.Ceil(t.Onset.Rate/o.Target)), o.Min), o.Max)
		s.sign = 1
		if s.onset > 0 && s.onset <= len(t.Seconds) && t.Onset.Rate < t.Seconds[s.onset-1].Requests {
			s.sign = -1
		}
	}
	return s
}

func (s *scorer) second(in Second, ready, replicas, overload float64) {
	demand := max(1, math.Ceil(in.Requests/s.o.Capacity))
	s.Requests += in.Requests
	s.overload += overload
	s.Under += max(demand-ready, 0) / demand
	s.Over += max(ready-demand, 0) / demand
	s.PodHours += replicas / 3600
	s.seconds++
}

// part takes in what is asked for in one part of a second.
func (s *scorer) part(part, replicas int) {
	if s.onset >= 0 && part >= s.onset*parts && s.NeedWrite == nil && s.meets(replicas) {
		after := float64(part)/parts - float64(s.onset)
		s.NeedWrite = &after
	}
}

// meets reports whether so many replicas are what the onset needs, or nearly.
func (s *scorer) meets(replicas int) bool {
	if s.sign < 0 {
		return float64(replicas) <= 1.1*float64(s.need)
	}
	return float64(replicas) >= 0.9*float64(s.need)
}

func (s *scorer) write(from, to int, second float64, fresh bool) {
	direction := 1
	if to < from {
		direction = -1
		if !fresh {
			s.SilentScaleIns++
		}
	}
	s.Writes++
	if s.last == -direction {
		s.Reversals++
	}
	s.last = direction
	s.MaxReplicas = max(s.MaxReplicas, to)
	if s.onset >= 0 && second >= float64(s.onset) && direction == s.sign && s.FirstWrite == nil {
		after := second - float64(s.onset)
		s.FirstWrite = &after
	}
}

func (s *scorer) result() Score {
	if s.seconds == 0 {
		return s.Score
	}
	s.Under /= float64(s.seconds)
	s.Over /= float64(s.seconds)
	s.Days = float64(s.seconds) / 86400
	if s.Requests > 0 {
		s.OverloadRatio = s.overload / s.Requests
	}
	return s.Score
}
