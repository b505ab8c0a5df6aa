package telemetry_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/telemetry"
)

func scrape(t *testing.T, r *telemetry.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestValuesAreReadWhenAskedFor(t *testing.T) {
	r := telemetry.NewRegistry("edge", "v1")
	hits := 1.0
	r.Register(telemetry.Func{
		Name: "surgewall_requests_total", Help: "Requests.", Kind: telemetry.Counter, Labels: []string{"cache_status"},
		Read: func(report func(float64, ...string)) { report(hits, "hit"); report(2, "miss") },
	})
	for _, want := range []string{"1", "42"} {
		got := scrape(t, r)
		for _, line := range []string{
			`surgewall_requests_total{cache_status="hit"} ` + want, `surgewall_requests_total{cache_status="miss"} 2`,
			`surgewall_build_info{binary="edge",version="v1"} 1`, "# TYPE surgewall_requests_total counter", "go_goroutines",
		} {
			if !strings.Contains(got, line) {
				t.Errorf("metrics lack %q:\n%s", line, got)
			}
		}
		hits = 42
	}
}

func TestDistributions(t *testing.T) {
	r := telemetry.NewRegistry("edge", "v1")
	h := r.Histogram("surgewall_request_duration_seconds", "Time.", 0.01, 0.1)
	h.Observe(0.05)
	if got := scrape(t, r); !strings.Contains(got, `surgewall_request_duration_seconds_bucket{le="0.1"} 1`) {
		t.Error(got)
	}
}

func TestWhatWasRegisteredIsDescribed(t *testing.T) {
	r := telemetry.NewRegistry("edge", "v1")
	r.Histogram("surgewall_time_seconds", "Time.", 1)
	r.Register(telemetry.Func{Name: "surgewall_a_total", Help: "Things.", Kind: telemetry.Counter, Labels: []string{"outcome"}, Read: func(func(float64, ...string)) {}})
	want := []telemetry.Metric{
		{Name: "surgewall_a_total", Help: "Things.", Kind: "counter", Labels: []string{"outcome"}},
		{Name: "surgewall_build_info", Help: "One; the labels tell which binary and version runs.", Kind: "gauge", Labels: []string{"binary", "version"}},
		{Name: "surgewall_time_seconds", Help: "Time.", Kind: "histogram"},
	}
	if got := r.Metrics(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
