package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/controllers/policy"
	"github.com/surgewall/surgewall/controllers/simulate"
)

// simulation is the command line of simulate.
type simulation struct {
	*options
	policy, against   string
	fleet             string
	trace             string
	recorded          time.Duration
	from, to          string
	set               map[string]string
	capacity          float64
	podStart          time.Duration
	podStartGiven     bool
	signalLag         time.Duration
	initial           int
	seed              uint64
	html              string
	width             int // columns of the terminal; 0: not one
	colour, quickNews bool
}

func simulateCommand(o *options) *cobra.Command {
	s := &simulation{options: o}
	cmd := &cobra.Command{
		Use:   "simulate --trace FILE|--recorded TIME [--policy FILE|PRESET] [--against FILE|PRESET]",
		Short: "Replay a policy, or an edit of one, on recorded traffic before it is applied",
		Long: `Replay a policy, or an edit of one, on recorded traffic before it is applied.

The decisions are those of the controller: the same code, second by second, in
virtual time. Pods take --pod-start to be ready and always find a node, and
requests spread evenly; both flatter every policy alike. So compare policies with
each other on one trace, not the figures with a cluster.

A trace is one of:
  a CSV with a header: a time column (RFC 3339, 2006-01-02 15:04:05 or seconds)
    and a count per period, or a rate per second named rate or rps
  one rate per line, one line per second
  an access log in the common or the combined format
Each may be compressed with gzip; - is standard input. Periods longer than a second
are interpolated, with the counting noise of --seed. --recorded asks the controller
for the load that it saw; its fleet's policy in force is then what the figures are
compared with.

Overloaded are the requests above the capacity of the ready edges; missing and surplus
are edges, as a fraction of the least that would have served each second.`,
		Example: `  # An edit, before and after, on the traffic of the last six hours.
  surgectl simulate --recorded 6h --policy edited.yaml

  # The same on an access log, with a page to send around.
  surgectl simulate --trace access.log.gz --policy edited.yaml --against policy.yaml --html edit.html

  # A single key, without a file for it.
  surgectl simulate --recorded 6h --policy policy.yaml --set scale-down-hold=10m

  # A preset on edges that serve 40 requests per second each, as JSON.
  surgectl simulate --trace requests.csv --policy steady --capacity 40 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&s.policy, "policy", string(policy.Balanced), "`file` with the policy ConfigMap, or a preset: rapid, balanced or steady")
	f.StringVar(&s.against, "against", "", "`file` or preset to compare with: the policy before the edit")
	f.StringVar(&s.trace, "trace", "", "`file` with the traffic")
	f.DurationVar(&s.recorded, "recorded", 0, "`time` to look back in what the controller recorded, such as 6h")
	f.StringVar(&s.fleet, "fleet", "", "`name` of the fleet, where a file or the controller has several")
	f.StringVar(&s.from, "from", "", "`time` within the trace to begin at, in RFC 3339 or as \"2006-01-02 15:04:05\" (UTC)")
	f.StringVar(&s.to, "to", "", "`time` within the trace to end at")
	f.StringToStringVar(&s.set, "set", nil, "`key=value` of the policy, instead of the file's; may be repeated")
	f.Float64Var(&s.capacity, "capacity", 0, "`requests` per second that one edge serves within its objective; 0 is what the policy says")
	f.DurationVar(&s.podStart, "pod-start", 10*time.Second, "`time` from the scale write to a ready edge; of --recorded, what the controller learned")
	f.DurationVar(&s.signalLag, "signal-lag", time.Second, "`age` of the load when the controller hears of it")
	f.IntVar(&s.initial, "initial", 0, "`edges` at the start; 0 is what ran, or what the first second needs")
	f.Uint64Var(&s.seed, "seed", 1, "`seed` of the counting noise")
	f.StringVar(&s.html, "html", "", "`file` to write a page with the plot to; it needs no network and no script")
	s.complete(cmd)
	return cmd
}

func (s *simulation) complete(cmd *cobra.Command) {
	policies := func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, name := range presets {
			if strings.HasPrefix(name, prefix) {
				out = append(out, name)
			}
		}
		return out, cobra.ShellCompDirectiveDefault // and files
	}
	keys := func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, k := range policy.Keys() {
			if strings.HasPrefix(k.Name, prefix) {
				out = append(out, k.Name+"=")
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	fleets := func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return s.completeFleets(cmd, nil, prefix)
	}
	fixed := func(values ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	}
	for flag, f := range map[string]cobra.CompletionFunc{
		"policy": policies, "against": policies, "set": keys, "fleet": fleets,
		"recorded": fixed("1h", "6h", "24h"), "pod-start": fixed("3s", "10s", "30s"), "signal-lag": fixed("1s", "2s", "5s"),
		"capacity": cobra.NoFileCompletions, "initial": cobra.NoFileCompletions, "seed": cobra.NoFileCompletions,
		"from": cobra.NoFileCompletions, "to": cobra.NoFileCompletions,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, f)
	}
}

func (s *simulation) check() error {
	switch {
	case (s.trace == "") == (s.recorded == 0):
		return errors.New("exactly one of --trace and --recorded is needed: a file with traffic, or what a controller recorded")
	case s.recorded < 0:
		return fmt.Errorf("--recorded: %s is not allowed: want a time above 0s, such as 6h", s.recorded)
	case s.capacity < 0:
		return fmt.Errorf("--capacity: %g is not allowed: want requests per second above 0", s.capacity)
	case s.initial < 0 || s.initial > mostEdges:
		return fmt.Errorf("--initial: %d is not allowed: want 0 to %d edges", s.initial, mostEdges)
	}
	for flag, d := range map[string]time.Duration{"--pod-start": s.podStart, "--signal-lag": s.signalLag} {
		if d < 0 || d > time.Hour || d%time.Second != 0 {
			return fmt.Errorf("%s: %s is not allowed: want a whole number of seconds from 0s to 1h", flag, d)
		}
	}
	dashes := 0
	for _, name := range []string{s.trace, s.policy, s.against} {
		if name == "-" {
			dashes++
		}
	}
	if dashes > 1 {
		return errors.New("only one of --trace, --policy and --against can be standard input")
	}
	return nil
}

func (s *simulation) run(cmd *cobra.Command) error {
	if err := s.check(); err != nil {
		return err
	}
	s.podStartGiven = cmd.Flags().Changed("pod-start")
	s.lookAtTerminal(cmd)
	sources, err := s.sources(cmd)
	if err != nil {
		return failure{err}
	}
	trace, sources, err := s.load(cmd, sources)
	if err != nil {
		return failure{err}
	}
	runs, err := s.prepare(trace, sources)
	if err != nil {
		return failure{err}
	}
	for _, r := range runs {
		for _, warning := range r.warnings(trace) {
			fmt.Fprintf(cmd.ErrOrStderr(), "surgectl: warning: %s\n", warning)
		}
	}
	if err := s.play(cmd.Context(), cmd.ErrOrStderr(), trace, runs); err != nil {
		return failure{err}
	}
	r := newReceipt(trace, runs)
	if s.html != "" {
		if err := writePage(s.html, r, runs); err != nil {
			return failure{err}
		}
	}
	if s.output == "json" {
		return s.json(cmd, r)
	}
	return s.print(cmd.OutOrStdout(), r, runs)
}

// sources are the policy and, where there is one, what it is compared with: that comes first.
func (s *simulation) sources(cmd *cobra.Command) (sources []source, err error) {
	for _, name := range []string{s.against, s.policy} {
		if name == "" {
			continue
		}
		from, err := readSource(cmd.InOrStdin(), name, s.fleet)
		if err != nil {
			return nil, err
		}
		sources = append(sources, from)
	}
	return sources, nil
}

// prepare makes the runs. All have the same edges: how much one serves is not changed by an edit of the policy.
func (s *simulation) prepare(trace simulate.Trace, sources []source) (runs []*replay, err error) {
	capacity, err := s.edgeCapacity(sources)
	if err != nil {
		return nil, err
	}
	for i, from := range sources {
		set := s.setOf(i, sources)
		p, err := from.policy(capacity, set)
		if err != nil {
			return nil, err
		}
		o := simulate.OptionsFor(p, capacity)
		o.PodStart, o.SignalLag, o.Initial = s.podStart, s.signalLag, s.initial
		runs = append(runs, newReplay(from.title(set), p, o, trace))
	}
	return runs, nil
}

// setOf is --set, which is for the policy and not for what it is compared with.
func (s *simulation) setOf(i int, sources []source) map[string]string {
	if i == len(sources)-1 {
		return s.set
	}
	return nil
}

// edgeCapacity is what an edge serves: --capacity, or what the first policy of a fleet says. A preset knows nothing of the fleet's edges,
// so it is asked only where there is nothing else.
func (s *simulation) edgeCapacity(sources []source) (float64, error) {
	if s.capacity > 0 {
		return s.capacity, nil
	}
	i := max(0, slices.IndexFunc(sources, func(from source) bool { return !from.preset }))
	p, err := sources[i].policy(0, s.setOf(i, sources))
	if err != nil {
		return 0, err
	}
	return p.EdgeCapacity(), nil
}

// play runs all at the same time, and says how far they are where that takes long.
func (s *simulation) play(ctx context.Context, log interface{ Write([]byte) (int, error) }, trace simulate.Trace, runs []*replay) error {
	done := make(chan error, len(runs))
	for _, r := range runs {
		go func() { done <- r.play(trace) }()
	}
	news := 5 * time.Second
	if s.quickNews {
		news = time.Second
	}
	ticker := time.NewTicker(news)
	defer ticker.Stop()
	shown := false
	defer func() {
		if shown && s.quickNews {
			fmt.Fprint(log, "\r\x1b[K")
		}
	}()
	for left := len(runs); left > 0; {
		select {
		case <-ctx.Done():
			// The runs end with the process.
			return fmt.Errorf("simulating: %w", context.Cause(ctx))
		case err := <-done:
			if err != nil {
				return err
			}
			left--
		case <-ticker.C:
			shown = true
			text := fmt.Sprintf("simulated %.0f%% of %s", 100*progress(runs, trace), shortly(trace.Duration()))
			if s.quickNews {
				fmt.Fprintf(log, "\r%s\x1b[K", text)
			} else {
				fmt.Fprintln(log, "surgectl: "+text)
			}
		}
	}
	return nil
}

// lookAtTerminal finds out what can be drawn.
func (s *simulation) lookAtTerminal(cmd *cobra.Command) {
	out, _ := cmd.OutOrStdout().(*os.File)
	s.width = terminalWidth(out)
	s.colour = s.width > 0 && os.Getenv("NO_COLOR") == ""
	log, _ := cmd.ErrOrStderr().(*os.File)
	s.quickNews = terminalWidth(log) > 0
}
