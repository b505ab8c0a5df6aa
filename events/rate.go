package events

import (
	"errors"
	"time"
)

// TypeRate is the CloudEvents type of Rate.
const TypeRate = "io.surgewall.edge.rate.v1"

// MaxSketch bounds an encoded sketch in bytes.
const MaxSketch = 8 << 10

// Rate says what one edge was asked for in one window. An idle edge sends explicit zeros: silence is never zero traffic.
// Windows of one boot follow each other without a gap and never overlap; an early one ends the current window.
type Rate struct {
	// WindowMS is the window's length in milliseconds on the sender's monotonic clock, 1 to MaxWindowMS.
	WindowMS int64 `json:"window_ms"`
	// Offered counts the requests that arrived in the window: served, shed and queued. It must be present.
	Offered uint64 `json:"offered"`
	// RecentMS and Recent are the length of the end of the window, and the requests that arrived in it: what a change looks like while the
	// window still mixes before and after. Zero RecentMS: the window says it all.
	RecentMS int64  `json:"recent_ms,omitempty"`
	Recent   uint64 `json:"recent,omitempty"`
	// Status counts the requests that ended in the window by their cache status.
	Status StatusCounts `json:"status"`
	// BytesOut counts body bytes sent to clients, BytesIn those received from the next tier.
	BytesOut uint64 `json:"bytes_out"`
	BytesIn  uint64 `json:"bytes_in"`
	// InFlight is the number of requests under way when the window ended, InFlightPeak its maximum during the window.
	InFlight     uint64 `json:"in_flight"`
	InFlightPeak uint64 `json:"in_flight_peak"`
	// Latency is a mergeable sketch of the times to first byte in seconds, at most MaxSketch bytes; see internal/latency. It is opaque to
	// the codec.
	Latency []byte `json:"latency,omitempty"`
	// Capacity hints at what the edge could do.
	Capacity Capacity `json:"capacity"`
	// Warm is the part of its hot objects that the edge holds, 0 to 1.
	Warm float64 `json:"warm"`
	// Draining is set from the moment the edge no longer wants new clients.
	Draining bool `json:"draining,omitempty"`
	// Early marks a window that was cut short because the edge's own short count jumped.
	Early bool `json:"early,omitempty"`
}

// StatusCounts counts requests by what the cache did with them.
type StatusCounts struct {
	Hit         uint64 `json:"hit"`
	Miss        uint64 `json:"miss"`
	Stale       uint64 `json:"stale"`
	Revalidated uint64 `json:"revalidated"`
	Collapsed   uint64 `json:"collapsed"`
	Error       uint64 `json:"error"`
	Shed        uint64 `json:"shed"`
	Bypass      uint64 `json:"bypass"`
}

// Sum is the number of requests that ended. It can differ from what was offered in the same window: requests outlive windows.
func (s StatusCounts) Sum() uint64 {
	return s.Hit + s.Miss + s.Stale + s.Revalidated + s.Collapsed + s.Error + s.Shed + s.Bypass
}

// Capacity hints at what an edge could do. Zero means unknown.
type Capacity struct {
	// CPU is the number of processors it may use.
	CPU float64 `json:"cpu,omitempty"`
	// Connections is the number of client connections it accepts.
	Connections uint64 `json:"connections,omitempty"`
	// MaxRPS is the highest rate in requests per second that it was seen to serve well.
	MaxRPS float64 `json:"max_rps,omitempty"`
}

// Window is the window's length.
func (r *Rate) Window() time.Duration { return time.Duration(r.WindowMS) * time.Millisecond }

// RPS is the offered rate in requests per second.
func (r *Rate) RPS() float64 { return float64(r.Offered) * 1000 / float64(max(r.WindowMS, 1)) }

// complete refuses a body without a count: what was left out must not read as zero traffic.
func (r *Rate) complete() error {
	if r.Offered == unset {
		return errors.New("offered is missing")
	}
	return nil
}

// End is the rate in requests per second of the end of the window, and its length; the whole window's where the end is not told, or
// contradicts it.
func (r *Rate) End() (rps float64, length time.Duration) {
	if r.RecentMS <= 0 || r.RecentMS >= r.WindowMS || r.Recent > r.Offered {
		return r.RPS(), r.Window()
	}
	return float64(r.Recent) * 1000 / float64(r.RecentMS), time.Duration(r.RecentMS) * time.Millisecond
}

func (*Rate) eventType() string { return TypeRate }

func (*Rate) address(s Sender) (exchange, key string) {
	return ExchangeTelemetry, "rate." + s.Fleet + "." + s.Pod
}

func (r *Rate) validate() error {
	return all(
		within("window_ms", r.WindowMS, 1, MaxWindowMS),
		count("offered", r.Offered),
		within("recent_ms", r.RecentMS, 0, MaxWindowMS), count("recent", r.Recent),
		count("status.hit", r.Status.Hit), count("status.miss", r.Status.Miss),
		count("status.stale", r.Status.Stale), count("status.revalidated", r.Status.Revalidated),
		count("status.collapsed", r.Status.Collapsed), count("status.error", r.Status.Error),
		count("status.shed", r.Status.Shed), count("status.bypass", r.Status.Bypass),
		count("bytes_out", r.BytesOut), count("bytes_in", r.BytesIn),
		count("in_flight", r.InFlight), count("in_flight_peak", r.InFlightPeak),
		size("latency", r.Latency, MaxSketch),
		number("capacity.cpu", r.Capacity.CPU, 4096),
		count("capacity.connections", r.Capacity.Connections),
		number("capacity.max_rps", r.Capacity.MaxRPS, 1e9),
		number("warm", r.Warm, 1),
	)
}
