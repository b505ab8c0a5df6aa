package fleet

import (
	"time"

	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/internal/span"
)

// readyFor is how long the first Ready pod after a write is waited for: later
// ones became Ready because of something else.
const readyFor = 10 * time.Minute

// awaited is the scale-out whose first Ready pod is still to come.
type awaited struct {
	trace string    // of its write; empty: none
	from  time.Time // when it was accepted
	ready int       // pods that were Ready then
	to    int
}

// trace records a decision that was carried out, or should have been, with the
// hot windows that led to it, and returns its context; empty where nobody
// collects spans.
func (f *Fleet) trace(rec Record, reading ingest.Reading, written result, ready int) string {
	if f.options.Trace == nil || written.began.IsZero() {
		return ""
	}
	ended := f.options.Now()
	decision := span.Span{
		Name: "decision", Start: rec.At, End: written.began, Attributes: []span.Attribute{
			{Key: "surgewall.fleet", Value: f.name}, {Key: "surgewall.path", Value: rec.Path}, {Key: "surgewall.reason", Value: rec.Reason},
			{Key: "surgewall.replicas.from", Value: rec.From}, {Key: "surgewall.replicas.to", Value: rec.To},
			{Key: "surgewall.offered_rps", Value: rec.Load.OfferedRPS},
		},
	}
	if len(reading.Traces) > 0 && rec.To > rec.From {
		decision.Parent, decision.Links = reading.Traces[0], reading.Traces[1:]
	}
	context := f.options.Trace(decision)
	write := span.Span{
		Name: "scale write", Parent: context, Start: written.began, End: ended, Error: rec.Error,
		Attributes: []span.Attribute{{Key: "surgewall.fleet", Value: f.name}, {Key: "surgewall.replicas.to", Value: rec.To}},
	}
	if rec.Written {
		write.End = written.at
	}
	wrote := f.options.Trace(write)
	if rec.Written && rec.To > rec.From && f.awaited.trace == "" {
		f.awaited = awaited{trace: wrote, from: written.at, ready: ready, to: rec.To}
	}
	return context
}

// traceReady records the time to the first pod that became Ready after a
// scale-out. Pods that go meanwhile must not hide it.
func (f *Fleet) traceReady(ready int, now time.Time) {
	a := f.awaited
	switch {
	case a.trace == "":
	case now.Sub(a.from) > readyFor:
		f.awaited = awaited{}
	case ready > a.ready:
		f.awaited = awaited{}
		f.options.Trace(span.Span{
			Name: "first Ready pod", Parent: a.trace, Start: a.from, End: now, Attributes: []span.Attribute{
				{Key: "surgewall.fleet", Value: f.name}, {Key: "surgewall.replicas.ready", Value: ready}, {Key: "surgewall.replicas.to", Value: a.to},
			},
		})
	default:
		f.awaited.ready = ready
	}
}
