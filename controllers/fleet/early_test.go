package fleet

import "testing"

type tooEarly struct{}

func (tooEarly) Error() string    { return "no answer yet" }
func (tooEarly) Unanswered() bool { return true }

// A controller that starts warns of no Deployment that it has not looked for.
func TestAStartIsNoMissingTarget(t *testing.T) {
	r := newRoom()
	r.cluster.early = true
	r.SetPolicy("edge", "7", nil)
	r.ticks(3)
	s, _ := r.Status("edge")
	for _, c := range s.Conditions {
		if c.Type == TargetMissing {
			t.Errorf("condition %+v before anything was seen", c)
		}
	}
	if r.TargetFound("edge") {
		t.Error("the target counts as found")
	}
	if lines := r.diary.take(); len(lines) != 0 {
		t.Errorf("events %q", lines)
	}
	r.cluster.early = false
	r.ticks(3)
	if c := find(t, r, TargetMissing); c.Status != "False" {
		t.Errorf("condition %+v once it was seen", c)
	}
}
