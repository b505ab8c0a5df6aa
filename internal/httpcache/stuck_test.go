package httpcache

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// windowed is a bubble in which a body of more than 1 MiB passes through a
// window, of which no entity tag says what belongs together.
func windowed(t *testing.T) *bubble {
	return newBubble(t, func(o *Options) { o.MaxObjectBytes, o.WindowBytes, o.IdleTimeout = 1<<20, 64<<10, 10*time.Second })
}

// A client that pauses is no stalled upstream: alone with a body too large to
// be kept, it gets the rest when it goes on, however late.
func TestPausedClientIsNoStalledUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := windowed(t)
		defer b.cache.Close(t.Context())
		c := b.start("GET", "/big")
		body := b.next(0).answer(200, http.Header{"Cache-Control": {"max-age=60"}}, -1)
		content := bytes.Repeat([]byte("0123456789abcdef"), 4<<16)
		body.send(content[:100], nil)
		synctest.Wait()
		c.pause()
		body.send(content[100:], io.EOF)
		time.Sleep(time.Hour)
		c.resume()
		if got, done, aborted := c.result(); !done || aborted || !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes, done %v, aborted %v", len(got), len(content), done, aborted)
		}
	})
}

// One of several does not move: the others wait for it no longer than for an
// upstream, and it is cut off, visibly, if it ever goes on.
func TestPausedClientHoldsOthersUpForALimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := windowed(t)
		defer b.cache.Close(t.Context())
		clients := []*client{b.start("GET", "/big"), b.start("GET", "/big"), b.start("GET", "/big")}
		body := b.next(0).answer(200, http.Header{"Cache-Control": {"max-age=60"}}, -1)
		content := bytes.Repeat([]byte("0123456789abcdef"), 4<<16)
		body.send(content[:100], nil)
		synctest.Wait()
		clients[1].pause()
		body.send(content[100:], io.EOF)
		time.Sleep(5 * time.Second)
		for i, c := range clients {
			if _, done, _ := c.result(); done {
				t.Errorf("client %d was not held up by the one that does not read", i)
			}
		}
		time.Sleep(6 * time.Second)
		for i, c := range clients {
			if got, done, aborted := c.result(); i != 1 && (!done || aborted || !bytes.Equal(got, content)) {
				t.Errorf("client %d: %d of %d bytes, done %v, aborted %v", i, len(got), len(content), done, aborted)
			}
		}
		clients[1].resume()
		if got, done, aborted := clients[1].result(); !done || !aborted || !bytes.HasPrefix(content, got) {
			t.Errorf("who did not read: %d bytes, done %v, aborted %v", len(got), done, aborted)
		}
	})
}

// An upstream that stops within a body is given up after the limit.
func TestStalledUpstreamIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := windowed(t)
		defer b.cache.Close(t.Context())
		c := b.start("GET", "/big")
		body := b.next(0).answer(200, http.Header{"Cache-Control": {"max-age=60"}}, -1)
		body.send([]byte("first"), nil)
		time.Sleep(9 * time.Second)
		body.send([]byte("second"), nil)
		time.Sleep(9 * time.Second)
		if _, done, _ := c.result(); done {
			t.Error("given up although it went on")
		}
		time.Sleep(2 * time.Second)
		if _, done, aborted := c.result(); !done || !aborted {
			t.Errorf("done %v, aborted %v", done, aborted)
		}
	})
}
