package simulate

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseTakesTheUsualForms(t *testing.T) {
	day := time.Date(1998, 5, 12, 3, 0, 0, 0, time.UTC)
	tests := []struct {
		name, in string
		start    time.Time
		seconds  int
		mean     float64 // of the expected rate, within noise
	}{
		{"date and time", "period,count\n1998-05-12 03:00:00,6000\n1998-05-12 03:01:00,6000\n", day, 120, 100},
		{"RFC 3339 with an offset", "time,requests\n1998-05-12T05:00:00+02:00,6000\n1998-05-12T05:01:00+02:00,6000\n", day, 120, 100},
		{"seconds since 1970", "ts,value\n894942000,6000\n894942060,6000\n", day, 120, 100},
		{"a rate per second", "seconds,rps\n0,100\n60,100\n", time.Unix(0, 0).UTC(), 120, 100},
		{"columns in another order", "count,host,time\n6000,a,0\n6000,a,60\n", time.Unix(0, 0).UTC(), 120, 100},
		{"unknown names: first and second", "when,what\n0,6000\n60,6000\n", time.Unix(0, 0).UTC(), 120, 100},
		{"byte order mark, CRLF, comment, empty line", "\ufefftime,count\r\n# yes\r\n0,6000\r\n\r\n60,6000\r\n", time.Unix(0, 0).UTC(), 120, 100},
		{"one rate per line", "100\n100\n100\n", epoch, 3, 100},
		{"one rate per line under a heading", "rate\n100\n100\n", epoch, 2, 100},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(test.in), 1)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, s := range got.Seconds {
				sum += s.Requests
			}
			mean := sum / float64(len(got.Seconds))
			if !got.Start.Equal(test.start) || len(got.Seconds) != test.seconds || math.Abs(mean-test.mean) > 5 {
				t.Errorf("start %s, %d seconds, mean %.1f; want %s, %d, %.1f", got.Start, len(got.Seconds), mean, test.start, test.seconds, test.mean)
			}
		})
	}
}

func TestParseInterpolatesBetweenTheMiddlesOfPeriods(t *testing.T) {
	// So large that the noise is far below a percent.
	got, err := Parse(strings.NewReader("time,count\n0,60000000\n60,120000000\n120,120000000\n"), 1)
	if err != nil {
		t.Fatal(err)
	}
	for second, want := range map[int]float64{0: 1e6, 29: 1e6, 60: 1.5e6, 89: 2e6, 179: 2e6} {
		if r := got.Seconds[second].Requests; math.Abs(r-want) > 0.02*want {
			t.Errorf("second %d: %.0f requests, want about %.0f", second, r, want)
		}
	}
}

