package load

import (
	"maps"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Second is what happened in one second of a run.
type Second struct {
	T         int               `json:"t"`         // seconds since the start, from 1
	Offered   float64           `json:"offered"`   // requests that were meant to be sent in it
	Completed uint64            `json:"completed"` // requests that ended in it, failed ones included
	Failed    uint64            `json:"failed"`
	Hits      float64           `json:"hits"` // share of the answers with a Cache-Status that the edge had in store, 0 to 1
	Statuses  map[string]uint64 `json:"statuses,omitempty"`
	Errors    map[string]uint64 `json:"errors,omitempty"`
	P50       Duration          `json:"p50"`
	P99       Duration          `json:"p99"`
}

// Result is a whole run. Latencies count from when a request was meant to be sent, so a stall shows in every request that it delayed.
type Result struct {
	Profile   string            `json:"profile"`
	Targets   []string          `json:"targets"`
	Started   time.Time         `json:"started"`
	Length    Duration          `json:"length"`
	Planned   uint64            `json:"planned"`
	Completed uint64            `json:"completed"`
	Failed    uint64            `json:"failed"`
	PeakRPS   float64           `json:"peak_rps"` // most requests completed in one second
	Hits      float64           `json:"hits"`
	Statuses  map[string]uint64 `json:"statuses"`
	Errors    map[string]uint64 `json:"errors,omitempty"`
	Examples  []string          `json:"examples,omitempty"` // first failures in full
	Bytes     uint64            `json:"bytes"`
	Connected uint64            `json:"connections"`
	Resent    uint64            `json:"resent"`  // requests that net/http sent again on another connection
	MaxLag    Duration          `json:"max_lag"` // latest start of a request after the time it was meant for
	P50       Duration          `json:"p50"`
	P90       Duration          `json:"p90"`
	P99       Duration          `json:"p99"`
	P999      Duration          `json:"p999"`
	Max       Duration          `json:"max"`
	Seconds   []Second          `json:"seconds"`
}

// Duration is a time.Duration that is written as text, such as "1.5ms".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// String has three significant digits or so: more would claim a precision that a shared machine does not have.
func (d Duration) String() string {
	v := time.Duration(d)
	for unit := time.Second; unit > time.Nanosecond; unit /= 10 {
		if v >= unit {
			return v.Round(unit / 100).String()
		}
	}
	return v.String()
}

// tally adds results up. It belongs to one goroutine.
type tally struct {
	completed, failed uint64
	statuses, errors  map[string]uint64
	latencies         vegeta.LatencyMetrics
}

func newTally() tally { return tally{statuses: map[string]uint64{}, errors: map[string]uint64{}} }

func (t *tally) add(status, kind string, latency time.Duration) {
	t.completed++
	if kind == "" {
		t.statuses[status]++
	} else {
		t.failed++
		t.errors[kind]++
	}
	t.latencies.Add(latency)
}

func (t *tally) hits() float64 {
	known := 0.0
	for status, n := range t.statuses {
		if status != "none" {
			known += float64(n)
		}
	}
	if known == 0 {
		return 0
	}
	return float64(t.statuses["hit"]+t.statuses["stale"]) / known
}

func (t *tally) quantile(q float64) Duration {
	if t.completed == 0 {
		return 0
	}
	return Duration(t.latencies.Quantile(q))
}

func (t *tally) second(n int, offered float64) Second {
	return Second{
		T: n, Offered: offered, Completed: t.completed, Failed: t.failed, Hits: t.hits(),
		Statuses: maps.Clone(t.statuses), Errors: maps.Clone(t.errors), P50: t.quantile(0.5), P99: t.quantile(0.99),
	}
}

// errorKind names a failure in few words, so that a thousand of them make one line; "" is a success.
func errorKind(code uint16, text string) string {
	if text == "" {
		return ""
	}
	if code != 0 {
		return "status " + text[:min(len(text), 3)]
	}
	for _, k := range [...]struct{ part, kind string }{
		{"Client.Timeout", "timeout"}, {"deadline exceeded", "timeout"}, {"connection refused", "connection refused"},
		{"connection reset", "connection reset"}, {"wrong body", "wrong body"}, {"unexpected EOF", "body cut"}, {"EOF", "closed before the answer"},
		{"broken pipe", "connection reset"}, {"server closed", "closed before the answer"}, {"no such host", "no such host"}, {"not a loopback", "not a loopback address"},
	} {
		if strings.Contains(text, k.part) {
			return k.kind
		}
	}
	return "other"
}
