package edge

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/span"
)

// TestOnlyAHotWindowIsASpan: the event carries its context, the quiet ones carry none.
func TestOnlyAHotWindowIsASpan(t *testing.T) {
	const context = "00-00000000000000000000000000000007-0000000000000001-01"
	var spans []span.Span
	tell(t, func(t *testing.T, s *story) {
		s.reporter.o.Trace = func(sp span.Span) string { spans = append(spans, sp); return context }
		s.load(1, 10*time.Second)
		if len(spans) != 0 {
			t.Errorf("spans of a quiet edge: %v", spans)
		}
		s.load(10, time.Second)
		for _, e := range s.take() {
			rate, ok := e.Body.(*events.Rate)
			if want := ok && rate.Early; (e.TraceParent == context) != want || !want && e.TraceParent != "" {
				t.Errorf("%T, early %v, is in the trace %q", e.Body, want, e.TraceParent)
			}
		}
	})
	if len(spans) == 0 || spans[0].Name != "hot window" || !spans[0].Start.Before(spans[0].End) {
		t.Errorf("spans %v", spans)
	}
}

type nowhere struct{}

func (nowhere) Publish(events.Message) {}

// BenchmarkReport is one report of a busy second, with nobody who collects spans: a quiet window, and a hot one.
func BenchmarkReport(b *testing.B) {
	for name, early := range map[string]bool{"quiet": false, "hot": true} {
		b.Run(name, func(b *testing.B) {
			r := NewReporter(ReporterOptions{Fleet: "sports", Pod: "edge-1", BootID: "abcdefgh", Meter: NewMeter(), Publisher: nowhere{}, Logger: zerolog.Nop()})
			now := time.Now()
			w := r.begin(now)
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Second)
				r.publish(w, now, early)
			}
		})
	}
}
