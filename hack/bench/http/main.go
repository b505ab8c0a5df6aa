// Command http measures cache hits per core of Surgewall's shield beside nginx, Varnish and bare net/http, in one run on one machine.
//
// Each server is pinned to one core and wrk to another; the servers take turns round by round, so that whatever else the machine does falls
// on all of them. Two figures come out per server and size: requests per second, and the processor time of the server per request, which
// holds still on a machine that is not idle. Everything listens on loopback, on free ports, out of a temporary directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

type options struct {
	rounds      int
	duration    time.Duration
	connections int
	serverCore  int
	loadCore    int
	only        string
	profile     string
	shieldFlags string
}

func main() {
	var o options
	bare := flag.String("bare", "", "serve bodies from memory at this `address`, with nothing but net/http; used by the program itself")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds per server and size; the figures are medians")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "of one round")
	flag.IntVar(&o.connections, "connections", 32, "connections that wrk holds")
	flag.IntVar(&o.serverCore, "server-core", 0, "core of the servers")
	flag.IntVar(&o.loadCore, "load-core", 1, "core of wrk")
	flag.StringVar(&o.only, "servers", "nginx,varnish,surgewall,net/http", "servers to measure, the first is what the others are compared with")
	flag.StringVar(&o.profile, "profile", "", "`directory` for CPU profiles of the shield, one per size, taken after the measurement")
	flag.StringVar(&o.shieldFlags, "shield-flags", "", "further flags of the shield, separated by spaces")
	flag.Parse()
	if *bare != "" {
		fmt.Fprintln(os.Stderr, serveBare(*bare))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var sizes = []struct {
	name  string
	bytes int
}{{"1 KiB", 1 << 10}, {"64 KiB", 64 << 10}}

func run(ctx context.Context, o options) error {
	if o.rounds < 1 || o.rounds > 100 || o.duration < time.Second || o.duration > time.Minute {
		return fmt.Errorf("--rounds %d --duration %v: want 1 to 100 rounds of 1 s to 1 min", o.rounds, o.duration)
	}
	for _, tool := range []string{"taskset", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: install it with hack/deps.sh bench", err)
		}
	}
	dir, err := os.MkdirTemp("", "surgewall-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	origin, err := startOrigin()
	if err != nil {
		return err
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for name := range strings.SplitSeq(o.only, ",") {
		start, ok := starters[name]
		if !ok {
			return fmt.Errorf("--servers: %q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(starters)), ", "))
		}
		home := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.Mkdir(home, 0o700); err != nil {
			return err
		}
		s, err := start(ctx, o, home, origin)
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		s.name = name
		servers = append(servers, s)
		if err := s.warm(ctx, origin); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}

	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "cache hits, one core\tsize\trequests/s\tlowest\thighest\tratio\tµs of CPU per request\tratio\t\n")
	for _, size := range sizes {
		measured := make([][]sample, len(servers))
		for round := range o.rounds {
			for i := range servers {
				i = (i + round) % len(servers)
				m, err := measure(ctx, o, servers[i], size.bytes)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", servers[i].name, size.name, err)
				}
				measured[i] = append(measured[i], m)
			}
		}
		var base sample
		for i, s := range servers {
			m, low, high := median(measured[i])
			if i == 0 {
				base = m
			}
			fmt.Fprintf(table, "%s\t%s\t%.0f\t%.0f\t%.0f\t%.2f\t%.1f\t%.2f\t\n", s.name, size.name, m.rate, low, high,
				m.rate/base.rate, m.cpu.Seconds()*1e6, base.cpu.Seconds()/m.cpu.Seconds())
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Printf("medians of %d rounds of %v, %d connections; ratios to %s: rate over rate, and its CPU time per request over the server's\n",
		o.rounds, o.duration, o.connections, servers[0].name)
	if n := origin.late.Load(); n > 0 {
		return fmt.Errorf("%d requests reached the origin after the warm-up: these were not all hits", n)
	}
	if o.profile == "" {
		return nil
	}
	return profile(ctx, o, servers)
}

// profile writes what the shield's processor time goes to while it serves hits.
func profile(ctx context.Context, o options, servers []*server) error {
	i := slices.IndexFunc(servers, func(s *server) bool { return s.pprof != "" })
	if i < 0 {
		return errors.New("--profile: surgewall is not among --servers")
	}
	if err := os.MkdirAll(o.profile, 0o755); err != nil {
		return err
	}
	for _, size := range sizes {
		done := make(chan error, 1)
		go func() {
			_, err := measure(ctx, o, servers[i], size.bytes)
			done <- err
		}()
		file := filepath.Join(o.profile, strings.ReplaceAll(size.name, " ", "")+".cpu.pprof")
		// The profile ends before the load does, for it takes a moment to be written.
		seconds := max(int(o.duration.Seconds())-1, 1)
		err := download(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", servers[i].pprof, seconds), file)
		if err := errors.Join(err, <-done); err != nil {
			return fmt.Errorf("profile of %s: %w", size.name, err)
		}
		fmt.Println("profile:", file)
	}
	return nil
}

func download(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, response.Body)
	return errors.Join(err, f.Close())
}
