package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/surgewall/surgewall/internal/span"
)

var start = time.Date(2026, 6, 14, 20, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func TestSpansAreLinkedAsTheySay(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracing := newTracing(sdk.NewSimpleSpanProcessor(exporter), Process{Binary: "edge", Version: "test", Instance: "edge-1"})
	record := tracing.Recorder()
	first := record(span.Span{Name: "hot window", Start: at(0), End: at(.25)})
	second := record(span.Span{Name: "hot window", Start: at(0), End: at(.3)})
	decision := record(span.Span{
		Name: "decision", Parent: first, Links: []string{second, "", "00-bad"}, Start: at(.4), End: at(.5), Error: "no",
		Attributes: []span.Attribute{{Key: "a", Value: "b\xff"}, {Key: "n", Value: 3}, {Key: "f", Value: 1.5}, {Key: "t", Value: true}, {Key: "d", Value: time.Second}},
	})
	orphan := record(span.Span{Name: "decision", Parent: "no trace context", Start: at(1), End: at(2)})
	spans := exporter.GetSpans()
	if len(spans) != 4 {
		t.Fatalf("%d spans", len(spans))
	}
	one, d := spans[0], spans[2]
	if d.SpanContext.TraceID() != one.SpanContext.TraceID() || d.Parent.SpanID() != one.SpanContext.SpanID() || !d.Parent.IsRemote() {
		t.Errorf("the decision is in %v below %v, the hot window is %v", d.SpanContext.TraceID(), d.Parent.SpanID(), one.SpanContext)
	}
	if len(d.Links) != 1 || d.Links[0].SpanContext.SpanID() != spans[1].SpanContext.SpanID() || d.Links[0].SpanContext.TraceID() == d.SpanContext.TraceID() {
		t.Errorf("links: %v", d.Links)
	}
	if !d.StartTime.Equal(at(.4)) || !d.EndTime.Equal(at(.5)) || d.Status.Description != "no" || len(d.Attributes) != 5 || d.Attributes[0].Value.AsString() != "b?" {
		t.Errorf("%+v", d)
	}
	if spans[3].Parent.IsValid() || spans[3].SpanContext.TraceID() == d.SpanContext.TraceID() {
		t.Error("a span without a parent has one")
	}
	if want := "00-" + d.SpanContext.TraceID().String() + "-" + d.SpanContext.SpanID().String() + "-01"; decision != want || orphan == "" {
		t.Errorf("trace context %s, want %s", decision, want)
	}
	var none *Tracing
	if none.Recorder() != nil {
		t.Error("nobody collects, but there is a recorder")
	}
}

// TestACollectorGetsTheSpans speaks the real protocol with a collector of one handler.
func TestACollectorGetsTheSpans(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var export collector.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &export)
		}
		if err != nil || r.URL.Path != "/base/v1/traces" || r.Method != http.MethodPost {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		got <- &export
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer server.Close()
	tracing, err := NewTracing(t.Context(), server.URL+"/base", Process{Binary: "controller", Version: "test", Instance: "controller-0"}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	tracing.Recorder()(span.Span{Name: "scale write", Start: at(0), End: at(1)})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := tracing.Close(ctx); err != nil {
		t.Fatal(err)
	}
	resource := (<-got).ResourceSpans[0]
	names := map[string]string{}
	for _, a := range resource.Resource.Attributes {
		names[a.Key] = a.Value.GetStringValue()
	}
	sent := resource.ScopeSpans[0].Spans[0]
	if names["service.name"] != "surgewall-controller" || names["service.instance.id"] != "controller-0" || sent.Name != "scale write" ||
		sent.StartTimeUnixNano != uint64(at(0).UnixNano()) || sent.EndTimeUnixNano != uint64(at(1).UnixNano()) {
		t.Errorf("of %v the collector got %v", names, sent)
	}
}
