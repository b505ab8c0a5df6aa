package rush

import (
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/hack/demo/api"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

func TestPhases(t *testing.T) {
	shape := load.Shape{Lead: 10 * time.Second, Ramp: 20 * time.Second, Hold: 10 * time.Second, Fall: 5 * time.Second, Calm: time.Minute}
	for at, want := range map[int]string{1: "calm", 10: "calm", 11: "spike", 30: "spike", 31: "hold", 40: "hold", 41: "fall", 45: "fall", 46: "calm", 200: "calm"} {
		if got := phase(shape, time.Duration(at)*time.Second); got != want {
			t.Errorf("second %d: %s, want %s", at, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	line := Line{Second: load.Second{T: 7, Completed: 430, Hits: 0.975}, Phase: "spike", Fetches: 3}
	if got := line.String(); !strings.Contains(got, "430 rps") || !strings.Contains(got, "97.5 %") || !strings.Contains(got, "3/s") || strings.Contains(got, "replicas") || strings.Contains(got, "FAILED") {
		t.Error(got)
	}
	f := &api.Fleet{}
	f.Replicas.Desired, f.Replicas.Ready, f.Signal.State, f.Decision.Reason = 6, 2, "LIVE", "spike"
	line.Fleet, line.Failed = f, 1
	if got := line.String(); !strings.Contains(got, "replicas 6/2  LIVE  spike") || !strings.Contains(got, "FAILED 1") {
		t.Error(got)
	}
}
