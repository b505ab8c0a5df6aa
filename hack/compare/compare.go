package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/controllers/simulate"
)

// comparison is one trace and one fleet for all scalers.
type comparison struct {
	trace   simulate.Trace
	options simulate.Options
	policy  map[string]string // of ours; the target and the bounds come from options
	only    []string          // names of scalers; empty: all
	output  string
	seed    uint64
	all     bool   // the suite instead of one trace
	data    string // directory of recorded traces for the suite
}

// A row is what became of one scaler.
type row struct {
	Scaler string `json:"scaler"`
	simulate.Score
}

// parseFlags reads the command line, and the trace that it names.
func parseFlags(args []string) (*comparison, error) {
	c := &comparison{policy: map[string]string{}}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	file := f.String("trace", "", "file with the trace: CSV with a header, or one rate per line")
	shape := f.String("synthetic", "", "trace to make up instead: step, burst, square, ramp, exodus, day or silence")
	base := f.Float64("base", 2000, "requests per second before the change of a synthetic trace")
	k := f.Float64("k", 5, "factor of the change of a synthetic trace; for an exodus, the fraction that stays")
	from := f.String("from", "", "start within the trace, such as \"1998-05-12 05:30:00\" (UTC)")
	to := f.String("to", "", "end within the trace")
	f.Uint64Var(&c.seed, "seed", 1, "seed of the counting noise")
	f.BoolVar(&c.all, "suite", false, "play the suite of traces instead and write Markdown")
	f.StringVar(&c.data, "data", "", "directory with worldcup98/ for the suite; without it those traces are left out")
	f.Float64Var(&c.options.Capacity, "capacity", 140, "requests per second that one pod can serve")
	f.Float64Var(&c.options.Target, "target", 0, "requests per second per pod that is aimed at; 0 is 70 % of the capacity")
	f.IntVar(&c.options.Min, "min", 2, "fewest replicas")
	f.IntVar(&c.options.Max, "max", 5000, "most replicas")
	f.IntVar(&c.options.Initial, "initial", 0, "replicas at the start; 0 is what the first second needs")
	f.DurationVar(&c.options.PodStart, "pod-start", 10*time.Second, "time from the write to a ready pod")
	f.DurationVar(&c.options.SignalLag, "signal-lag", time.Second, "age of the signal when it arrives")
	policyFile := f.String("policy", "", "file with the keys of our policy, one key: value per line")
	f.Func("set", "one key=value of our policy; may be repeated", func(s string) error {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("%q is not key=value", s)
		}
		c.policy[key] = value
		return nil
	})
	only := f.String("only", "", "comma separated names of scalers: "+strings.Join(names(scalers), ", "))
	f.StringVar(&c.output, "o", "table", "output: table or json")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if c.output != "table" && c.output != "json" {
		return nil, fmt.Errorf("-o: %q is not table or json", c.output)
	}
	if *only != "" {
		c.only = strings.Split(*only, ",")
		for _, name := range c.only {
			if !slices.Contains(names(scalers), name) {
				return nil, fmt.Errorf("--only: %q is not one of %s", name, strings.Join(names(scalers), ", "))
			}
		}
	}
	if *policyFile != "" {
		keys, err := readPolicy(*policyFile)
		if err != nil {
			return nil, err
		}
		maps.Copy(keys, c.policy)
		c.policy = keys
	}
	var err error
	switch {
	case c.all:
		if *file != "" || *shape != "" {
			return nil, fmt.Errorf("--suite brings its own traces: it goes with neither --trace nor --synthetic")
		}
	case (*file == "") == (*shape == ""):
		return nil, fmt.Errorf("exactly one of --trace, --synthetic and --suite is needed")
	case *file != "":
		c.trace, err = load(*file, *from, *to, c.seed)
	default:
		c.trace, err = synthesize(*shape, *base, *k, c.seed)
	}
	return c, err
}

func load(file, from, to string, seed uint64) (simulate.Trace, error) {
	in, err := os.Open(file)
	if err != nil {
		return simulate.Trace{}, fmt.Errorf("opening the trace: %w", err)
	}
	defer in.Close()
	t, err := simulate.Parse(in, seed)
	if err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	t.Name = file
	var bounds [2]time.Time
	for i, s := range []string{from, to} {
		if s == "" {
			continue
		}
		if bounds[i], err = time.Parse(time.DateTime, s); err != nil {
			return t, fmt.Errorf("--from and --to: %q is not a time such as \"1998-05-12 05:30:00\"", s)
		}
	}
	return t.Between(bounds[0], bounds[1])
}

// readPolicy reads flat "key: value" lines, as in the data of a ConfigMap.
func readPolicy(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	keys := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%s: line %d: %q is not key: value", file, i+1, line)
		}
		keys[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	return keys, nil
}

func synthesize(shape string, base, k float64, seed uint64) (simulate.Trace, error) {
	const before = 10 * time.Minute
	switch shape {
	case "step":
		return simulate.Step(base, k, before, 20*time.Minute, seed), nil
	case "burst":
		return simulate.Burst(base, k, before, 2*time.Minute, 30*time.Minute, seed), nil
	case "square":
		return simulate.Square(base, k, 10*time.Minute, 4*time.Hour, seed), nil
	case "ramp":
		return simulate.Ramp(base, k, before, 15*time.Minute, 20*time.Minute, seed), nil
	case "exodus":
		return simulate.Exodus(base, k, before, time.Minute, 30*time.Minute, seed), nil
	case "day":
		return simulate.Day(base, k*base, 24*time.Hour, 24*time.Hour, seed), nil
	case "silence":
		return simulate.Day(base, k*base, 24*time.Hour, 24*time.Hour, seed).Silence(10*time.Hour, 29*time.Minute), nil
	}
	return simulate.Trace{}, fmt.Errorf("--synthetic: %q is not one of step, burst, square, ramp, exodus, day, silence", shape)
}

