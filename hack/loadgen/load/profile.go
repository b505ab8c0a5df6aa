package load

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Shape is the rate over time that every profile is made of: lead at the base rate, at once to the jump, ramp to the peak, hold, fall, and
// calm at the base rate again.
type Shape struct {
	Base   float64 // requests per second before and after; more than 0
	Factor float64 // peak rate as a multiple of the base; 1 keeps it steady
	Jump   float64 // rate at the start of the ramp as a multiple of the base; 0 means 1: no jump

	Lead, Ramp, Hold, Fall, Calm time.Duration
}

// Profile is what one run sends.
type Profile struct {
	Name  string
	Shape Shape
	// ViralShare of the requests between the start of the ramp and the end of the hold go to one object that nobody asked for before.
	ViralShare float64
	// ScanShare of the requests of the same time go to objects of which none is asked for twice.
	ScanShare float64
}

// Names are the profiles that ParseProfile knows.
var names = []string{"steady", "kickoff", "viral", "scan"}

// Names lists the profiles; they can be joined with "+".
func Names() []string { return slices.Clone(names) }

// ParseProfile makes a profile of names joined with "+". "steady" and "kickoff" (×10 in 120 s) give the shape, "viral" (half of the requests to one key) and
// "scan" (nine of ten requests to a new key) what is asked for; without a shape it is steady.
func ParseProfile(text string, base float64) (Profile, error) {
	p := Profile{Name: text, Shape: Shape{Base: base, Factor: 1, Lead: 30 * time.Second, Hold: 60 * time.Second, Calm: 30 * time.Second}}
	shaped := false
	for name := range strings.SplitSeq(text, "+") {
		switch name {
		case "steady", "kickoff":
			if shaped {
				return Profile{}, fmt.Errorf("profile %q: steady and kickoff exclude each other", text)
			}
			shaped = true
			if name == "kickoff" {
				p.Shape = Shape{Base: base, Factor: 10, Lead: time.Minute, Ramp: 2 * time.Minute, Hold: 2 * time.Minute, Fall: time.Minute, Calm: 2 * time.Minute}
			}
		case "viral":
			p.ViralShare = 0.5
		case "scan":
			p.ScanShare = 0.9
		default:
			return Profile{}, fmt.Errorf("profile %q: want one or more of %s, joined with +", name, strings.Join(names, ", "))
		}
	}
	if p.ViralShare+p.ScanShare > 1 {
		p.ScanShare = 1 - p.ViralShare
	}
	return p, nil
}

// Compress makes the profile n times quicker: with 6, kickoff's ×10 in 120 s becomes ×10 in 20 s. Rates stay.
func (p Profile) Compress(n float64) (Profile, error) {
	if !(n > 0) {
		return p, fmt.Errorf("compress %v: want more than 0", n)
	}
	s := &p.Shape
	for _, d := range []*time.Duration{&s.Lead, &s.Ramp, &s.Hold, &s.Fall, &s.Calm} {
		*d = time.Duration(float64(*d) / n)
	}
	return p, nil
}

// Curve is the rate of the profile over time.
func (p Profile) Curve() (Curve, error) {
	s := p.Shape
	if !(s.Base > 0) || !(s.Factor > 0) {
		return Curve{}, fmt.Errorf("base rate %v and factor %v: want more than 0", s.Base, s.Factor)
	}
	jump := s.Base
	if s.Jump != 0 {
		jump *= s.Jump
	}
	if p.ViralShare < 0 || p.ScanShare < 0 || p.ViralShare+p.ScanShare > 1 {
		return Curve{}, errors.New("viral and scan share: want 0 to 1 together")
	}
	peak := s.Base * s.Factor
	return NewCurve(
		Segment{s.Lead, s.Base, s.Base},
		Segment{s.Ramp, jump, peak},
		Segment{s.Hold, peak, peak},
		Segment{s.Fall, peak, s.Base},
		Segment{s.Calm, s.Base, s.Base},
	)
}

// Rush is the time from the start of the ramp to the end of the hold.
func (p Profile) Rush() (from, to time.Duration) {
	return p.Shape.Lead, p.Shape.Lead + p.Shape.Ramp + p.Shape.Hold
}
