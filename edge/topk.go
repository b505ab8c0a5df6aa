package edge

import (
	"cmp"
	"container/heap"
	"slices"
)

// topK finds the most frequent keys of a stream in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi, "Efficient computation of
// frequent and top-k elements in data streams", 2005). A key that is more frequent than a 1/size part of the stream is surely held,
// and no count is too high by more than that part. It is not safe for concurrent use.
type topK struct {
	size    int
	byKey   map[string]*counted
	byCount countHeap // the least frequent first
}

type counted struct {
	key   string
	count uint64
	index int // in the heap
}

func newTopK(size int) topK {
	return topK{size: size, byKey: make(map[string]*counted)}
}

func (t *topK) add(key string) {
	if entry, ok := t.byKey[key]; ok {
		entry.count++
		heap.Fix(&t.byCount, entry.index)
		return
	}
	if len(t.byCount) < t.size {
		entry := &counted{key: key, count: 1}
		t.byKey[key] = entry
		heap.Push(&t.byCount, entry)
		return
	}
	// The newcomer takes the place of the least frequent and its count: it may have come that often while it was not followed.
	least := t.byCount[0]
	delete(t.byKey, least.key)
	least.key = key
	least.count++
	t.byKey[key] = least
	heap.Fix(&t.byCount, 0)
}

// top returns the n most frequent keys, most frequent first.
func (t *topK) top(n int) []counted {
	all := make([]counted, len(t.byCount))
	for i, entry := range t.byCount {
		all[i] = *entry
	}
	slices.SortFunc(all, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.key, b.key))
	})
	return all[:min(n, len(all))]
}

type countHeap []*counted

func (h countHeap) Len() int           { return len(h) }
func (h countHeap) Less(i, j int) bool { return h[i].count < h[j].count }

func (h countHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is called by container/heap.
func (h *countHeap) Push(x any) {
	entry := x.(*counted)
	entry.index = len(*h)
	*h = append(*h, entry)
}

// Pop is called by container/heap.
func (h *countHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
