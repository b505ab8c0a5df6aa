package events

import (
	"fmt"
	"testing"
)

// BenchmarkDecodeMiss is what the keys of one window cost their reader.
func BenchmarkDecodeMiss(b *testing.B) {
	miss := Miss{WindowMS: 1000, Misses: 3, Distinct: 3, Sketch: make([]byte, 60)}
	for i := range MaxTop {
		miss.TopHot = append(miss.TopHot, KeyCount{Key: fmt.Sprintf("http://media.example.org/live/channel-%d/1080p/segment-%06d.ts", i, i), Count: 9})
	}
	m, err := EncodeMiss(Attributes{Source: "/edge/edge-1", BootID: "boot-0001", Seq: 1}, miss)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(m); err != nil {
			b.Fatal(err)
		}
	}
}
