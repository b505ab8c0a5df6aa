package edge

import (
	"sync"

	"github.com/axiomhq/hyperloglog"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/httpcache"
)

// trackedKeys is how many keys are followed to find the events.MaxTop most frequent: ten times as many, so that each key with more
// than half a percent of a window's requests is surely among them.
const trackedKeys = 10 * events.MaxTop

// keys counts by cache key within one window.
type keys struct {
	mu       sync.Mutex
	misses   uint64              // guarded by mu, as the rest
	missing  topK                // keys that had to be fetched
	distinct *hyperloglog.Sketch // of them
	hot      topK                // all keys
}

// sketchPrecision makes the estimate of distinct keys good to 1.6%, in 4 KiB at most: it has to fit into an event.
const sketchPrecision = 12

// observe counts one request. Those that found no stored response are counted exactly. A request that finds the lock taken does not wait in order to count as
// hot: such requests are a random sample of all of them, so the order of the hot keys remains, and their counts are lower bounds.
func (k *keys) observe(key string, status httpcache.Status) {
	switch status {
	case httpcache.StatusMiss, httpcache.StatusCollapsed, httpcache.StatusBypass, httpcache.StatusError:
		k.mu.Lock()
		defer k.mu.Unlock()
		k.misses++
		k.missing.add(key)
		k.distinct.Insert([]byte(key))
	default:
		if !k.mu.TryLock() {
			return
		}
		defer k.mu.Unlock()
	}
	k.hot.add(key)
}

func (k *keys) reset() {
	// The only error is a precision out of range.
	distinct, err := hyperloglog.NewSketch(sketchPrecision, true)
	if err != nil {
		panic(err)
	}
	k.misses, k.distinct = 0, distinct
	k.missing, k.hot = newTopK(trackedKeys), newTopK(trackedKeys)
}

// take returns the window so far, without its length, and begins the next. The result is nil when there was no miss.
func (k *keys) take() *events.Miss {
	k.mu.Lock()
	window := keys{misses: k.misses, missing: k.missing, distinct: k.distinct, hot: k.hot}
	k.reset()
	k.mu.Unlock()
	if window.misses == 0 {
		return nil
	}
	sketch, err := window.distinct.MarshalBinary()
	if err != nil || len(sketch) > events.MaxSketch {
		sketch = nil // the estimate below tells most of it
	}
	return &events.Miss{
		Misses: window.misses, Distinct: window.distinct.Estimate(), Sketch: sketch,
		TopMissing: keyCounts(window.missing), TopHot: keyCounts(window.hot),
	}
}

func keyCounts(t topK) []events.KeyCount {
	var counts []events.KeyCount
	for _, entry := range t.top(events.MaxTop) {
		counts = append(counts, events.KeyCount{Key: events.CleanKey(entry.key), Count: entry.count})
	}
	return counts
}
