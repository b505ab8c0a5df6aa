package fleet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/events"
)

func TestTheStatusShowsLatencyAndCapacity(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", nil)
	shown := func() string {
		r.ticks(1)
		status, _ := r.Status("edge")
		text, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if text := shown(); strings.Contains(text, `"latency"`) || strings.Contains(text, `"capacity"`) {
		t.Errorf("what nobody said is shown: %s", text)
	}
	r.load.set(autoscale.Live, 390)
	r.load.p50, r.load.p99 = 1500*time.Microsecond, time.Second
	r.load.reading.Capacity = events.Capacity{CPU: 8, Connections: 4000, MaxRPS: 1234.5}
	if text := shown(); !strings.Contains(text, `"latency":{"p50_ms":1.5,"p99_ms":1000}`) || !strings.Contains(text, `"capacity":{"cpu":8,"connections":4000,"max_rps":1234.5}`) {
		t.Errorf("latency and capacity are missing in %s", text)
	}
}
