package load

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	sum := newTally()
	sum.add("hit", "", time.Millisecond)
	sum.add("stale", "", time.Millisecond)
	sum.add("miss", "", 3*time.Millisecond)
	sum.add("collapsed", "", 3*time.Millisecond)
	sum.add("none", "", time.Millisecond)
	sum.add("", "timeout", time.Second)
	s := sum.second(3, 10)
	if s.Completed != 6 || s.Failed != 1 || s.Errors["timeout"] != 1 || s.Offered != 10 || s.T != 3 {
		t.Errorf("%+v", s)
	}
	if s.Hits != 0.5 {
		t.Errorf("hits %v, want half of the four answers that carry a status", s.Hits)
	}
	empty := newTally()
	if s := empty.second(1, 0); s.Hits != 0 || s.P99 != 0 {
		t.Errorf("an empty second: %+v", s)
	}
}

func TestErrorKinds(t *testing.T) {
	for want, c := range map[string]struct {
		code uint16
		text string
	}{
		"":                         {200, ""},
		"status 503":               {503, "503 Service Unavailable"},
		"timeout":                  {0, `Get "http://x": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`},
		"connection refused":       {0, "dial tcp 127.0.0.1:1: connect: connection refused"},
		"connection reset":         {0, "read tcp: connection reset by peer"},
		"body cut":                 {0, "unexpected EOF"},
		"wrong body":               {0, "wrong body at or after byte 64"},
		"closed before the answer": {0, `Get "http://x": EOF`},
		"other":                    {0, "?"},
	} {
		if got := errorKind(c.code, c.text); got != want {
			t.Errorf("%d %q: %q, want %q", c.code, c.text, got, want)
		}
	}
}

func TestDurationRoundTrips(t *testing.T) {
	for _, d := range []time.Duration{0, 999, 1234567, 1500 * time.Millisecond, 2 * time.Minute} {
		text, err := json.Marshal(Duration(d))
		if err != nil {
			t.Fatal(err)
		}
		var back Duration
		if err := json.Unmarshal(text, &back); err != nil || (time.Duration(back)-d).Abs() > d/50 {
			t.Errorf("%v -> %s -> %v, %v", d, text, time.Duration(back), err)
		}
	}
}
