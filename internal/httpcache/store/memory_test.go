package store_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/httpcache/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(_ *testing.T, maxBytes int64) store.Store { return store.NewMemory(maxBytes) })
}

func TestBodyWriteRange(t *testing.T) {
	whole := []byte("0123456789")
	b := store.NewBody(whole[:3], whole[3:3], whole[3:4], whole[4:])
	for offset := range int64(12) {
		for n := range int64(12) {
			var got bytes.Buffer
			written, err := b.WriteRange(&got, offset, n)
			from := min(offset, 10)
			want := whole[from:min(from+n, 10)]
			if err != nil || written != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("%d+%d: %q, error %v; want %q", offset, n, got.Bytes(), err, want)
			}
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := store.NewMemory(64 << 20)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("http://example.com/", i)
		s.Put(storetest.Object(keys[i], 1000))
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(1000); pb.Next(); i++ {
			s.Get(keys[i%1000])
		}
	})
}

// BenchmarkZipf reports the hit ratio for a popularity like that of web
// objects, the store holding a hundredth of them.
func BenchmarkZipf(b *testing.B) {
	s := store.NewMemory(2 << 20)
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.05, 1, 100_000)
	hits := 0
	for b.Loop() {
		key := fmt.Sprint(z.Uint64())
		if _, ok := s.Get(key); ok {
			hits++
		} else {
			s.Put(storetest.Object(key, 1000))
		}
	}
	b.ReportMetric(float64(hits)/float64(b.N), "hit-ratio")
}
