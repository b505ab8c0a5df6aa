package attempt

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

func TestWhatAnErrorProves(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		err                  error
		notConnected, broken bool
	}{
		{dial, true, false},
		{fmt.Errorf("forward: %w", dial), true, false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false, true},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, false, true},
		{fmt.Errorf("transport: %w", io.EOF), false, true},
		{io.ErrUnexpectedEOF, false, true},
		{&net.OpError{Op: "read", Err: errors.New("i/o timeout")}, false, false},
		{errors.New("timeout awaiting response headers"), false, false},
	} {
		if NotConnected(c.err) != c.notConnected || BrokeBeforeResponse(c.err) != c.broken {
			t.Errorf("%v: %v, %v", c.err, NotConnected(c.err), BrokeBeforeResponse(c.err))
		}
	}
}

func TestWhatMayBeRepeated(t *testing.T) {
	for method, want := range map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "POST": false, "PUT": false, "DELETE": false, "PATCH": false, "PURGE": false} {
		r := httptest.NewRequest(method, "/", nil)
		if Repeatable(r) != want {
			t.Errorf("%s: %v", method, !want)
		}
		r.Body = io.NopCloser(strings.NewReader("x"))
		if Repeatable(r) {
			t.Errorf("%s with a body may be repeated", method)
		}
	}
}

// closing counts.
type closing struct {
	io.Reader
	n int
}

func (c *closing) Close() error { c.n++; return nil }

func TestABodyIsOpenUntilNoAttemptComes(t *testing.T) {
	inner := &closing{Reader: strings.NewReader("order")}
	r := httptest.NewRequest(http.MethodPost, "/", inner)
	body := Hold(r)
	_ = body.Close() // the first attempt could not connect
	if text, err := io.ReadAll(body); string(text) != "order" || err != nil || inner.n != 0 {
		t.Errorf("%q, %v, closed %d times", text, err, inner.n)
	}
	body.Release()
	if inner.n != 1 {
		t.Errorf("closed %d times", inner.n)
	}
	// A transport may close it after all is over.
	late := &closing{Reader: strings.NewReader("")}
	body = Hold(httptest.NewRequest(http.MethodPost, "/", late))
	body.Release()
	if late.n != 0 {
		t.Error("closed under the feet of a transport")
	}
	if _ = body.Close(); late.n != 1 {
		t.Errorf("closed %d times", late.n)
	}
	Hold(httptest.NewRequest(http.MethodGet, "/", nil)).Release()
}
