// Loadgen drives a compressed kick-off, a viral object or a scan at a server on this machine and reports what came back.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/hack/loadgen/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

type flags struct {
	profile, popularity, jsonFile    string
	base, factor, compress, exponent float64
	jump                             float64
	lead, ramp, hold, fall, calm     time.Duration
	objects                          int
	viral, scan                      float64
	o                                load.Options
}

func command(out io.Writer) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "loadgen --target URL",
		Short: "Open-loop HTTP load for one machine, in the shapes that an edge meets",
		Long: `Open-loop HTTP load for one machine, in the shapes that an edge meets.

Profiles: steady; kickoff (x10 in 120 s); viral (half of the requests of the rush to one new object); scan (nine of ten of the rush to objects
nobody asks for twice). Join them with +. Targets other than loopback addresses are refused.`,
		Example: `  loadgen --target http://127.0.0.1:30080 --profile kickoff+viral --base 60 --compress 6
  loadgen --target http://127.0.0.1:8080 --profile steady --base 500 --hold 30s --json result.json`,
		Args:         cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, out) },
	}
	p := c.Flags()
	p.StringSliceVar(&f.o.Targets, "target", nil, "http://<loopback address>:port; may be repeated")
	p.StringVar(&f.o.Host, "host", "", "Host header (default: the target's)")
	p.StringVar(&f.profile, "profile", "steady", "one or more of "+strings.Join(load.Names(), ", ")+", joined with +")
	p.Float64Var(&f.base, "base", 60, "requests per second before and after the rush")
	p.Float64Var(&f.factor, "factor", 0, "peak rate as a multiple of the base (default: the profile's)")
	p.Float64Var(&f.jump, "jump", 1, "rate at the very start of the rush as a multiple of the base")
	p.Float64Var(&f.compress, "compress", 1, "make the profile this many times quicker; rates stay")
	p.DurationVar(&f.lead, "lead", 0, "time at the base rate before the rush (default: the profile's)")
	p.DurationVar(&f.ramp, "ramp", 0, "time from the base rate to the peak")
	p.DurationVar(&f.hold, "hold", 0, "time at the peak")
	p.DurationVar(&f.fall, "fall", 0, "time from the peak to the base rate")
	p.DurationVar(&f.calm, "calm", 0, "time at the base rate after the rush")
	p.Float64Var(&f.viral, "viral-share", 0, "share of the rush that goes to one object (default: the profile's)")
	p.Float64Var(&f.scan, "scan-share", 0, "share of the rush that goes to objects asked for once (default: the profile's)")
	p.IntVar(&f.objects, "objects", 1000, "objects in the catalogue")
	p.Float64Var(&f.exponent, "zipf", 0.7, "popularity: weight of rank r is 1/r^zipf")
	p.StringVar(&f.popularity, "popularity", "", "popularity from a CSV file of objects,weight[,bytes] instead")
	p.Int64Var(&f.o.Sizes.Median, "size", 4096, "median object size in bytes")
	p.Float64Var(&f.o.Sizes.Sigma, "size-sigma", 0, "spread of the sizes (log-normal); 0: all alike")
	p.Int64Var(&f.o.Sizes.Max, "size-max", 1<<20, "largest object size in bytes")
	p.StringVar(&f.o.Tag, "tag", fmt.Sprintf("run%d", time.Now().Unix()), "part of every object's name: a new one means cold caches")
	p.IntVar(&f.o.Viewers, "viewers", 64, "clients with connections of their own")
	p.IntVar(&f.o.InFlight, "in-flight", 2000, "most requests at the same time")
	p.DurationVar(&f.o.Timeout, "timeout", 10*time.Second, "of one request")
	p.BoolVar(&f.o.Verify, "verify", true, "check each body against what the demo origin makes")
	p.Uint64Var(&f.o.Seed, "seed", 1, "of the choice of objects")
	p.StringVar(&f.jsonFile, "json", "", "write the result to this file (- for standard output)")
	if err := c.MarkFlagRequired("target"); err != nil {
		panic(err)
	}
	return c
}

func (f *flags) run(c *cobra.Command, out io.Writer) error {
	if err := f.options(c); err != nil {
		return err
	}
	live := out
	if f.jsonFile == "-" {
		live = io.Discard
	}
	f.o.OnSecond = func(s load.Second) {
		fmt.Fprintf(live, "%4ds  offered %7.0f/s  done %6d  hit %5.1f%%  p50 %-8v p99 %-8v failed %d %s\n",
			s.T, s.Offered, s.Completed, 100*s.Hits, s.P50, s.P99, s.Failed, kinds(s.Errors))
	}
	result, err := load.Run(c.Context(), f.o)
	if err != nil && result.Completed == 0 {
		return err
	}
	fmt.Fprintf(live, "%d of %d requests, %d failed, peak %.0f/s, hit %.1f%%, p50 %v, p99 %v, max %v, %d connections, %d resent\n",
		result.Completed, result.Planned, result.Failed, result.PeakRPS, 100*result.Hits, result.P50, result.P99, result.Max, result.Connected, result.Resent)
	for _, text := range result.Examples {
		fmt.Fprintln(live, "  ", text)
	}
	if werr := write(f.jsonFile, out, result); werr != nil {
		return werr
	}
	if err == nil && result.Failed > 0 {
		err = fmt.Errorf("%d of %d requests failed: %s", result.Failed, result.Completed, kinds(result.Errors))
	}
	return err
}

func (f *flags) options(c *cobra.Command) error {
	profile, err := load.ParseProfile(f.profile, f.base)
	if err != nil {
		return err
	}
	if profile, err = profile.Compress(f.compress); err != nil {
		return err
	}
	s := &profile.Shape
	for name, set := range map[string]func(){
		"factor": func() { s.Factor = f.factor }, "jump": func() { s.Jump = f.jump }, "lead": func() { s.Lead = f.lead }, "ramp": func() { s.Ramp = f.ramp },
		"hold": func() { s.Hold = f.hold }, "fall": func() { s.Fall = f.fall }, "calm": func() { s.Calm = f.calm },
		"viral-share": func() { profile.ViralShare = f.viral }, "scan-share": func() { profile.ScanShare = f.scan },
	} {
		if c.Flags().Changed(name) {
			set()
		}
	}
	f.o.Profile = profile
	if f.popularity == "" {
		f.o.Popularity, err = load.Zipf(f.objects, f.exponent, f.o.Sizes)
		return err
	}
	file, err := os.Open(f.popularity)
	if err != nil {
		return fmt.Errorf("popularity: %w", err)
	}
	defer file.Close()
	f.o.Popularity, err = load.ReadPopularity(file, f.o.Sizes)
	return err
}

func kinds(errors map[string]uint64) string {
	if len(errors) == 0 {
		return ""
	}
	text, _ := json.Marshal(errors)
	return string(text)
}

func write(name string, out io.Writer, result load.Result) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if name == "-" {
		_, err = out.Write(text)
		return err
	}
	return os.WriteFile(name, text, 0o644)
}
