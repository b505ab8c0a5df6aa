package fleet

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
)

func TestSecondsAreRecordedOnceAndGapsStayUnknown(t *testing.T) {
	var r recording
	at := time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)
	second := func(n float64) time.Time { return at.Add(time.Duration(n * float64(time.Second))) }
	r.add(second(0), 100, autoscale.Live, 4, mostChunks)
	r.add(second(0.5), 110, autoscale.Partial, 4, mostChunks)
	r.add(second(1.1), 0, autoscale.Blind, 4, mostChunks)
	r.add(second(4), 120, autoscale.Live, 5, mostChunks)
	r.add(second(5), 130, autoscale.Live, 5, mostChunks)
	text := func(w Windows) string { b, _ := json.Marshal(w); return string(b) }
	want := `{"fleet":"","start":"2026-06-14T20:00:00Z","offered_rps":[110,null,null,null,120],"replicas":[4,4,5,5,5],"lead_seconds":0}`
	if got := text(r.since(time.Time{}, second(5.5))); got != want {
		t.Errorf("%s\nwant %s: the second that is not over is left out", got, want)
	}
	if got := r.since(second(4), second(5.5)); len(got.OfferedRPS) != 1 || *got.OfferedRPS[0] != 120 || !got.Start.Equal(second(4)) {
		t.Errorf("from the fourth second on: %s", text(got))
	}
	if got := text(r.since(second(9), second(10))); got != `{"fleet":"","start":"0001-01-01T00:00:00Z","offered_rps":[],"replicas":[],"lead_seconds":0}` {
		t.Errorf("nothing was recorded yet, and %s is said", got)
	}
	r.add(second(2), 140, autoscale.Live, 6, mostChunks) // the wall clock went back a little
	if got, want := text(r.since(second(1), second(5.9))), `{"fleet":"","start":"2026-06-14T20:00:01Z","offered_rps":[null,140,null,120],"replicas":[4,6,5,5],"lead_seconds":0}`; got != want {
		t.Errorf("after a step back of three seconds: %s\nwant %s", got, want)
	}
	r.add(second(-3600), 90, autoscale.Live, 5, mostChunks)
	if got := r.since(time.Time{}, second(0)); len(got.OfferedRPS) != 1 || *got.OfferedRPS[0] != 90 {
		t.Errorf("after the clock was set back: %s", text(got))
	}
}

func TestARecordingHasBoundedLength(t *testing.T) {
	var r recording
	at := time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)
	const most = 3
	for second := range 10 * chunkSeconds {
		r.add(at.Add(time.Duration(second)*time.Second), float64(second), autoscale.Live, 1, most)
		if len(r.chunks) > most {
			t.Fatalf("%d chunks at second %d", len(r.chunks), second)
		}
	}
	w := r.since(time.Time{}, at.Add(24*time.Hour))
	if n := len(w.OfferedRPS); n < (most-1)*chunkSeconds || n > most*chunkSeconds {
		t.Errorf("%d seconds are kept", n)
	}
	if last := *w.OfferedRPS[len(w.OfferedRPS)-1]; last != 10*chunkSeconds-1 {
		t.Errorf("the last one is %g", last)
	}
	if first := *w.OfferedRPS[0]; !w.Start.Equal(at.Add(time.Duration(first) * time.Second)) {
		t.Errorf("the first one, %g, is said to be of %s", first, w.Start)
	}
	r.add(at.Add(1000*time.Hour), 7, autoscale.Live, 1, most)
	if w := r.since(time.Time{}, at.Add(1001*time.Hour)); len(w.OfferedRPS) != 1 {
		t.Errorf("%d seconds after a gap that is longer than what is kept", len(w.OfferedRPS))
	}
	for fleets, want := range map[int]int{0: mostChunks, 1: mostChunks, 24: mostChunks, 200: sharedChunks / 200, 1000: leastChunks} {
		if got := chunks(fleets); got != want {
			t.Errorf("%d chunks for each of %d fleets, want %d", got, fleets, want)
		}
	}
}

func TestRecordedWindowsAreServed(t *testing.T) {
	r := newRoom()
	r.SetPolicy("edge", "7", map[string]string{})
	f := r.fleet("edge")
	for range 3 {
		_ = f.RunOnce(t.Context())
		r.now = r.now.Add(time.Second)
	}
	for path, code := range map[string]int{
		"/v1/fleets/edge/windows": 200, "/v1/fleets/none/windows": 404,
		"/v1/fleets/edge/windows?since=yesterday": 400, "/v1/fleets/edge/windows?since=2020-01-01T00:00:00Z": 200,
	} {
		answer := httptest.NewRecorder()
		r.Handler(nil).ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != code {
			t.Errorf("%s: %d, want %d: %s", path, answer.Code, code, answer.Body)
		}
		if code != 200 {
			continue
		}
		var w Windows
		if err := json.Unmarshal(answer.Body.Bytes(), &w); err != nil || len(w.OfferedRPS) != 3 || w.Fleet != "edge" {
			t.Errorf("%s: %v: %s", path, err, answer.Body)
		}
	}
}
