package boot

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx/fxtest"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/span"
)

func TestTracingIsOffUntilACollectorIsNamed(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	var taken atomic.Int32
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			taken.Add(1)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	tracing, err := newTracing("edge", config.NewProcess(), fxtest.NewLifecycle(t), zerolog.Nop())
	if tracing != nil || err != nil || tracing.Recorder() != nil {
		t.Errorf("without a collector there is %v, %v", tracing, err)
	}
	for _, way := range []string{"flag", "environment"} {
		process := config.NewProcess()
		if way == "flag" {
			process.OTLPEndpoint = collector.URL
		} else {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
		}
		lifecycle := fxtest.NewLifecycle(t)
		tracing, err := newTracing("edge", process, lifecycle, zerolog.New(io.Discard))
		if err != nil {
			t.Fatal(err)
		}
		lifecycle.RequireStart()
		before := taken.Load()
		if context := tracing.Recorder()(span.Span{Name: "hot window", Start: time.Now(), End: time.Now()}); !strings.HasPrefix(context, "00-") {
			t.Errorf("by %s: context %q", way, context)
		}
		lifecycle.RequireStop() // sends what is left
		if taken.Load() != before+1 {
			t.Errorf("by %s: the collector was not asked", way)
		}
	}
}
