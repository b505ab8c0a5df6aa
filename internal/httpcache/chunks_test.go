package httpcache

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/surgewall/surgewall/internal/httpcache/store"
)

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// A few readers are woken for every write. A crowd is woken for a chunk's
// worth at once, and otherwise a moment later, so that no byte waits long.
func TestCrowdIsWokenForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChunks(-1, newChunkPool(store.NewMemory(1<<20)))
		write := func(n int, crowd bool) (wait <-chan struct{}) {
			_, wait, _ = c.next(c.size.Load())
			c.publish(copy(c.space(), make([]byte, n)), crowd)
			return wait
		}
		if !closed(write(10, false)) {
			t.Error("a few readers were not woken")
		}
		first := write(10, true)
		second := write(10, true)
		if closed(first) || closed(second) {
			t.Error("a crowd was woken for 20 bytes")
		}
		if p, _, _ := c.next(10); len(p) != 20 {
			t.Errorf("%d bytes to be seen by who looks, want 20", len(p))
		}
		time.Sleep(crowdDelay)
		synctest.Wait()
		if !closed(first) || !closed(second) {
			t.Error("a crowd was not woken after a moment")
		}
		write(chunkSize, true) // as much as the first chunk has room for
		if third := write(chunkSize, true); !closed(third) {
			t.Error("a crowd was not woken for a chunk")
		}
		last := write(10, true)
		c.finish(complete)
		if !closed(last) {
			t.Error("a crowd was not woken for the end")
		}
	})
}

// BenchmarkFanOut is 256 KiB that arrive in pieces of 512 bytes, one each 50 µs, for
// 5,000 readers.
func BenchmarkFanOut(b *testing.B) {
	for name, crowd := range map[string]bool{"each write": false, "crowd": true} {
		b.Run(name, func(b *testing.B) {
			const readers, total, piece = 5000, 256 << 10, 512
			var woken atomic.Int64
			for b.Loop() {
				c := newChunks(total, newChunkPool(store.NewMemory(1<<20)))
				done := make(chan struct{})
				for range readers {
					go func() {
						for offset := int64(0); offset < total; {
							p, wait, _ := c.next(offset)
							if offset += int64(len(p)); len(p) == 0 {
								<-wait
								woken.Add(1)
							}
						}
						done <- struct{}{}
					}()
				}
				for range total / piece {
					time.Sleep(50 * time.Microsecond)
					c.publish(min(piece, len(c.space())), crowd)
				}
				c.finish(complete)
				for range readers {
					<-done
				}
			}
			b.ReportMetric(float64(woken.Load())/float64(b.N)/readers, "wakes/reader")
		})
	}
}
