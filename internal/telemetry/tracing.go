package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/surgewall/surgewall/internal/span"
)

// Process says whose spans they are.
type Process struct {
	Binary   string // edge, shield, controller
	Version  string
	Instance string // pod
}

// Tracing sends spans to a collector. It is safe for concurrent use. What cannot be sent is dropped; nothing waits for it.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// NewTracing returns a Tracing that sends by OTLP over HTTP. The endpoint is the URL of the collector without /v1/traces; when it is empty the
// exporter takes everything from the standard's environment, OTEL_EXPORTER_OTLP_…, which holds for what the URL does not say in any case.
// Failed is told when spans were not taken; there is one for the whole process.
func NewTracing(ctx context.Context, endpoint string, p Process, failed func(error)) (*Tracing, error) {
	var options []otlptracehttp.Option
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil {
			return nil, fmt.Errorf("read the endpoint of the collector: %w", err)
		}
		options = append(options, otlptracehttp.WithEndpointURL(u.JoinPath("v1", "traces").String()))
	}
	// It dials nothing before there is something to send.
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of spans: %w", err)
	}
	// The library's only way to say that a collector is away.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	return newTracing(sdk.NewBatchSpanProcessor(exporter), p), nil
}

func newTracing(processor sdk.SpanProcessor, p Process) *Tracing {
	provider := sdk.NewTracerProvider(
		// There are a few spans per spike, and whoever looks for one wants them all.
		sdk.WithSampler(sdk.AlwaysSample()), sdk.WithSpanProcessor(processor),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.namespace", "surgewall"), attribute.String("service.name", "surgewall-"+p.Binary),
			attribute.String("service.version", p.Version), attribute.String("service.instance.id", p.Instance),
		)),
	)
	return &Tracing{provider: provider, tracer: provider.Tracer("github.com/surgewall/surgewall")}
}

// Recorder returns what records spans, nil for a nil Tracing.
func (t *Tracing) Recorder() span.Recorder {
	if t == nil {
		return nil
	}
	return t.record
}

// Close sends what is left, or gives up when the context ends.
func (t *Tracing) Close(ctx context.Context) error {
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

func (t *Tracing) record(s span.Span) string {
	options := []trace.SpanStartOption{trace.WithTimestamp(s.Start), trace.WithAttributes(attributes(s.Attributes)...)}
	for _, link := range s.Links {
		if c := trace.SpanContextFromContext(remote(link)); c.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: c}))
		}
	}
	ctx, started := t.tracer.Start(remote(s.Parent), s.Name, options...)
	if s.Error != "" {
		started.SetStatus(codes.Error, s.Error)
	}
	started.End(trace.WithTimestamp(s.End))
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// remote returns a context with the span that a traceparent names; a bad one names none.
func remote(traceparent string) context.Context {
	ctx := context.Background()
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

func attributes(all []span.Attribute) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(all))
	for _, a := range all {
		key := attribute.Key(a.Key)
		switch v := a.Value.(type) {
		case string:
			out = append(out, key.String(strings.ToValidUTF8(v, "?"))) // a collector refuses a whole batch for one bad byte
		case int:
			out = append(out, key.Int(v))
		case int64:
			out = append(out, key.Int64(v))
		case float64:
			out = append(out, key.Float64(v))
		case bool:
			out = append(out, key.Bool(v))
		default:
			out = append(out, key.String(fmt.Sprint(v)))
		}
	}
	return out
}
