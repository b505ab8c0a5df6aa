package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one round: requests per second, and the server's processor time per request.
type sample struct {
	rate float64
	cpu  time.Duration
}

var (
	requestsLine = regexp.MustCompile(`(\d+) requests in `)
	rateLine     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
)

// measure loads one server for one round.
func measure(ctx context.Context, o options, s *server, size int) (sample, error) {
	before, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	out, err := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(o.loadCore), "wrk", "-t1", "-c"+strconv.Itoa(o.connections),
		"-d"+strconv.Itoa(int(o.duration.Seconds()))+"s", s.url+path(size)).CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	after, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	text := string(out)
	if strings.Contains(text, "Non-2xx") || strings.Contains(text, "Socket errors") {
		return sample{}, fmt.Errorf("not every request was answered:\n%s", text)
	}
	requests, rate := requestsLine.FindStringSubmatch(text), rateLine.FindStringSubmatch(text)
	if requests == nil || rate == nil {
		return sample{}, fmt.Errorf("wrk printed no figures:\n%s", text)
	}
	n, err := strconv.ParseFloat(requests[1], 64)
	if err != nil || n == 0 {
		return sample{}, fmt.Errorf("wrk made %s requests", requests[1])
	}
	perSecond, err := strconv.ParseFloat(rate[1], 64)
	return sample{rate: perSecond, cpu: time.Duration(float64(after-before) / n)}, err
}

// median returns the median of each figure, and the lowest and highest rate.
func median(samples []sample) (m sample, low, high float64) {
	rates, times := make([]float64, len(samples)), make([]time.Duration, len(samples))
	for i, s := range samples {
		rates[i], times[i] = s.rate, s.cpu
	}
	slices.Sort(rates)
	slices.Sort(times)
	return sample{rate: rates[len(rates)/2], cpu: times[len(times)/2]}, rates[0], rates[len(rates)-1]
}

// cpuTime is what a process and its descendants have used of the processor. The kernel's clock has ticks of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	type process struct {
		parent int
		ticks  int64
	}
	all := make(map[int]process, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended since
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return 0, err
		}
		// The command's name is in parentheses and may hold spaces; the fields after it are counted from the third.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parent, err1 := strconv.Atoi(fields[1])
		user, err2 := strconv.ParseInt(fields[11], 10, 64)
		system, err3 := strconv.ParseInt(fields[12], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return 0, fmt.Errorf("%s: %q is not as proc(5) says", file, text)
		}
		all[id] = process{parent, user + system}
	}
	var ticks int64
	for id, p := range all {
		for up, steps := id, 0; up > 1 && steps < 16; up, steps = all[up].parent, steps+1 {
			if up == pid {
				ticks += p.ticks
				break
			}
		}
	}
	const tick = 10 * time.Millisecond
	return time.Duration(ticks) * tick, nil
}
