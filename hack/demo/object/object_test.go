package object

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"testing"
	"testing/iotest"
)

func TestBodyIsReaderAndSeeker(t *testing.T) {
	for _, size := range []int64{0, 1, 63, 64, 65, 1000} {
		b := New("/obj/a", size)
		whole, err := io.ReadAll(b)
		if err != nil || int64(len(whole)) != size {
			t.Fatalf("size %d: read %d bytes, %v", size, len(whole), err)
		}
		if err := iotest.TestReader(New("/obj/a", size), whole); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerifyTellsWrongBodies(t *testing.T) {
	read := func(key string, body []byte) error {
		_, err := io.Copy(io.Discard, Verify(key, iotest.HalfReader(bytes.NewReader(body))))
		return err
	}
	a, _ := io.ReadAll(New("/obj/a", 300))
	if err := read("/obj/a", a); err != nil {
		t.Errorf("right body refused: %v", err)
	}
	if err := read("/obj/b", a); !errors.Is(err, ErrWrongBody) {
		t.Errorf("another object's body passed: %v", err)
	}
	glued := append(bytes.Clone(a[:128]), a[64:]...)
	if err := read("/obj/a", glued); !errors.Is(err, ErrWrongBody) {
		t.Errorf("a body with a repeated block passed: %v", err)
	}
}

func TestSize(t *testing.T) {
	for query, want := range map[string]int64{"": DefaultBytes, "bytes=0": 0, "bytes=77&x=1": 77, "bytes=-1": -1, "bytes=x": -1, "bytes=9999999999": -1} {
		got, err := Size(&url.URL{Path: "/obj/a", RawQuery: query})
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: got %d, %v; want %d", query, got, err, want)
		}
	}
	if u, err := url.Parse(Path("x", 12)); err != nil || u.Query().Get("bytes") != "12" || !IsObject(u.Path) {
		t.Errorf("Path does not round-trip: %v %v", u, err)
	}
}

func TestETagsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range []*Body{New("/a", 1), New("/b", 1), New("/a", 2)} {
		seen[b.ETag()] = true
	}
	if len(seen) != 3 {
		t.Errorf("validators collide: %v", seen)
	}
}
