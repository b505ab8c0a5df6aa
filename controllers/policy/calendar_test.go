package policy

import (
	"math"
	"strings"
	"testing"
	"time"
)

func windows(t testing.TB, text string) []Window {
	t.Helper()
	p, err := Parse("edge", map[string]string{"calendar": text})
	if err != nil {
		t.Fatal(err)
	}
	return p.Calendar.Windows()
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestACalendarIsWrittenInOneForm(t *testing.T) {
	p, err := Parse("edge", map[string]string{"calendar": "\n evening:  0 18 * * 1-5   zone Europe/Berlin factor 2.50 for 300m ramp 20m\nmatch: 55 20 14 6 * for 2h floor 12;;\n"})
	const want = "evening: 0 18 * * 1-5 for 5h ramp 20m factor 2.5 zone Europe/Berlin; match: 55 20 14 6 * for 2h floor 12 zone UTC"
	if err != nil || string(p.Calendar) != want {
		t.Errorf("got %q, %v", p.Calendar, err)
	}
}

func TestWhenAWindowComes(t *testing.T) {
	for _, tc := range []struct {
		name, calendar, from, to string
		starts                   []string
	}{
		{"workdays in summer time", "a: 0 18 * * 1-5 for 5h factor 2 zone Europe/Berlin", "2026-06-12T00:00:00Z", "2026-06-15T23:00:00Z",
			[]string{"2026-06-12T16:00:00Z", "2026-06-15T16:00:00Z"}},
		{"it already runs", "a: 0 18 * * * for 5h floor 4", "2026-06-12T22:59:00Z", "2026-06-12T22:59:00Z", []string{"2026-06-12T18:00:00Z"}},
		{"it is over", "a: 0 18 * * * for 5h floor 4", "2026-06-12T23:00:01Z", "2026-06-12T23:00:01Z", nil},
		{"its ramp begins", "a: 0 18 * * * for 5h ramp 10m floor 4", "2026-06-12T17:50:00Z", "2026-06-12T17:50:00Z", []string{"2026-06-12T18:00:00Z"}},
		{"across midnight", "a: 0 22 * * 5 for 6h floor 4", "2026-06-13T03:00:00Z", "2026-06-13T03:00:00Z", []string{"2026-06-12T22:00:00Z"}},
		{"the hour that daylight saving time skips", "a: 30 2 * * * for 20m floor 4 zone Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", []string{"2026-03-30T00:30:00Z"}},
		{"the hour that it repeats", "a: 30 2 * * * for 20m floor 4 zone Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, o := range windows(t, tc.calendar)[0].Between(at(t, tc.from), at(t, tc.to)) {
				got = append(got, o.Start.UTC().Format(time.RFC3339))
			}
			if strings.Join(got, " ") != strings.Join(tc.starts, " ") {
				t.Errorf("got %v, want %v", got, tc.starts)
			}
		})
	}
}

func TestTheShareOfAnOccurrence(t *testing.T) {
	start := at(t, "2026-06-14T20:55:00Z")
	o := Occurrence{Name: "derby", Start: start, End: start.Add(2 * time.Hour), Ramp: 10 * time.Minute, Factor: 5}
	for _, tc := range []struct {
		at, lead time.Duration
		want     float64
	}{
		{-11 * time.Minute, 0, 0}, {-10 * time.Minute, 0, 0}, {-5 * time.Minute, 0, .5}, {-time.Minute, 0, .9}, {-time.Minute, time.Minute, 1},
		{0, 0, 1}, {2*time.Hour - time.Second, time.Minute, 1}, {2 * time.Hour, 0, 0}, {-10*time.Minute - 30*time.Second, time.Minute, .05},
	} {
		if got := o.Share(start.Add(tc.at), tc.lead); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("at %v with a lead of %v: %v, want %v", tc.at, tc.lead, got, tc.want)
		}
	}
	if got := o.Demand(.5, 400); got != 1200 {
		t.Errorf("half way to five times 400 rps: %v", got)
	}
	if got := (Occurrence{Floor: 25}).Replicas(.5); got != 13 {
		t.Errorf("half of 25 edges: %d", got)
	}
	if got := (Occurrence{Start: start, End: start.Add(time.Hour)}).Share(start.Add(-time.Second), 0); got != 0 {
		t.Errorf("before a window without a ramp: %v", got)
	}
}

