package tier

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/httpcache"
)

// Memory is how the memory that the process may take is divided, in bytes.
type Memory struct {
	Limit int64 // of the container or its like; 0: none is known
	Cache int64 // for stored responses, which are not on the Go heap
	Heap  int64 // for all else that Go manages; 0 without a limit
	// Waiters is how many requests may wait for one fetch; 0 is the engine's default.
	Waiters int
}

const (
	// leastHeap is what a process needs beside what it stores, in bytes.
	leastHeap = 32 << 20
	// mostWaiters is enough for any one object: beyond it something is wrong.
	mostWaiters = 20_000
)

// divide leaves a tenth of limit to the kernel, whose buffers of connections and
// pages on their way to clients count too, cache to what is stored, and the rest to
// the heap. Half of the heap is for those who wait for one object. The error says
// what cache-size would fit.
func divide(limit, cache int64) (Memory, error) {
	if limit <= 0 {
		return Memory{Cache: cache}, nil
	}
	usable := limit/10*9 + limit%10
	if cache > usable-leastHeap {
		want := fmt.Sprintf("more memory for the process: it may take %s, of which a tenth is left to the kernel and %s to all that is not stored",
			size(limit), size(leastHeap))
		if most := (usable - leastHeap) >> 20; most >= 1 {
			want = fmt.Sprintf("at most %dMiB, or %s", most, want)
		}
		return Memory{}, &config.Error{Key: "cache-size", Value: size(cache), Want: want}
	}
	m := Memory{Limit: limit, Cache: cache, Heap: usable - cache}
	m.Waiters = int(min(m.Heap/2/httpcache.WaiterBytes, mostWaiters))
	return m, nil
}

func size(n int64) string {
	b := config.Bytes(n)
	return b.String()
}

// NewMemory divides the memory that the process' cgroup allows, and tells Go's collector, which
// counts the heap only, what is the heap's. GOMEMLIMIT in the environment goes before that. The error
// names cache-size where that does not fit.
func NewMemory(settings config.Serving, logger zerolog.Logger) (Memory, error) {
	limit := int64(0)
	// Without an answer there is nothing to keep to: no cgroups, no limit, or files that nobody may read.
	if allowed, err := memlimit.FromCgroup(); err == nil && allowed < 1<<50 {
		limit = int64(allowed)
	}
	m, err := divide(limit, int64(settings.CacheSize))
	if err != nil {
		return Memory{}, err
	}
	if os.Getenv("GOMEMLIMIT") == "" && m.Heap > 0 {
		debug.SetMemoryLimit(m.Heap)
	}
	if m.Limit > 0 {
		logger.Info().Int64("limit", m.Limit).Int64("cache", m.Cache).Int64("heap", debug.SetMemoryLimit(-1)).Int("waiters_per_object", m.Waiters).Msg("memory divided")
	}
	return m, nil
}
