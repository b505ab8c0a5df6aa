package simulate

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	common   = `192.0.2.7 - - [14/Jun/2026:22:00:00 +0200] "GET /live/1.ts HTTP/1.1" 200 188000`
	combined = `2001:db8::1 - ann [14/Jun/2026:20:00:03 +0000] "GET /a HTTP/2.0" 304 0 "https://example.org/" "Mozilla/5.0 [en] (X11)"`
)

func rates(t Trace) (out []float64) {
	for _, s := range t.Seconds {
		out = append(out, s.Requests)
	}
	return out
}

func TestAnAccessLogIsCountedBySecond(t *testing.T) {
	// Written when responses end: the third line is older than the second, and one is older than all.
	log := "# rotated\n" + common + "\n" + combined + "\n\n" + common + "\r\n" +
		strings.ReplaceAll(common, "22:00:00", "21:59:59") + "\n" + combined
	got, err := Parse(strings.NewReader(log), 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 6, 14, 19, 59, 59, 0, time.UTC); !got.Start.Equal(want) {
		t.Errorf("starts %s, want %s", got.Start, want)
	}
	if text := fmt.Sprint(rates(got)); text != "[1 2 0 0 2]" {
		t.Errorf("requests %s, want [1 2 0 0 2]", text)
	}
	for i, s := range got.Seconds {
		if s.Silent {
			t.Errorf("second %d is silent: a log without a line says that nobody asked", i)
		}
	}
}

func TestALogThatIsStillWritten(t *testing.T) {
	got, err := Parse(strings.NewReader(common+"\n"+common+"\n"+common[:40]), 1)
	if err != nil || fmt.Sprint(rates(got)) != "[2]" {
		t.Errorf("%v, %v: the half line at the end is to be left out", rates(got), err)
	}
}

func TestAnAccessLogSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no time":      {common + "\nhello\n", `line 2, column 1: "hello" has no time in brackets`},
		"no bracket":   {common + "\na - - [14/Jun/2026 x\n", `line 2, column 7: "[14/Jun/2026 x" has no closing bracket`},
		"no such time": {common + "\n" + strings.ReplaceAll(common, "14/Jun", "34/Jun") + "\n", `line 2, column 16: "34/Jun/2026:22:00:00 +0200" is not a time such as "02/Jan/2006:15:04:05 -0700"`},
		"no request":   {common + "\na - - [14/Jun/2026:22:00:00 +0200] 200\n", `line 2, column 36: "200" is not a request in quotes`},
		"too far":      {common + "\n" + strings.ReplaceAll(common, "2026", "2027") + "\n", `line 2, column 1: 2027-06-14T20:00:00Z is too far from the lines before`},
		"a long line":  {common + "\n" + strings.Repeat("x", longestLine+70000) + "\n", `line 2, column 1048576: the line is longer than 1048576 bytes`},
	} {
		if _, err := Parse(strings.NewReader(c.in), 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzAccessLog(f *testing.F) {
	f.Add(common + "\n" + combined)
	f.Add(combined + "\n" + strings.ReplaceAll(common, "22:00:00", "21:00:00") + "\n")
	f.Add("a b [1/Jan/0001:00:00:00 +0000] \"")
	f.Add("a b [14/Jun/2026:22:00:00 +0200]\n[")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := parseLog(strings.NewReader(in))
		if err != nil {
			if got.Seconds != nil {
				t.Errorf("a trace of %d seconds beside %v", len(got.Seconds), err)
			}
			return
		}
		sum := 0.0
		for _, s := range got.Seconds {
			sum += s.Requests
		}
		if lines := strings.Count(in, "\n") + 1; sum < 1 || sum > float64(lines) || got.Duration() > MaxDuration {
			t.Errorf("%g requests of %d lines over %s", sum, lines, got.Duration())
		}
		if first, last := got.Seconds[0], got.Seconds[len(got.Seconds)-1]; first.Requests == 0 || last.Requests == 0 {
			t.Error("the trace begins or ends with nothing")
		}
	})
}