func TestAnnotationsOverrideThePolicy(t *testing.T) {
	for _, tc := range []struct {
		annotations map[string]string
		pause       Pause
		hold        int
		problem     string
	}{
		{map[string]string{"kubectl.kubernetes.io/restartedAt": "x"}, PauseNone, 0, ""},
		{map[string]string{"surgewall.io/pause": "true"}, PauseAll, 0, ""},
		{map[string]string{"surgewall.io/pause-scale-down": "true"}, PauseScaleDown, 0, ""},
		{map[string]string{"surgewall.io/pause-scale-up": "true"}, PauseScaleUp, 0, ""},
		{map[string]string{"surgewall.io/pause-scale-up": "true", "surgewall.io/pause-scale-down": "true"}, PauseAll, 0, ""},
		{map[string]string{"surgewall.io/hold": "12;until=2026-06-14T23:30:00Z"}, PauseNone, 12, ""},
		{map[string]string{"surgewall.io/hold": "7"}, PauseNone, 7, ""},
		{map[string]string{"surgewall.io/hold": "99", "surgewall.io/pause": "true"}, PauseAll, 0, `surgewall.io/hold: "99" is outside min-replicas and max-replicas; allowed: 2 to 20 replicas`},
		{map[string]string{"surgewall.io/hold": "7;until=tomorrow"}, PauseNone, 0, `surgewall.io/hold: "7;until=tomorrow" is not a time; allowed: EDGES or EDGES;until=TIME, such as 12;until=2026-06-14T23:30:00Z`},
		{map[string]string{"surgewall.io/hold": "7;for=1h"}, PauseNone, 0, `surgewall.io/hold: "7;for=1h" is not a number of edges with or without an end; allowed: EDGES or EDGES;until=TIME, such as 12;until=2026-06-14T23:30:00Z`},
		{map[string]string{"surgewall.io/pause": "yes"}, PauseNone, 0, `surgewall.io/pause: "yes" is not an allowed value; allowed: one of true, false`},
		{map[string]string{"surgewall.io/paused": "true"}, PauseNone, 0, `surgewall.io/paused: "true" is no known annotation; allowed: surgewall.io/pause, surgewall.io/pause-scale-down, surgewall.io/pause-scale-up, surgewall.io/hold`},
	} {
		p, errs := Default("edge").Annotated(tc.annotations)
		if p.Pause != tc.pause || p.HoldReplicas != tc.hold || errs.Error() != tc.problem {
			t.Errorf("%v: pause %s, hold %d, %s", tc.annotations, p.Pause, p.HoldReplicas, errs.Error())
		}
	}
	if p, _ := Default("edge").Annotated(map[string]string{"surgewall.io/hold": "12;until=2026-06-14T23:30:00Z"}); !p.HoldUntil.Equal(at(t, "2026-06-14T23:30:00Z")) {
		t.Errorf("the hold ends at %v", p.HoldUntil)
	}
}

// What a calendar means is bounded in time and in number, and its text is its own canonical form.
func FuzzCalendar(f *testing.F) {
	f.Add("a: 0 18 * * 1-5 for 5h ramp 20m factor 2.5 zone Europe/Berlin", int64(1781000000))
	f.Add("a: */1 * * * * for 1m floor 3; b: 59 23 29 2 * for 168h ramp 24h floor 1 zone America/New_York", int64(1893456000))
	f.Add("a: 0 0 1-7 * mon for 2h floor 1 zone Australia/Lord_Howe", int64(1700000000))
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		calendar, err := parseCalendar(text)
		if err != nil {
			return
		}
		again, err := parseCalendar(string(calendar))
		if err != nil || again != calendar {
			t.Fatalf("%q is read as %q, %v", calendar, again, err)
		}
		from := time.Unix(unix%(1<<33), 0).UTC()
		for _, w := range calendar.Windows() {
			for _, o := range w.Between(from, from.Add(time.Hour)) {
				if o.End.Before(from) || o.Begin().After(from.Add(time.Hour)) {
					t.Fatalf("%v: %v to %v does not touch %v", w, o.Begin(), o.End, from)
				}
			}
		}
	})
}

func FuzzAnnotations(f *testing.F) {
	f.Add("surgewall.io/hold", "12;until=2026-06-14T23:30:00Z", "surgewall.io/pause", "true")
	f.Add("surgewall.io/pause-scale-up", "false", "surgewall.io/x", "")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		p, errs := Default("edge").Annotated(map[string]string{k1: v1, k2: v2})
		if p.HoldReplicas != 0 && (p.HoldReplicas < p.MinReplicas || p.HoldReplicas > p.MaxReplicas) {
			t.Fatalf("holds %d", p.HoldReplicas)
		}
		for _, line := range errs.Lines() {
			if strings.ContainsAny(line, "\n\r") || len(line) > 1500 {
				t.Fatalf("not one bounded line: %q", line)
			}
		}
	})
}
