package tier

import (
	"strings"
	"testing"

	"github.com/surgewall/surgewall/config"
)

func TestMemoryIsDivided(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		limit, cache int64
		heap         int64
		waiters      int
	}{
		{0, 512 * mib, 0, 0}, // the engine's default
		{gib, 512 * mib, gib/10*9 + gib%10 - 512*mib, 6990},
		{256 * mib, 64 * mib, 256*mib/10*9 + 6 - 64*mib, 2839},
		{64 * mib, 16 * mib, 64*mib/10*9 + 4 - 16*mib, 709},
		{6 * gib, 4 * gib, 6*gib/10*9 + 4 - 4*gib, 20_000},
		{100 * mib, 58 * mib, 100*mib/10*9 - 58*mib, 546},
	} {
		m, err := divide(c.limit, c.cache)
		if err != nil || m.Heap != c.heap || m.Waiters != c.waiters || m.Cache != c.cache || m.Limit != c.limit {
			t.Errorf("%d MiB with a cache of %d MiB: %+v, %v; want a heap of %d and %d waiters", c.limit/mib, c.cache/mib, m, err, c.heap, c.waiters)
		}
	}
}

// TestACacheThatDoesNotFitIsRefused rather than killed when it is full.
func TestACacheThatDoesNotFitIsRefused(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		limit, cache int64
		want         string
	}{
		{512 * mib, 512 * mib, `cache-size: "512MiB" is not allowed: want at most 428MiB, or more memory for the process: it may take 512MiB`},
		{512 * mib, 429 * mib, `want at most 428MiB`},
		{30 * mib, mib, `want more memory for the process: it may take 30MiB`},
	} {
		if _, err := divide(c.limit, c.cache); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d of %d MiB: error %v, want %q", c.cache/mib, c.limit/mib, err, c.want)
		}
	}
	if _, err := divide(512*mib, 428*mib); err != nil {
		t.Errorf("what is said to fit: %v", err)
	}
	if _, err := divide(1<<30, int64(config.NewEdge().CacheSize)); err != nil {
		t.Errorf("the default in a pod of 1 GiB: %v", err)
	}
}
