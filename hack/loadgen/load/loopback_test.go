package load

import "testing"

func TestOnlyLoopbackIsATarget(t *testing.T) {
	for _, target := range []string{"http://127.0.0.1:30080", "http://127.9.9.9", "http://[::1]:80", "http://localhost:1/"} {
		if err := CheckLoopback(t.Context(), target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, target := range []string{
		"http://192.0.2.1", "http://0.0.0.0:80", "http://[::]:80", "http://[2001:db8::1]", "https://127.0.0.1", "127.0.0.1:80", "http://", "http://u@127.0.0.1",
		"http://127.0.0.1/path", "http://127.0.0.1?x", "http://[::ffff:192.0.2.1]", "",
	} {
		if CheckLoopback(t.Context(), target) == nil {
			t.Errorf("%q was accepted", target)
		}
	}
	if conn, err := dialLoopback(t.Context(), "tcp", "192.0.2.1:80"); err == nil {
		conn.Close()
		t.Error("dialled beyond loopback")
	}
}