// A scaler is one row of the table. Its run plays the comparison and must use
// the options that it is given.
type scaler struct {
	name, what string
	run        func(t *testing.T, c *comparison, o simulate.Options) (simulate.Score, error)
}

var scalers = []scaler{
	{"hpa", "HPA, defaults", hpaRun(0, nil)},
	{"hpa-tuned", "HPA, no limit up, 60 s down", hpaRun(0, tuned())},
	{"hpa-5s", "HPA on a 5 s rate (KEDA on RabbitMQ)", hpaRun(5*time.Second, nil)},
	{"hpa-30s", "HPA on a 30 s scrape", hpaRun(30*time.Second, nil)},
	{"kpa", "Knative, defaults", func(_ *testing.T, c *comparison, o simulate.Options) (simulate.Score, error) {
		return simulate.Run(c.trace, o, newKPA(o.Target, o.Capacity))
	}},
	{"bound", "reacts at once, holds 60 s", func(_ *testing.T, c *comparison, o simulate.Options) (simulate.Score, error) {
		o.SignalLag = 0
		return simulate.Run(c.trace, o, newReactive(o.Target, time.Minute))
	}},
	{"oracle", "knows the next 12 s, holds 60 s", func(_ *testing.T, c *comparison, o simulate.Options) (simulate.Score, error) {
		return simulate.Run(c.trace, o, newOracle(o.Target, c.trace, 12*time.Second, time.Minute))
	}},
	{"rapid", "Surgewall, preset rapid", ours(policy.Rapid)},
	{"balanced", "Surgewall, preset balanced", ours(policy.Balanced)},
	{"steady", "Surgewall, preset steady", ours(policy.Steady)},
}

func names(all []scaler) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = s.name
	}
	return out
}

func hpaRun(scrape time.Duration, behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) func(*testing.T, *comparison, simulate.Options) (simulate.Score, error) {
	return func(t *testing.T, c *comparison, o simulate.Options) (score simulate.Score, err error) {
		o.Scrape = scrape
		inHPA(t, o.Target, o.Min, o.Max, o.Initial, behavior, func(s simulate.Scaler) {
			score, err = simulate.Run(c.trace, o, s)
		})
		return score, err
	}
}

// ours hears the reports of edges, several times a second, as the controller does;
// the others get the sum of the second that has just ended.
func ours(preset policy.Preset) func(*testing.T, *comparison, simulate.Options) (simulate.Score, error) {
	return func(_ *testing.T, c *comparison, o simulate.Options) (simulate.Score, error) {
		o.Reports = true
		keys := map[string]string{
			"preset":              string(preset),
			"target-rps-per-edge": strconv.FormatFloat(o.Target, 'g', -1, 64),
			"min-replicas":        strconv.Itoa(o.Min), "max-replicas": strconv.Itoa(o.Max),
		}
		maps.Copy(keys, c.policy)
		p, err := policy.Parse("edge", keys)
		if err != nil {
			return simulate.Score{}, fmt.Errorf("our policy: %w", err)
		}
		return simulate.Run(c.trace, o, simulate.NewProduction(p))
	}
}

func (c *comparison) plays(name string) bool {
	return len(c.only) == 0 || slices.Contains(c.only, name)
}

// run plays all scalers, one after the other.
func (c *comparison) run(t *testing.T) ([]row, error) {
	if c.trace.Duration() == 0 {
		return nil, fmt.Errorf("the trace is empty")
	}
	o := c.options
	if !(o.Capacity > 0) {
		return nil, fmt.Errorf("--capacity: %g is not above 0 requests per second", o.Capacity)
	}
	if o.Target == 0 {
		o.Target = 0.7 * o.Capacity
	}
	if o.Initial == 0 { // the HPA has to be told before its first second
		o.Initial = min(max(int(c.trace.Seconds[0].Requests/o.Target)+1, o.Min), o.Max)
	}
	var rows []row
	for _, s := range scalers {
		if !c.plays(s.name) {
			continue
		}
		score, err := s.run(t, c, o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{Scaler: s.name, Score: score})
	}
	return rows, nil
}

// print writes the table.
func (c *comparison) print(w io.Writer, rows []row) {
	fmt.Fprintf(w, "%s: %s, peak %.0f rps, %.3g million requests; capacity %g rps per pod, pod start %s, signal lag %s\n\n",
		c.trace.Name, c.trace.Duration(), c.trace.Peak(), rows[0].Requests/1e6, c.options.Capacity, c.options.PodStart, c.options.SignalLag)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "scaler\tθU %\tθO %\toverload %\tpod-h\twrites\treversals\tmost\tfirst write s\t90 % of need s\tsilent scale-ins\t")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%.3f\t%.1f\t%.4f\t%.1f\t%d\t%d\t%d\t%s\t%s\t%d\t\n", r.Scaler, 100*r.Under, 100*r.Over, 100*r.OverloadRatio,
			r.PodHours, r.Writes, r.Reversals, r.MaxReplicas, seconds(r.FirstWrite), seconds(r.NeedWrite), r.SilentScaleIns)
	}
	tw.Flush()
	fmt.Fprintln(w)
	for _, s := range scalers {
		if slices.ContainsFunc(rows, func(r row) bool { return r.Scaler == s.name }) {
			fmt.Fprintf(w, "  %-10s %s\n", s.name, s.what)
		}
	}
}

func seconds(s *float64) string {
	if s == nil {
		return "-"
	}
	return strconv.FormatFloat(*s, 'f', -1, 64)
}
