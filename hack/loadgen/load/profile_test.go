package load

import (
	"testing"
	"time"
)

func TestKickoffCompressed(t *testing.T) {
	p, err := ParseProfile("kickoff+viral", 60)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.Compress(6); err != nil {
		t.Fatal(err)
	}
	c, err := p.Curve()
	if err != nil {
		t.Fatal(err)
	}
	from, to := p.Rush()
	if from != 10*time.Second || to != 50*time.Second {
		t.Errorf("rush from %v to %v, want 10s to 50s", from, to)
	}
	if got := c.Rate(30 * time.Second); got != 600 {
		t.Errorf("20 s after the start of the ramp: %v rps, want 600", got)
	}
	if c.Rate(5*time.Second) != 60 || c.Rate(75*time.Second) != 60 {
		t.Error("does not start and end at the base rate")
	}
	if p.ViralShare != 0.5 {
		t.Errorf("viral share %v, want half", p.ViralShare)
	}
}

func TestJumpIsAtOnce(t *testing.T) {
	p := Profile{Shape: Shape{Base: 60, Factor: 10, Jump: 5, Lead: 10 * time.Second, Ramp: 20 * time.Second}}
	c, err := p.Curve()
	if err != nil {
		t.Fatal(err)
	}
	if c.Rate(10*time.Second-1) != 60 || c.Rate(10*time.Second) != 300 {
		t.Errorf("from %v to %v, want 60 to 300 within an instant", c.Rate(10*time.Second-1), c.Rate(10*time.Second))
	}
}

func TestProfilesCompose(t *testing.T) {
	for _, text := range []string{"steady", "kickoff", "viral", "scan", "steady+scan", "kickoff+viral+scan"} {
		p, err := ParseProfile(text, 10)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Curve(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "steady+kickoff", "kickof", "viral+", "steady,viral"} {
		if p, err := ParseProfile(text, 10); err == nil {
			t.Errorf("%q was taken as %+v", text, p)
		}
	}
}

func TestProfileRefusesBadNumbers(t *testing.T) {
	p, _ := ParseProfile("steady", 0)
	if _, err := p.Curve(); err == nil {
		t.Error("base rate 0 was accepted")
	}
	if _, err := p.Compress(0); err == nil {
		t.Error("compress 0 was accepted")
	}
	p, _ = ParseProfile("viral", 1)
	p.ViralShare = 1.5
	if _, err := p.Curve(); err == nil {
		t.Error("a viral share of 1.5 was accepted")
	}
}
