package policy

import "time"

// Occurrence is one stretch of time for which more edges are wanted than the
// load asks for by itself: a planned event, or one day of a calendar window.
type Occurrence struct {
	Name       string
	Start, End time.Time
	Ramp       time.Duration // before Start, over which the floor grows to its full size
	Floor      int           // edges at least; 0 where Factor says it
	Factor     float64       // times the demand at the beginning of the ramp; 0 where Floor says it
}

// Begin is the beginning of the ramp: from here on the occurrence matters, and
// the demand of then is what Factor multiplies.
func (o Occurrence) Begin() time.Time { return o.Start.Add(-o.Ramp) }

// Share is the part of the floor that is in force: 0 before the ramp, rising
// evenly to 1 at Start, and 0 again from End on. Lead is the time that a new edge
// takes to serve: the ramp is read that much ahead, the end is not.
func (o Occurrence) Share(now time.Time, lead time.Duration) float64 {
	ahead := now.Add(lead)
	switch {
	case !now.Before(o.End):
		return 0
	case !ahead.Before(o.Start):
		return 1
	case o.Ramp <= 0 || ahead.Before(o.Begin()):
		return 0
	}
	return float64(ahead.Sub(o.Begin())) / float64(o.Ramp)
}

// Replicas are the edges that the floor asks for at this share.
func (o Occurrence) Replicas(share float64) int {
	return int(share*float64(o.Floor) + 0.999999)
}

// Demand is the load that the factor asks to be ready for at this share, in the
// unit of base, which is the demand at Begin.
func (o Occurrence) Demand(share, base float64) float64 {
	if o.Factor == 0 || share == 0 {
		return 0
	}
	return base * (1 + (o.Factor-1)*share)
}
