package store_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// marked is an object all of whose parts say which it is.
func marked(key string, version uint64, size int) *store.Object {
	h := fnv.New64a()
	fmt.Fprint(h, key, " ", version)
	word := binary.LittleEndian.AppendUint64(nil, h.Sum64())
	value := fmt.Sprintf("%x", word)
	return &store.Object{Key: key, Generation: version, Meta: rfc9111.Stored{Status: 200, ETag: value},
		Fields: []store.Field{{Name: "X-Mark", Values: []string{value, value}}}, Body: store.NewBody(bytes.Repeat(word, size/8))}
}

// checkMarked reports whether every part of o is of one and the same object.
func checkMarked(o *store.Object, key string, body []byte) error {
	want := marked(key, o.Generation, len(body))
	mark := want.Meta.ETag
	if o.Key != key || o.Meta.ETag != mark || len(o.Fields) != 1 || o.Fields[0].Name != "X-Mark" || o.Fields[0].Values[0] != mark || o.Fields[0].Values[1] != mark {
		return fmt.Errorf("header of %s is %+v %+v", key, o.Meta, o.Fields)
	}
	var b bytes.Buffer
	if _, err := want.Body.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), body) {
		return fmt.Errorf("body of %s, %d bytes, is another's", key, len(body))
	}
	return nil
}

// Whatever is put, replaced, deleted and evicted meanwhile: who reads an object
// reads that one, whole.
func TestNoBytesOfAnother(t *testing.T) {
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	s := store.NewMemory(2 << 20)
	sizes := []int{0, 8, 104, 112, 120, 1000, 5000, 16 << 10, 16<<10 + 8, 20_000, 64 << 10, 200_000}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			var body bytes.Buffer
			for range rounds {
				key := fmt.Sprint("http://example.com/", r.IntN(400))
				switch n := r.IntN(10); n {
				case 0, 1, 2:
					s.Put(marked(key, r.Uint64(), sizes[r.IntN(len(sizes))]))
				case 3:
					s.Delete(key)
				case 4:
					o := marked(key, r.Uint64(), sizes[r.IntN(len(sizes))])
					var whole bytes.Buffer
					o.Body.WriteTo(&whole) //nolint:errcheck // a buffer takes all
					if b, ok := s.Body(whole.Bytes()); ok {
						o.Body = b
						s.Put(o)
						b.Release()
					}
				default:
					o, ok := s.Get(key)
					if !ok || !o.Body.Hold() {
						continue
					}
					if n == 5 {
						s.Delete(key)
					}
					body.Reset()
					_, err := o.Body.WriteTo(&body)
					if err == nil {
						err = checkMarked(o, key, body.Bytes())
					}
					if err != nil {
						t.Error(err)
					}
					if n == 6 {
						s.Put(o.WithMeta(o.Meta))
					}
					o.Body.Release()
				}
			}
		})
	}
	group.Wait()
	st := s.Stats()
	t.Logf("%+v", st)
	if st.Evictions == 0 || st.Bytes > st.MaxBytes {
		t.Errorf("stats %+v", st)
	}
}

// sendingConn is a connection that takes bodies as framing's does.
type sendingConn struct{ *net.TCPConn }

func (c sendingConn) ReadFrom(r io.Reader) (int64, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	return r.(interface {
		SendTo(syscall.RawConn) (int64, error)
	}).SendTo(raw)
}

// What the kernel has been told to send it sends from the store's pages later,
// when the client reads: nothing else may have come there.
func TestSentPagesAreNotReused(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("bodies are sent by copying here")
	}
	const size = 256 << 10
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := store.NewMemory(2 << 20)
	for round := range 20 {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint("mine", round)
		s.Put(marked(key, 1, size))
		mine, ok := s.Get(key)
		if !ok || !mine.Body.Hold() {
			t.Fatal("not there")
		}
		sent := make(chan error, 1)
		go func() {
			n, err := mine.Body.WriteTo(sendingConn{server.(*net.TCPConn)})
			if err == nil && n != size {
				err = fmt.Errorf("%d bytes sent", n)
			}
			mine.Body.Release()
			s.Delete(key)
			for i := range 40 {
				s.Put(marked(fmt.Sprint("other", i), uint64(round), size))
			}
			server.Close()
			sent <- err
		}()
		if round%2 == 0 { // the buffers have taken all before anything is read
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(client)
		if err == nil {
			err = checkMarked(mine, key, got)
		}
		if round%2 == 1 {
			if sendErr := <-sent; sendErr != nil {
				t.Error(sendErr)
			}
		}
		if err != nil || len(got) != size {
			t.Fatalf("round %d: %d bytes, %v", round, len(got), err)
		}
		client.Close()
	}
}
