package simulate

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what Parse accepts. A longer trace does not fit the memory of a
// laptop; a larger count is a column mistaken for another.
const (
	MaxDuration = 100 * 24 * time.Hour
	maxCount    = 1e12
)

// Names of columns, in lower case. A rate is per second, a count per period.
var (
	timeColumns  = []string{"time", "timestamp", "period", "date", "datetime", "ts", "seconds", "second"}
	rateColumns  = []string{"rate", "rps", "requests_per_second", "requests per second"}
	countColumns = []string{"count", "requests", "value", "hits", "n"}
)

// row is one line of a trace.
type row struct {
	line  int
	at    time.Duration // since the first row
	value float64
}

// Parse reads a trace. It takes three forms:
//
//   - CSV with a header: a time column (time, timestamp, period, date, ts or
//     seconds; otherwise the first) in RFC 3339, as "2006-01-02 15:04:05" (UTC)
//     or in seconds, and a column with the count of requests per period (count,
//     requests, value, hits, or a rate or rps per second; otherwise the second).
//     The period is the time between rows; other columns are not read.
//   - One rate per line, in requests per second: one line is one second.
//   - An access log in the common or the combined log format: each line is one
//     request in the second that it names.
//
// Periods longer than a second are interpolated linearly between their middles,
// and each second gets the counting noise of a Poisson process with that mean,
// from the seed. Where rows are missing, the load is interpolated and its seconds
// are silent. Empty lines and lines that start with # are skipped.
//
// An error names the line, the value and what is allowed.
func Parse(r io.Reader, seed uint64) (Trace, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	// What cannot be read yet is found by whoever reads it.
	if head, _ := buffered.Peek(8 << 10); isLog(head) {
		return parseLog(buffered)
	}
	records, lines, err := read(buffered)
	if err != nil {
		return Trace{}, err
	}
	if len(records) == 0 {
		return Trace{}, errors.New("the trace is empty: neither a CSV with a header nor one rate per line")
	}
	if len(records[0]) == 1 {
		return parseRates(records, lines)
	}
	start, rows, perSecond, err := parseTable(records, lines)
	if err != nil {
		return Trace{}, err
	}
	period, err := findPeriod(rows)
	if err != nil {
		return Trace{}, err
	}
	if !perSecond {
		for i := range rows {
			rows[i].value /= period.Seconds()
		}
	}
	return Trace{Start: start, Seconds: fill(rows, period, newNoise(seed))}, nil
}

func read(r io.Reader) (records [][]string, lines []int, err error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord, in.Comment, in.TrimLeadingSpace, in.ReuseRecord = -1, '#', true, false
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return records, lines, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading the trace: %w", err)
		}
		for i := range record {
			record[i] = strings.TrimSpace(strings.TrimPrefix(record[i], "\ufeff"))
		}
		if len(record) == 1 && record[0] == "" {
			continue
		}
		line, _ := in.FieldPos(0)
		records, lines = append(records, record), append(lines, line)
	}
}

func parseRates(records [][]string, lines []int) (Trace, error) {
	if _, err := strconv.ParseFloat(records[0][0], 64); err != nil {
		records, lines = records[1:], lines[1:] // a heading
	}
	if len(records) == 0 {
		return Trace{}, errors.New("the trace has a heading and no rate")
	}
	if d := time.Duration(len(records)) * time.Second; d > MaxDuration {
		return Trace{}, fmt.Errorf("the trace covers %s, allowed are up to %s", d, MaxDuration)
	}
	t := Trace{Start: epoch, Seconds: make([]Second, len(records))}
	for i, record := range records {
		if len(record) != 1 {
			return Trace{}, fmt.Errorf("line %d: %q has %d columns where the lines above have one: a trace without a header is one rate per line",
				lines[i], strings.Join(record, ","), len(record))
		}
		v, err := parseValue("rate", record[0], lines[i])
		if err != nil {
			return Trace{}, err
		}
		t.Seconds[i].Requests = v
	}
	return t, nil
}

