package store

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Records stay what they are whatever is allocated, freed and moved around them.
func TestCells(t *testing.T) {
	type record struct {
		first uint32
		text  []byte
	}
	c := cells{blocks: newBlocks(t, 8<<20)}
	r := rand.New(rand.NewPCG(1, 2))
	records := map[uint32]*record{}
	var moved int
	check := func() {
		inUse := 0
		for owner, rec := range records {
			var got []byte
			if !c.read(rec.first, owner, 0, len(rec.text), func(p []byte) { got = append(got, p...) }) || !bytes.Equal(got, rec.text) {
				t.Fatalf("record of %d bytes reads as %d others", len(rec.text), len(got))
			}
			skip := r.IntN(len(rec.text))
			got = got[:0]
			if !c.read(rec.first, owner, skip, len(rec.text)-skip, func(p []byte) { got = append(got, p...) }) || !bytes.Equal(got, rec.text[skip:]) {
				t.Fatalf("record of %d bytes from %d on reads as another", len(rec.text), skip)
			}
			if !c.begins(rec.first, owner, rec.text[:skip]) || c.read(rec.first, owner+1, 0, 1, func([]byte) {}) {
				t.Fatal("an owner's record is taken for another's")
			}
			inUse += cellsFor(len(rec.text))
		}
		if int(c.top) != inUse+c.idle {
			t.Fatalf("%d cells in use and %d free of %d", inUse, c.idle, c.top)
		}
	}
	for step := range 10_000 {
		owner := uint32(r.IntN(500)) + 1
		switch rec := records[owner]; {
		case rec == nil:
			text := make([]byte, 1+r.IntN(3000))
			for i := range text {
				text[i] = byte(r.Uint32())
			}
			if !c.reserve(cellsFor(len(text))) {
				t.Fatal("no memory")
			}
			records[owner] = &record{c.write(text, owner), text}
		default:
			c.release(rec.first)
			delete(records, owner)
		}
		if n := 1 + r.IntN(200); r.IntN(50) == 0 && c.idle >= n {
			c.shrink(n, func(owner uint32, swap func(uint32) uint32) {
				moved++
				records[owner].first = swap(records[owner].first)
			})
		}
		if step%100 == 0 {
			check()
		}
	}
	for owner, rec := range records {
		c.release(rec.first)
		delete(records, owner)
	}
	c.shrink(c.idle, func(uint32, func(uint32) uint32) { t.Error("a free cell has an owner") })
	if check(); c.top != 0 || c.n != 0 || moved == 0 {
		t.Errorf("%d cells in %d blocks left, %d moved", c.top, c.n, moved)
	}
}