func TestParseMakesMissingRowsSilent(t *testing.T) {
	got, err := Parse(strings.NewReader("time,count\n0,10\n1,10\n2,10\n5,40\n6,40\n"), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []Second{{Requests: 10}, {Requests: 10}, {Requests: 10}, {Requests: 20, Silent: true}, {Requests: 30, Silent: true}, {Requests: 40}, {Requests: 40}}
	if len(got.Seconds) != len(want) {
		t.Fatalf("%d seconds, want %d", len(got.Seconds), len(want))
	}
	for i := range want {
		if got.Seconds[i] != want[i] {
			t.Errorf("second %d is %+v, want %+v", i, got.Seconds[i], want[i])
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "the trace is empty: neither a CSV with a header nor one rate per line"},
		{"# nothing\n\n", "the trace is empty: neither a CSV with a header nor one rate per line"},
		{"rate\n", "the trace has a heading and no rate"},
		{"10\n-1\n", `line 2: rate: "-1" is not a number from 0 to 1e12`},
		{"10\nNaN\n", `line 2: rate: "NaN" is not a number from 0 to 1e12`},
		{"10\n10,20\n", `line 2: "10,20" has 2 columns where the lines above have one: a trace without a header is one rate per line`},
		{"time,count\n", "the trace has fewer than two rows, so the length of its period is unknown"},
		{"time,count\n0,1\n", "the trace has fewer than two rows, so the length of its period is unknown"},
		{"0,1\n1,1\n", `line 1: "0,1" is data, not a header such as time,count`},
		{"time,count\n0,1\n1,many\n", `line 3: count: "many" is not a number from 0 to 1e12`},
		{"time,count\n0,1\n1,1e13\n", `line 3: count: "1e13" is not a number from 0 to 1e12`},
		{"time,count\n0,1\n1\n", `line 3: "1" has no column "count"`},
		{"time,count\n0,1\nnoon,1\n", `line 3: column "time": "noon" is not a time; allowed are RFC 3339, "2006-01-02 15:04:05" (UTC) and seconds`},
		{"time,count\n1700000000000,1\n1700000001000,1\n", `line 2: column "time": "1700000000000" is not a time in seconds; allowed are up to 1e11 (a time in milliseconds is no such)`},
		{"time,count\n5,1\n5,1\n", `line 3: column "time": "5" is not later than the row before`},
		{"time,count\n5,1\n4,1\n", `line 3: column "time": "4" is not later than the row before`},
		{"time,count\n0,1\n0.5,1\n", "the rows are 500ms apart; allowed are whole seconds"},
		{"time,count\n0,1\n60,1\n120,1\n150,1\n", "line 5: 30s after the row before, which is no multiple of the period of 1m0s"},
		{"time,count\n0,1\n40000000,1\n", `line 3: column "time": "40000000" is 11111h6m40s after the first row, allowed are up to 2400h0m0s`},
		{"time,count\n\"0,1\n", `reading the trace: parse error on line 2, column 6: extraneous or missing " in quoted-field`},
	}
	for _, test := range tests {
		if _, err := Parse(strings.NewReader(test.in), 1); err == nil || err.Error() != test.want {
			t.Errorf("%q:\n got %v\nwant %s", test.in, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"time,count\n0,1\n60,2\n180,3\n", "1\n2\n3\n", "period,count\n1998-05-12 03:00:00,957\n1998-05-12 03:01:00,862\n",
		"time,rps\n2026-01-01T00:00:00Z,1.5\n2026-01-01T00:00:01Z,2\n", "a,b\n\"", ",\n,\n", "count,time\n1,1\n1,2\n", "time\n1\n", "1e308\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if strings.Count(in, "\n") > 100 || len(in) > 4096 {
			return
		}
		got, err := Parse(strings.NewReader(in), 1)
		if err != nil {
			return
		}
		if len(got.Seconds) == 0 || got.Duration() > 2*MaxDuration {
			t.Fatalf("a trace of %s", got.Duration())
		}
		for i, s := range got.Seconds {
			if !(s.Requests >= 0) || math.IsInf(s.Requests, 0) {
				t.Fatalf("second %d: %g requests", i, s.Requests)
			}
		}
	})
}

func TestBetweenCutsTheTrace(t *testing.T) {
	trace := Step(10, 2, 60*time.Second, 60*time.Second, 1)
	from := trace.Start.Add(30 * time.Second)
	cut, err := trace.Between(from, from.Add(60*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if !cut.Start.Equal(from) || cut.Duration() != time.Minute || cut.Onset.After != 30*time.Second || cut.Seconds[0] != trace.Seconds[30] {
		t.Errorf("cut to %s for %s with the onset after %s", cut.Start, cut.Duration(), cut.Onset.After)
	}
	_, err = trace.Between(trace.Start.Add(time.Hour), time.Time{})
	if want := "nothing of the trace, which covers 2000-01-01 00:00:00 to 2000-01-01 00:02:00, lies between 2000-01-01 01:00:00 and its edge"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNoiseIsThatOfCounting(t *testing.T) {
	for _, mean := range []float64{0.5, 3, 9.9, 10, 40, 1000, 1e6} {
		n, sum, squares := newNoise(7), 0.0, 0.0
		const draws = 20_000
		for range draws {
			k := n.count(mean)
			sum += k
			squares += k * k
		}
		average := sum / draws
		variance := squares/draws - average*average
		if math.Abs(average-mean) > 4*math.Sqrt(mean/draws) || math.Abs(variance/mean-1) > 0.06 {
			t.Errorf("mean %g: drew a mean of %g and a variance of %g", mean, average, variance)
		}
	}
	if newNoise(3).count(100) != newNoise(3).count(100) || newNoise(3).count(0) != 0 {
		t.Error("the same seed gives other counts, or nothing gives something")
	}
}