// epoch is the start of a trace that says nothing of the date.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func parseTable(records [][]string, lines []int) (start time.Time, rows []row, perSecond bool, err error) {
	when, what := 0, 1
	header := records[0]
	_, stampErr := parseTime(header[0])
	_, valueErr := strconv.ParseFloat(header[1], 64)
	if stampErr == nil && valueErr == nil {
		return start, nil, false, fmt.Errorf("line %d: %q is data, not a header such as time,count", lines[0], strings.Join(header, ","))
	}
	if i := column(header, timeColumns); i >= 0 {
		when = i
	}
	if i := column(header, rateColumns); i >= 0 {
		what, perSecond = i, true
	} else if i := column(header, countColumns); i >= 0 {
		what = i
	}
	if when == what {
		what = 1 - min(when, 1)
	}
	for i, record := range records[1:] {
		line := lines[i+1]
		if len(record) <= max(when, what) {
			return start, nil, false, fmt.Errorf("line %d: %q has no column %q", line, strings.Join(record, ","), header[max(when, what)])
		}
		at, err := parseTime(record[when])
		if err != nil {
			return start, nil, false, fmt.Errorf("line %d: column %q: %w", line, header[when], err)
		}
		v, err := parseValue(header[what], record[what], line)
		if err != nil {
			return start, nil, false, err
		}
		if len(rows) == 0 {
			start = at
		}
		since := at.Sub(start)
		if len(rows) > 0 && since <= rows[len(rows)-1].at {
			return start, nil, false, fmt.Errorf("line %d: column %q: %q is not later than the row before", line, header[when], record[when])
		}
		if since > MaxDuration {
			return start, nil, false, fmt.Errorf("line %d: column %q: %q is %s after the first row, allowed are up to %s",
				line, header[when], record[when], since.Round(time.Second), MaxDuration)
		}
		rows = append(rows, row{line: line, at: since, value: v})
	}
	return start, rows, perSecond, nil
}

func column(header, names []string) int {
	return slices.IndexFunc(header, func(h string) bool { return slices.Contains(names, strings.ToLower(h)) })
}

func parseTime(s string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(seconds) || math.Abs(seconds) > 1e11 {
			return time.Time{}, fmt.Errorf("%q is not a time in seconds; allowed are up to 1e11 (a time in milliseconds is no such)", s)
		}
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time; allowed are RFC 3339, %q (UTC) and seconds", s, "2006-01-02 15:04:05")
}

func parseValue(name, s string, line int) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > maxCount {
		return 0, fmt.Errorf("line %d: %s: %q is not a number from 0 to 1e12", line, name, s)
	}
	return v, nil
}

// findPeriod is the time between rows that occurs most often; the others have to
// be multiples of it, because rows may be missing.
func findPeriod(rows []row) (time.Duration, error) {
	if len(rows) < 2 {
		return 0, errors.New("the trace has fewer than two rows, so the length of its period is unknown")
	}
	seen := map[time.Duration]int{}
	period := rows[1].at
	for i := 1; i < len(rows); i++ {
		d := rows[i].at - rows[i-1].at
		seen[d]++
		if seen[d] > seen[period] || (seen[d] == seen[period] && d < period) {
			period = d
		}
	}
	if period < time.Second || period%time.Second != 0 {
		return 0, fmt.Errorf("the rows are %s apart; allowed are whole seconds", period)
	}
	for i := 1; i < len(rows); i++ {
		if d := rows[i].at - rows[i-1].at; d%period != 0 {
			return 0, fmt.Errorf("line %d: %s after the row before, which is no multiple of the period of %s", rows[i].line, d, period)
		}
	}
	return period, nil
}

// fill spreads the rows, whose values are rates by now, over seconds.
func fill(rows []row, period time.Duration, n noise) []Second {
	total := rows[len(rows)-1].at + period
	out := make([]Second, total/time.Second)
	if period == time.Second {
		for i, r := range rows {
			out[r.at/time.Second].Requests = r.value
			if i > 0 {
				hole(out, rows[i-1], r, period)
			}
		}
		return out
	}
	next := 0 // the first row whose middle lies ahead
	for i := range out {
		at := time.Duration(i)*time.Second + time.Second/2
		for next < len(rows) && rows[next].at+period/2 <= at {
			next++
		}
		out[i].Requests = n.count(between(rows, next, at-period/2))
	}
	for i := 1; i < len(rows); i++ {
		hole(out, rows[i-1], rows[i], period)
	}
	return out
}

// between is the value at a time, on the line through two rows; before the first
// and after the last row it stays.
func between(rows []row, next int, at time.Duration) float64 {
	switch next {
	case 0:
		return rows[0].value
	case len(rows):
		return rows[len(rows)-1].value
	}
	a, b := rows[next-1], rows[next]
	return a.value + (b.value-a.value)*float64(at-a.at)/float64(b.at-a.at)
}

// hole marks what lies between two rows that are more than a period apart.
func hole(out []Second, a, b row, period time.Duration) {
	first, last := int((a.at+period)/time.Second), int(b.at/time.Second)
	for i := first; i < last; i++ {
		out[i].Silent = true
		if period == time.Second {
			out[i].Requests = a.value + (b.value-a.value)*float64(i-first+1)/float64(last-first+1)
		}
	}
}
