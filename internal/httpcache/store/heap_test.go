//go:build linux && !race

package store_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/httpcache/store/storetest"
)

// What is on the heap is small beside what the store holds, and what the store
// has taken from the system stays within its bound.
func TestHeapStaysSmall(t *testing.T) {
	for _, size := range []int{200, 1000, 64 << 10} {
		before := heap()
		s := store.NewMemory(16 << 20)
		for i := 0; s.Stats().Evictions == 0; i++ {
			s.Put(storetest.Object(fmt.Sprintf("http://example.com/some/path/%d", i), size))
		}
		used := heap() - before
		st := s.Stats()
		t.Logf("bodies of %d bytes: %d objects, %.0f each; heap %d KiB for %d KiB", size, st.Objects, float64(st.Bytes)/float64(st.Objects), used>>10, st.Bytes>>10)
		if used > 1<<20 {
			t.Errorf("bodies of %d bytes: %d KiB on the heap", size, used>>10)
		}
		if st.Bytes < st.MaxBytes*9/10 {
			t.Errorf("bodies of %d bytes: the first was evicted at %d of %d bytes", size, st.Bytes, st.MaxBytes)
		}
		runtime.KeepAlive(s)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
