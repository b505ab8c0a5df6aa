// Package storetest is the contract of store.Store as a test suite.
package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// Object returns a small response with a body of size bytes.
func Object(key string, size int) *store.Object {
	return &store.Object{
		Key: key, Meta: rfc9111.Stored{Status: 200},
		Fields: []store.Field{{Name: "Content-Type", Values: []string{"text/plain"}}},
		Body:   store.NewBody(bytes.Repeat([]byte{byte(len(key))}, size)),
	}
}

func content(n int) []byte { return make([]byte, n) }

// Run checks a Store; make returns an empty one that holds maxBytes.
func Run(t *testing.T, make func(t *testing.T, maxBytes int64) store.Store) {
	t.Run("what is put is got", func(t *testing.T) {
		s := make(t, 4<<20)
		if _, ok := s.Get("a"); ok {
			t.Fatal("an empty store has something")
		}
		o := Object("a", 1000)
		if !s.Put(o) {
			t.Fatal("refused")
		}
		got, ok := s.Get("a")
		if !ok || got.Body.Size() != 1000 || got.Meta.Status != 200 {
			t.Fatalf("got %+v %v", got, ok)
		}
		if st := s.Stats(); st.Objects != 1 || st.Bytes < 1000 || st.Bytes > 3000 {
			t.Fatalf("stats %+v", st)
		}
	})
	t.Run("a second put replaces", func(t *testing.T) {
		s := make(t, 4<<20)
		old := Object("a", 1000)
		s.Put(old)
		s.Put(Object("a", 10))
		if got, _ := s.Get("a"); got.Body.Size() != 10 {
			t.Fatalf("%d bytes", got.Body.Size())
		}
		if st := s.Stats(); st.Objects != 1 || st.Bytes > 3000 {
			t.Fatalf("stats %+v", st)
		}
		if old.Body.Size() != 1000 {
			t.Fatal("the replaced object changed")
		}
	})
	t.Run("delete", func(t *testing.T) {
		s := make(t, 4<<20)
		s.Put(Object("a", 10))
		if !s.Delete("a") || s.Delete("a") {
			t.Fatal("wrong report")
		}
		if _, ok := s.Get("a"); ok {
			t.Fatal("still there")
		}
		if st := s.Stats(); st.Objects != 0 || st.Bytes != 0 {
			t.Fatalf("stats %+v", st)
		}
	})
	t.Run("too large is refused and replaces nothing with something old", func(t *testing.T) {
		s := make(t, 4<<20)
		s.Put(Object("a", 10))
		if s.Put(Object("a", int(s.MaxObject())+1)) {
			t.Fatal("taken")
		}
		if _, ok := s.Get("a"); ok {
			t.Fatal("the replaced response is still served")
		}
	})
	t.Run("the bound holds", func(t *testing.T) {
		s := make(t, 4<<20)
		for i := range 2000 {
			s.Put(Object(fmt.Sprint("k", i), 1+i*37%20_000))
			if st := s.Stats(); st.Bytes > st.MaxBytes {
				t.Fatalf("after %d puts: %+v", i+1, st)
			}
		}
		if st := s.Stats(); st.Evictions == 0 || st.Bytes < st.MaxBytes/2 {
			t.Fatalf("stats %+v", st)
		}
	})
	for _, size := range []int{5000, 50_000} {
		t.Run(fmt.Sprintf("a held body of %d bytes stays readable", size), func(t *testing.T) {
			s := make(t, 1<<20)
			s.Put(Object("mine", size))
			mine, ok := s.Get("mine")
			if !ok || !mine.Body.Hold() {
				t.Fatal("not there")
			}
			for i := range 5000 {
				s.Put(Object(fmt.Sprint("k", i), size))
			}
			s.Delete("mine")
			var b bytes.Buffer
			if n, err := mine.Body.WriteTo(&b); n != int64(size) || err != nil || !bytes.Equal(b.Bytes(), bytes.Repeat([]byte{4}, size)) {
				t.Fatalf("%d bytes, error %v", n, err)
			}
			mine.Body.Release()
		})
	}
	t.Run("a body that was copied first", func(t *testing.T) {
		s := make(t, 4<<20)
		for _, size := range []int{0, 100, 100_000} {
			o := Object("a", size)
			body, ok := s.Body(bytes.Repeat([]byte{7}, size/2), bytes.Repeat([]byte{8}, size-size/2))
			if o.Body = body; !ok || !s.Put(o) {
				t.Fatal("refused")
			}
			body.Release()
			got, _ := s.Get("a")
			var b bytes.Buffer
			if n, err := got.Body.WriteTo(&b); n != int64(size) || err != nil || size > 0 && (b.Bytes()[0] != 7 || b.Bytes()[size-1] != 8) {
				t.Fatalf("%d bytes, error %v", n, err)
			}
		}
		if _, ok := s.Body(content(int(s.MaxObject()) + 1)); ok {
			t.Fatal("too large, and taken")
		}
	})
	t.Run("what is lent makes room", func(t *testing.T) {
		s := make(t, 4<<20)
		fill := func() int64 {
			for i := range 200 {
				s.Put(Object(fmt.Sprint("k", i), 60_000))
			}
			return s.Stats().Bytes
		}
		before := fill()
		s.Lend(1 << 20)
		if after := fill(); after > before-1<<19 {
			t.Errorf("%d bytes before, %d after", before, after)
		}
		s.Lend(1 << 40)
		if after := fill(); after < before/2 {
			t.Errorf("only %d of %d bytes left", after, before)
		}
		s.Lend(-1<<40 - 1<<20)
		if after := fill(); after < before*9/10 {
			t.Errorf("%d bytes before, %d after all was given back", before, after)
		}
	})
	t.Run("an update shares the body", func(t *testing.T) {
		s := make(t, 4<<20)
		for _, size := range []int{100, 100_000} {
			s.Put(Object("a", size))
			for range 100 {
				o, _ := s.Get("a")
				if !s.Put(o.WithMeta(rfc9111.Stored{Status: 203})) {
					t.Fatal("refused")
				}
			}
			got, _ := s.Get("a")
			var b bytes.Buffer
			if n, err := got.Body.WriteTo(&b); n != int64(size) || err != nil || got.Meta.Status != 203 {
				t.Fatalf("%d bytes, error %v, %+v", n, err, got.Meta)
			}
		}
		if st := s.Stats(); st.Objects != 1 || st.Bytes > 110_000 {
			t.Fatalf("stats %+v", st)
		}
	})
	t.Run("a scan does not empty it", func(t *testing.T) {
		s := make(t, 4<<20)
		hot := func(i int) string { return fmt.Sprint("hot", i) }
		for i := range 100 {
			s.Put(Object(hot(i), 10_000))
		}
		for round := range 20 {
			for i := range 100 {
				s.Get(hot(i))
			}
			for i := range 500 {
				s.Put(Object(fmt.Sprint("scan", round, "-", i), 10_000))
			}
		}
		kept := 0
		for i := range 100 {
			if _, ok := s.Get(hot(i)); ok {
				kept++
			}
		}
		if kept < 95 {
			t.Fatalf("%d of 100 hot objects left after a scan of 100 MB through 4 MiB", kept)
		}
	})
	t.Run("concurrent use", func(t *testing.T) {
		s := make(t, 1<<20)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 2000 {
					key := fmt.Sprint("k", i*(g+1)%300)
					switch i % 5 {
					case 0:
						s.Put(Object(key, i%9000))
					case 1:
						s.Delete(key)
					default:
						if o, ok := s.Get(key); ok && o.Key != key {
							t.Errorf("asked for %s, got %s", key, o.Key)
						}
					}
				}
			})
		}
		wg.Wait()
		if st := s.Stats(); st.Bytes > st.MaxBytes || st.Bytes < 0 {
			t.Fatalf("stats %+v", st)
		}
	})
}
