package events

import (
	"errors"
	"fmt"
	"time"
)

// TypeMiss is the CloudEvents type of Miss.
const TypeMiss = "io.surgewall.edge.miss.v1"

const (
	// MaxTop bounds each list of keys. Two full lists of the longest keys and a sketch fit into MaxBody even when every byte is escaped.
	MaxTop = 20
	// MaxKey bounds a cache key in bytes; see CleanKey.
	MaxKey = 512
)

// Miss says which keys one edge had to forward in one window. There is one per window with misses, never one per request.
type Miss struct {
	// WindowMS is the window's length in milliseconds on the sender's monotonic clock, 1 to MaxWindowMS.
	WindowMS int64 `json:"window_ms"`
	// Misses counts the requests that found no stored response. It must be present.
	Misses uint64 `json:"misses"`
	// Distinct estimates the number of different keys among them.
	Distinct uint64 `json:"distinct"`
	// Sketch is the mergeable sketch that Distinct came from, at most MaxSketch bytes; optional and opaque to the codec.
	Sketch []byte `json:"sketch,omitempty"`
	// TopMissing are the keys that missed most, TopHot those that were asked for most; at most MaxTop each, most frequent first.
	TopMissing []KeyCount `json:"top_missing,omitempty"`
	TopHot     []KeyCount `json:"top_hot,omitempty"`
}

// KeyCount is how often a cache key was asked for.
type KeyCount struct {
	// Key is 1 to MaxKey bytes of printable UTF-8; see CleanKey.
	Key   string `json:"key"`
	Count uint64 `json:"count"`
}

// CleanKey returns a key that Miss may carry: a longer one is cut, and what is not printable becomes '?'. Keys are for people and for
// prefetch hints, so two long keys with one beginning may become equal.
func CleanKey(key string) string { return CleanText(key, MaxKey) }

// Window is the window's length.
func (m *Miss) Window() time.Duration { return time.Duration(m.WindowMS) * time.Millisecond }

// complete refuses a body without a count.
func (m *Miss) complete() error {
	if m.Misses == unset {
		return errors.New("misses is missing")
	}
	return nil
}

func (*Miss) eventType() string { return TypeMiss }

func (*Miss) address(s Sender) (exchange, key string) {
	return ExchangeTelemetry, "miss." + s.Fleet + "." + s.Pod
}

func (m *Miss) validate() error {
	return all(
		within("window_ms", m.WindowMS, 1, MaxWindowMS),
		count("misses", m.Misses),
		count("distinct", m.Distinct),
		size("sketch", m.Sketch, MaxSketch),
		top("top_missing", m.TopMissing),
		top("top_hot", m.TopHot),
	)
}

func top(field string, list []KeyCount) error {
	if len(list) > MaxTop {
		return fmt.Errorf("%s has %d entries, at most %d are allowed", field, len(list), MaxTop)
	}
	for i, kc := range list {
		if kc.Key == "" {
			return fmt.Errorf("%s[%d].key is empty", field, i)
		}
		// Names are put together for the error alone: nearly every key is good.
		if len(kc.Key) > MaxKey || !printable(kc.Key) {
			return text(field+".key", kc.Key, MaxKey)
		}
		if kc.Count > MaxCount {
			return count(field+".count", kc.Count)
		}
	}
	return nil
}
