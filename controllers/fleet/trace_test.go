package fleet

import (
	"fmt"
	"slices"
	"testing"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/span"
)

func context16(n int) string { return fmt.Sprintf("00-%032x-%016x-01", 7, n) }

// TestAScaleOutIsATrace follows one spike: what led to the decision, the write, and the first Ready pod, which comes late.
func TestAScaleOutIsATrace(t *testing.T) {
	r := newRoom()
	var spans []span.Span
	r.options.Trace = func(s span.Span) string {
		spans = append(spans, s)
		return context16(100 + len(spans))
	}
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	if len(spans) != 0 {
		t.Fatalf("spans of a quiet fleet: %v", spans)
	}
	r.load.set(autoscale.Live, 1000)
	r.load.reading.Traces = []string{context16(1), context16(2), context16(3)}
	r.ticks(1)
	wrote := r.now
	if len(spans) != 2 {
		t.Fatalf("spans %v", spans)
	}
	decision, write := spans[0], spans[1]
	if decision.Name != "decision" || decision.Parent != context16(1) || !slices.Equal(decision.Links, []string{context16(2), context16(3)}) || !decision.Start.Equal(wrote) {
		t.Errorf("decision: %+v", decision)
	}
	if write.Name != "scale write" || write.Parent != context16(101) || write.Error != "" || !write.End.Equal(wrote) {
		t.Errorf("write: %+v", write)
	}
	event, err := events.Decode(r.wire.messages[len(r.wire.messages)-1])
	if err != nil || event.TraceParent != context16(101) {
		t.Errorf("the decision on the bus is in the trace %q, %v", event.TraceParent, err)
	}

	r.cluster.mu.Lock()
	r.cluster.lag = 4 // nobody is Ready yet
	r.cluster.mu.Unlock()
	r.ticks(3)
	if len(spans) != 2 {
		t.Fatalf("more spans before a pod is Ready: %+v", spans[2:])
	}
	r.cluster.mu.Lock()
	r.cluster.lag = 0
	r.cluster.mu.Unlock()
	r.ticks(5)
	if len(spans) != 3 || spans[2].Name != "first Ready pod" || spans[2].Parent != context16(102) || spans[2].End.Sub(spans[2].Start).Seconds() != 4 {
		t.Errorf("after the first Ready pod: %+v", spans[2:])
	}
}

// TestAFailedWriteIsASpanToo: a trace that ends in an error says which.
func TestAFailedWriteIsASpanToo(t *testing.T) {
	r := newRoom()
	var spans []span.Span
	r.options.Trace = func(s span.Span) string { spans = append(spans, s); return context16(len(spans)) }
	r.SetPolicy("edge", "7", nil)
	r.ticks(20)
	r.cluster.mu.Lock()
	r.cluster.down = apiError("the API server is away")
	r.cluster.mu.Unlock()
	r.load.set(autoscale.Live, 1000)
	if err := r.ticks(1); err == nil {
		t.Fatal("written all the same")
	}
	if len(spans) != 2 || spans[0].Parent != "" || spans[1].Error == "" {
		t.Errorf("%+v", spans)
	}
}
