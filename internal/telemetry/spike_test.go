package telemetry

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/edge"
	"github.com/surgewall/surgewall/events"
)

// target is a Deployment whose new pods are Ready after a while.
type target struct {
	mu      sync.Mutex
	spec    int
	ready   int
	readyAt time.Time // of those that are asked for
}

func (s *target) Deployment(string) (autoscale.Target, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.readyAt.IsZero() && !time.Now().Before(s.readyAt) {
		s.ready = s.spec
	}
	return autoscale.Target{Spec: s.spec, Ready: s.ready}, nil
}

func (s *target) Scale(context.Context, string) (int, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec, "1", nil
}

func (s *target) SetScale(_ context.Context, _, _ string, replicas int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readyAt.IsZero() {
		s.readyAt = time.Now().Add(7 * time.Second)
	}
	s.spec = replicas
	return nil
}

func (*target) Floor(context.Context, string) (int, string, error)  { return 0, "", nil }
func (*target) SetFloor(context.Context, string, string, int) error { return nil }
func (*target) Pending(string) (int, string)                        { return 0, "" }
func (*target) StartTime(string) time.Duration                      { return 7 * time.Second }
func (*target) Leading() bool                                       { return true }
func (*target) Leader() string                                      { return "c-1" }
func (*target) Identity() string                                    { return "c-1" }
func (*target) OnDeployment(_ string, _ bool, _, _ string)          {}
func (*target) OnPolicy(_ string, _ bool, _, _ string)              {}

type toController struct{ in *ingest.Ingest }

func (p toController) Publish(m events.Message) { p.in.Handle(m) }

// TestASpikeIsOneTrace lets the load of a real edge grow in front of a real controller, each with its own provider as in its own process: from the hot
// window to the first Ready pod it is one trace.
func TestASpikeIsOneTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		edgeSpans, controllerSpans := tracetest.NewInMemoryExporter(), tracetest.NewInMemoryExporter()
		edgeTracing := newTracing(sdk.NewSimpleSpanProcessor(edgeSpans), Process{Binary: "edge"})
		controllerTracing := newTracing(sdk.NewSimpleSpanProcessor(controllerSpans), Process{Binary: "controller"})
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		defer group.Wait()
		defer stop()

		var fleets *fleet.Manager
		in := ingest.New(ingest.Options{Replica: "c-1", Poke: func(name string) { fleets.Poke(name) }, Logger: zerolog.Nop()})
		sender, cluster := ingest.NewSender("c-1", "boot-0001"), &target{spec: 2, ready: 2}
		fleets = fleet.NewManager(fleet.Options{
			Scaler: cluster, Signals: in, Leadership: cluster, Recorder: cluster, Publisher: toController{in}, Sender: sender,
			Trace: controllerTracing.Recorder(), Logger: zerolog.Nop(),
		})
		fleets.SetPolicy("sports", "1", map[string]string{"target-rps-per-edge": "100", "max-replicas": "50"})
		meter := edge.NewMeter()
		reporter := edge.NewReporter(edge.ReporterOptions{
			Fleet: "sports", Pod: "edge-1", BootID: "boot-0002", Meter: meter, Publisher: toController{in}, Trace: edgeTracing.Recorder(), Logger: zerolog.Nop(),
		})
		group.Go(func() { _ = fleets.Run(ctx) })
		group.Go(func() { _ = reporter.Run(ctx) })
		group.Go(func() { _ = ingest.Canary{Sender: sender, To: toController{in}}.Run(ctx) })
		arrive := meter.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		load := func(rps int, d time.Duration) {
			for range int(d / (10 * time.Millisecond)) {
				for range rps / 100 {
					arrive.ServeHTTP(nil, nil)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		load(100, 30*time.Second)
		if len(edgeSpans.GetSpans())+len(controllerSpans.GetSpans()) > 0 {
			t.Fatalf("spans without a spike: %d and %d", len(edgeSpans.GetSpans()), len(controllerSpans.GetSpans()))
		}
		load(1000, 10*time.Second)
		synctest.Wait()

		hot := edgeSpans.GetSpans()
		if len(hot) == 0 || hot[0].Name != "hot window" {
			t.Fatalf("of the edge: %v", hot)
		}
		find := func(name string) tracetest.SpanStub {
			for _, s := range controllerSpans.GetSpans() {
				if s.Name == name {
					return s
				}
			}
			t.Fatalf("no span %q among %d", name, len(controllerSpans.GetSpans()))
			return tracetest.SpanStub{}
		}
		before := hot[0]
		for _, name := range []string{"decision", "scale write", "first Ready pod"} {
			s := find(name)
			if s.SpanContext.TraceID() != hot[0].SpanContext.TraceID() || s.Parent.SpanID() != before.SpanContext.SpanID() {
				t.Errorf("%s is in the trace %v below %v, want %v below %v (%s)", name, s.SpanContext.TraceID(), s.Parent.SpanID(),
					hot[0].SpanContext.TraceID(), before.SpanContext.SpanID(), before.Name)
			}
			if s.StartTime.Before(before.StartTime) {
				t.Errorf("%s began before %s", name, before.Name)
			}
			before = s
		}
		ready := find("first Ready pod")
		if took := ready.EndTime.Sub(hot[0].StartTime); took < 7*time.Second || took > 10*time.Second {
			t.Errorf("from the hot window to the first Ready pod: %v", took)
		}
	})
}
