package simulate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// logTime is how the common and the combined log format write a time.
const logTime = "02/Jan/2006:15:04:05 -0700"

// longestLine bounds what one line of an access log may hold: a request line and
// its headers are a few kilobytes, and what is longer is another kind of file.
const longestLine = 1 << 20

// looksLogged is a line of the common or the combined log format.
var looksLogged = regexp.MustCompile(`^\S+ \S+ .*\[\d{1,2}/[A-Za-z]{3}/\d{4}:`)

// isLog reports whether a text begins like an access log.
func isLog(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return looksLogged.Match(line)
		}
	}
	return false
}

// parseLog counts the lines of an access log by the second that each names.
// Servers write a line when a response ends, so times may go back; lines need not
// be sorted. A last line without its end, as in a file that is still written, is
// left out when it cannot be read.
func parseLog(r io.Reader) (Trace, error) {
	var (
		c    counter
		last stampCache
		line int
	)
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return Trace{}, fmt.Errorf("line %d, %w", line+1, err)
		}
		ended := err != nil
		line++
		if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] != '#' {
			at, problem := last.second(text)
			if problem != nil && ended && c.lines > 0 {
				break
			}
			if problem == nil {
				problem = c.add(at)
			}
			if problem != nil {
				return Trace{}, fmt.Errorf("line %d, %w", line, problem)
			}
		}
		if ended {
			break
		}
	}
	if c.lines == 0 {
		return Trace{}, errors.New("the access log has no line")
	}
	return c.trace(), nil
}

// readLine returns the next line with its end. At the end of the file the error
// is io.EOF, and the line is what is left.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	whole := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		if whole = append(whole, line...); len(whole) > longestLine {
			return nil, fmt.Errorf("column %d: the line is longer than %d bytes", longestLine, longestLine)
		}
	}
	return whole, err
}

// stampCache spares parsing the same text again: a busy second has thousands of
// lines with one time.
type stampCache struct {
	text []byte
	unix int64 // seconds since 1970
}

func (s *stampCache) read(text []byte) (int64, error) {
	if len(s.text) > 0 && bytes.Equal(s.text, text) {
		return s.unix, nil
	}
	t, err := time.Parse(logTime, string(text))
	if err != nil {
		return 0, err
	}
	s.text, s.unix = append(s.text[:0], text...), t.Unix()
	return s.unix, nil
}

// second is the time of one line. What follows the time is looked at just enough
// to tell an access log from another file with brackets.
func (s *stampCache) second(line []byte) (int64, error) {
	open := bytes.IndexByte(line, '[')
	if open < 0 {
		return 0, fmt.Errorf("column 1: %q has no time in brackets, as the common and the combined log format have", clip(line))
	}
	length := bytes.IndexByte(line[open:], ']')
	if length < 0 {
		return 0, fmt.Errorf("column %d: %q has no closing bracket", open+1, clip(line[open:]))
	}
	text := line[open+1 : open+length]
	at, err := s.read(text)
	if err != nil {
		return 0, fmt.Errorf("column %d: %q is not a time such as %q", open+2, clip(text), logTime)
	}
	rest := bytes.TrimLeft(line[open+length+1:], " ")
	if len(rest) == 0 || rest[0] != '"' {
		return 0, fmt.Errorf("column %d: %q is not a request in quotes", len(line)-len(rest)+1, clip(rest))
	}
	return at, nil
}

func clip(text []byte) []byte { return bytes.TrimSpace(text[:min(len(text), 80)]) }

// counter counts lines by second; it grows to both sides.
type counter struct {
	lines  int
	first  int64 // second of counts[0]
	low    int64 // first and last second with a line
	high   int64
	counts []uint32
}

func (c *counter) add(at int64) error {
	if c.lines == 0 {
		c.first, c.low, c.high = at, at, at
	}
	low, high := min(c.low, at), max(c.high, at)
	if covers := time.Duration(high-low+1) * time.Second; high-low >= int64(MaxDuration/time.Second) {
		return fmt.Errorf("column 1: %s is too far from the lines before: the log would cover %s, allowed are up to %s",
			time.Unix(at, 0).UTC().Format(time.RFC3339), covers, MaxDuration)
	}
	if at < c.first {
		grow := max(c.first-at, int64(len(c.counts)/2))
		c.counts = append(make([]uint32, grow, grow+int64(len(c.counts))), c.counts...)
		c.first -= grow
	}
	for int64(len(c.counts)) <= at-c.first {
		c.counts = append(c.counts, 0)
	}
	c.counts[at-c.first]++
	c.lines++
	c.low, c.high = low, high
	return nil
}

func (c *counter) trace() Trace {
	t := Trace{Start: time.Unix(c.low, 0).UTC(), Seconds: make([]Second, c.high-c.low+1)}
	for i := range t.Seconds {
		t.Seconds[i].Requests = float64(c.counts[c.low-c.first+int64(i)])
	}
	return t
}
