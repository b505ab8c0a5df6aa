// Package telemetry exports metrics in the Prometheus format: what the tiers count themselves is read when somebody asks, and only
// distributions are recorded here.
package telemetry

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Registry holds the metrics of one process. It is safe for concurrent use. Names start with surgewall_, counters end in _total, and
// units are base units (seconds, bytes), as Prometheus' naming practice asks.
type Registry struct {
	prometheus *prometheus.Registry

	mu    sync.Mutex
	funcs []Func // all that are ours, for Metrics
}

// NewRegistry returns a registry with the metrics of the Go runtime, of the process and of the build.
func NewRegistry(binary, version string) *Registry {
	r := &Registry{prometheus: prometheus.NewRegistry()}
	r.prometheus.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.Register(Func{
		Name: "surgewall_build_info", Help: "One; the labels tell which binary and version runs.", Kind: Gauge, Labels: []string{"binary", "version"},
		Read: func(report func(float64, ...string)) { report(1, binary, version) },
	})
	return r
}

// Handler answers with all metrics.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.prometheus, promhttp.HandlerOpts{Registry: r.prometheus})
}

// Kind tells a counter from a gauge.
type Kind = prometheus.ValueType

// The kinds of metric that are read when asked for.
const (
	Counter Kind = prometheus.CounterValue
	Gauge   Kind = prometheus.GaugeValue

	histogram Kind = -1 // is recorded here, not read
)

// Func describes a metric whose values are read when somebody asks for the metrics.
type Func struct {
	Name   string   // surgewall_…
	Help   string   // one sentence
	Kind   Kind     // Counter or Gauge
	Labels []string // names, in the order of the values that Read reports; their values must come from a small fixed set
	// Read reports every value. It may be called concurrently, and has to be quick.
	Read func(report func(value float64, labels ...string))
}

// Register adds a metric. It panics when the name is taken, which is a mistake of the program.
func (r *Registry) Register(f Func) {
	r.prometheus.MustRegister(&reader{f, prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)})
	r.note(f)
}

func (r *Registry) note(f Func) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.funcs = append(r.funcs, f)
}

// Metric describes a metric of this registry, for a document.
type Metric struct {
	Name, Help string
	Kind       string // counter, gauge or histogram
	Labels     []string
}

// Metrics returns what was registered until now besides the metrics of the Go runtime and of the process, by name.
func (r *Registry) Metrics() []Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := map[Kind]string{Counter: "counter", Gauge: "gauge", histogram: "histogram"}
	var all []Metric
	for _, f := range r.funcs {
		all = append(all, Metric{Name: f.Name, Help: f.Help, Kind: kinds[f.Kind], Labels: f.Labels})
	}
	slices.SortFunc(all, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return all
}

type reader struct {
	Func
	desc *prometheus.Desc
}

func (r *reader) Describe(out chan<- *prometheus.Desc) { out <- r.desc }

func (r *reader) Collect(out chan<- prometheus.Metric) {
	r.Read(func(value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(r.desc, r.Kind, value, labels...)
	})
}

// Histogram records a distribution of seconds or bytes.
type Histogram struct{ prometheus.Histogram }

// Histogram adds a distribution with these upper bounds.
func (r *Registry) Histogram(name, help string, bounds ...float64) Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds})
	r.prometheus.MustRegister(h)
	r.note(Func{Name: name, Help: help, Kind: histogram})
	return Histogram{h}
}
