package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// load reads the trace, and cuts it to --from and --to. What the controller knows of a recorded one completes the sources and the flags.
func (s *simulation) load(cmd *cobra.Command, sources []source) (trace simulate.Trace, _ []source, err error) {
	if s.recorded == 0 {
		if trace, err = readTrace(cmd.InOrStdin(), s.trace, s.seed); err != nil {
			return trace, nil, err
		}
		trace, err = s.cut(trace)
		return trace, sources, err
	}
	r, err := s.ask(cmd, sources)
	if err != nil {
		return trace, nil, err
	}
	if trace, err = s.cut(r.trace); err != nil {
		return trace, nil, err
	}
	if s.initial == 0 {
		s.initial = r.replicasAt(trace.Start) // of what is replayed, not of what was recorded
	}
	if !s.podStartGiven && r.lead > 0 {
		s.podStart = min(r.lead, time.Hour)
	}
	return trace, r.fit(sources), nil
}

func (s *simulation) cut(trace simulate.Trace) (_ simulate.Trace, err error) {
	var bounds [2]time.Time
	for i, b := range []struct{ flag, text string }{{"--from", s.from}, {"--to", s.to}} {
		if b.text == "" {
			continue
		}
		if bounds[i], err = parseMoment(b.text); err != nil {
			return trace, fmt.Errorf("%s: %w", b.flag, err)
		}
	}
	return trace.Between(bounds[0], bounds[1])
}

func parseMoment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateTime} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time: want RFC 3339 or %q (UTC)", text, time.DateTime)
}

// readTrace reads a file, compressed or not; - is standard input.
func readTrace(stdin io.Reader, path string, seed uint64) (trace simulate.Trace, err error) {
	file := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return trace, fmt.Errorf("--trace: %w", err)
		}
		defer f.Close()
		file = f
	}
	in := bufio.NewReaderSize(file, 64<<10)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return trace, fmt.Errorf("%s: %w", path, err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	trace, err = simulate.Parse(in, seed)
	if err != nil {
		return trace, fmt.Errorf("%s: %w", path, err)
	}
	trace.Name = path
	return trace, nil
}
