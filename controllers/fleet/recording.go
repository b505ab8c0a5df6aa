package fleet

import (
	"math"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
)

// Bounds of what is recorded. A day of seconds takes 700 kilobytes for each
// fleet; many fleets share what a few dozen would take.
const (
	chunkSeconds = 900
	mostChunks   = 24 * 3600 / chunkSeconds // of one fleet: a day,
	leastChunks  = 3600 / chunkSeconds      // and an hour however many fleets there are
	sharedChunks = 16 << 20 / (8 * chunkSeconds)

	// clockStep is by how many seconds the wall clock may go back: what was said
	// of them is replaced as they come again.
	clockStep = 60
)

// heardSecond is what was known of a fleet in one second.
type heardSecond struct {
	rps      float32 // NaN: nothing was known
	replicas int32   // asked for
}

// recording is the load of one fleet, second by second, as the controller saw
// it: what a policy can be replayed on. It has bounded length; the oldest quarter
// of an hour goes first. The zero value is empty.
type recording struct {
	chunks []*[chunkSeconds]heardSecond
	start  int64 // second since 1970 of the first one of the first chunk
	next   int64 // the second after the last one
}

// chunks is how many chunks each of these many fleets may have.
func chunks(fleets int) int { return min(max(sharedChunks/max(fleets, 1), leastChunks), mostChunks) }

// add takes the reading of a tick. Of several within one second the last counts;
// seconds without a tick are unknown.
func (r *recording) add(now time.Time, rps float64, signal autoscale.Signal, replicas, most int) {
	at := now.Unix()
	h := heardSecond{rps: float32(rps), replicas: int32(min(replicas, math.MaxInt32))}
	if signal == autoscale.Blind {
		h.rps = float32(math.NaN())
	}
	if len(r.chunks) > 0 && (at < max(r.next-clockStep, r.start) || at-r.next > int64(most)*chunkSeconds) {
		// The clock was set: what is known has no place in the new time.
		*r = recording{}
	}
	if len(r.chunks) == 0 {
		r.start, r.next = at, at
	}
	for r.next <= at {
		*r.slot(r.next) = heardSecond{rps: float32(math.NaN()), replicas: h.replicas}
		r.next++
	}
	*r.slot(at) = h
	if extra := len(r.chunks) - most; extra > 0 {
		clear(r.chunks[:extra])
		r.chunks = r.chunks[extra:]
		r.start += int64(extra) * chunkSeconds
	}
}

// slot is the place of a second, which is at most one after the last chunk.
func (r *recording) slot(at int64) *heardSecond {
	i := at - r.start
	if i/chunkSeconds == int64(len(r.chunks)) {
		r.chunks = append(r.chunks, new([chunkSeconds]heardSecond))
	}
	return &r.chunks[i/chunkSeconds][i%chunkSeconds]
}

// Windows is the answer to GET /v1/fleets/{fleet}/windows: the load that was
// recorded, one value for each second from Start. It lags behind the requests
// by up to two seconds, as everything that the controller knows.
type Windows struct {
	Fleet      string     `json:"fleet"`
	Start      time.Time  `json:"start"`       // of the first value; zero without any
	OfferedRPS []*float32 `json:"offered_rps"` // null: nothing was known of this second
	Replicas   []int32    `json:"replicas"`    // asked for
	// LeadSeconds is the start time of a pod that was learned; 0 while none was seen.
	LeadSeconds float64 `json:"lead_seconds"`
}

// since returns what was recorded from t on, up to the last whole second before
// now.
func (r *recording) since(t, now time.Time) (w Windows) {
	w.OfferedRPS, w.Replicas = []*float32{}, []int32{}
	first, last := max(r.start, t.Unix()), min(r.next, now.Unix())
	if len(r.chunks) == 0 || first >= last {
		return w
	}
	w.Start = time.Unix(first, 0).UTC()
	values := make([]float32, 0, last-first)
	for at := first; at < last; at++ {
		h := r.slot(at)
		var value *float32
		if h.rps == h.rps {
			values = append(values, h.rps)
			value = &values[len(values)-1]
		}
		w.OfferedRPS, w.Replicas = append(w.OfferedRPS, value), append(w.Replicas, h.replicas)
	}
	return w
}

// Windows returns what was recorded of a fleet since t.
func (m *Manager) Windows(name string, t time.Time) (Windows, bool) {
	f := m.fleet(name)
	if f == nil {
		return Windows{}, false
	}
	lead := f.options.Scaler.StartTime(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.recording.since(t, f.options.Now())
	w.Fleet, w.LeadSeconds = name, lead.Seconds()
	return w, true
}
