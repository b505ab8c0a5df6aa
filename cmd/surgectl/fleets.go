package main

import (
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/policy"
)

func fleetsCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "fleets", Aliases: []string{"status"}, Short: "List the fleets: load, signal, sizes, what is wrong and the latest reason", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list fleet.FleetList
			if err := o.get(cmd.Context(), "/v1/fleets", nil, &list); err != nil {
				return err
			}
			if o.output == "json" {
				return o.json(cmd, list)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "FLEET\tMODE\tSIGNAL\tEDGES\tRPS\tHIT\tDESIRED\tSPEC\tREADY\tLEADER\tCONDITIONS\tREASON")
			for _, s := range list.Fleets {
				reason := "no decision yet"
				if s.Decision != nil {
					reason = s.Decision.Reason
				}
				if s.Policy.Error != "" {
					reason = "POLICY REFUSED: " + s.Policy.Error
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d\t%.0f\t%.0f%%\t%d\t%d\t%d\t%s\t%s\t%s\n", s.Fleet, s.Mode, s.Signal.State, s.Signal.Live, s.Signal.Known,
					s.Load.OfferedRPS, 100*s.Load.HitRatio, s.Replicas.Desired, s.Replicas.Spec, s.Replicas.Ready, s.Leader, wrong(s.Conditions), reason)
			}
			return w.Flush()
		},
	}
}

// wrong names the conditions that are not as an operator wants them, each with its reason; "ok" without any.
func wrong(conditions []fleet.Condition) string {
	var parts []string
	for _, c := range conditions {
		if !c.Good() {
			parts = append(parts, c.Type+":"+c.Reason)
		}
	}
	if len(parts) == 0 {
		return "ok"
	}
	return strings.Join(parts, ",")
}

func explainCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain FLEET", Short: "Explain why a fleet has the size that it has", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s fleet.Status
			if err := o.get(cmd.Context(), "/v1/fleets/"+url.PathEscape(args[0]), nil, &s); err != nil {
				return err
			}
			if o.output == "json" {
				return o.json(cmd, s)
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), explain(s))
			return err
		},
	}
	cmd.ValidArgsFunction = o.completeFleets
	return cmd
}

func explain(s fleet.Status) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	line("fleet", "%s (Deployment %s, namespace %s, mode %s)", s.Fleet, s.Target, s.Namespace, s.Mode)
	line("leader", "%s", s.Leader)
	line("edges", "%d desired, %d asked for, %d Ready", s.Replicas.Desired, s.Replicas.Spec, s.Replicas.Ready)
	line("signal", "%s: %d of %d edges heard, %d events lost", s.Signal.State, s.Signal.Live, s.Signal.Known, s.Signal.LostEvents)
	if d := s.Decision; d != nil {
		line("because", "%s", d.Reason)
		if len(d.Limits) > 0 {
			line("limits", "%s", strings.Join(d.Limits, ", "))
		}
		if d.Cause != "" {
			line("cause", "%s", d.Cause)
		}
		if in := d.Inputs; in != nil {
			line("load", "%.1f rps now, %.1f smoothed over %.0f s; hit ratio %.0f%%", d.Load.OfferedRPS, in.Level, in.SpanSeconds, 100*d.Load.HitRatio)
			alarm := "no rise"
			if in.Alarmed {
				alarm = fmt.Sprintf("a rise to %.1f times %.1f rps, growing by %.1f rps/s", in.Ratio, in.Base, in.Slope)
			}
			line("spike test", "evidence %.1f of %.1f: %s", in.Evidence, in.Threshold, alarm)
			line("demand", "%.1f rps at %g rps per edge; largest within the hold %.1f rps, %.0f s ago", in.Demand, in.TargetRPSPerEdge, in.HeldDemand, in.HeldAgeSeconds)
			if in.Metric != "" {
				line("metric", "%s needs the most edges: %.1f rps offered, %.1f under way, %.1f Mbit/s to clients", in.Metric, d.Load.OfferedRPS, in.InFlight, in.EgressMbps)
			}
			if in.Scan > 0 {
				line("scan", "%.1f rps ask for keys that nobody else does: they buy no edges", in.Scan)
			}
			if in.LostEdges > 0 {
				line("lost", "%d edges fell silent, others serve their clients", in.LostEdges)
			}
			line("pod start", "%.0f s", in.LeadSeconds)
		}
		for i, c := range d.Counterfactuals {
			name := ""
			if i == 0 {
				name = "otherwise"
			}
			line(name, "%s", c.Text)
		}
	}
	if f := s.Forecast; f != nil {
		line("forecast", "%s", outlook(f))
	}
	if d := s.LastChange; d != nil {
		line("last change", "%s: %d -> %d, %s", d.WrittenAt.Local().Format(time.DateTime), d.From, d.To, d.Reason)
	}
	line("policy", "resource version %s, accepted %s", s.Policy.ResourceVersion, s.Policy.AcceptedAt.Local().Format(time.DateTime))
	for _, problem := range s.Policy.Problems {
		line("  refused", "%s", problem)
	}
	for _, c := range s.Conditions {
		line("condition", "%s=%s (%s) %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return b.String()
}

// outlook is a forecast with its score: what it says, how good it was to say so, and what comes of it.
func outlook(f *fleet.Forecast) string {
	text := "nothing is known of the next minutes yet"
	if f.DemandRPS > 0 {
		text = fmt.Sprintf("%.1f rps at most in the next five minutes (%s)", f.DemandRPS, f.Method)
	}
	if f.ScoredSeconds == 0 {
		return text + "; not scored yet"
	}
	scored := time.Duration(f.ScoredSeconds * float64(time.Second)).Round(time.Minute)
	text += fmt.Sprintf("; over %s its error was %+.0f%% beside persistence, edges %+.1f%%: ", shortly(scored), -100*f.Skill, 100*f.Cost)
	switch {
	case f.Promoted && f.Mode == string(policy.ForecastAuto):
		return text + "edges are kept for it"
	case f.Promoted:
		return text + "good enough to keep edges by, with forecast: auto"
	}
	return text + "not good enough to keep edges by"
}

func decisionsCommand(o *options) *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use: "decisions FLEET", Short: "List the decisions of a fleet, the newest last", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if since > 0 {
				query.Set("since", time.Now().Add(-since).UTC().Format(time.RFC3339))
			}
			var list fleet.DecisionList
			if err := o.get(cmd.Context(), "/v1/fleets/"+url.PathEscape(args[0])+"/decisions", query, &list); err != nil {
				return err
			}
			if o.output == "json" {
				return o.json(cmd, list)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "AT\tFROM\tTO\tPATH\tRPS\tWRITTEN\tREASON")
			for _, d := range list.Decisions {
				written := "no"
				if d.Written {
					written = d.WrittenAt.Sub(d.At).Round(time.Millisecond).String()
				}
				if d.Error != "" {
					written = "failed: " + d.Error
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%.0f\t%s\t%s\n", d.At.Local().Format("15:04:05.000"), d.From, d.To, d.Path, d.Load.OfferedRPS, written, d.Reason)
			}
			return w.Flush()
		},
	}
	cmd.Flags().DurationVar(&since, "since", 0, "`time` to look back, such as 10m; 0 is all that the controller keeps")
	cmd.ValidArgsFunction = o.completeFleets
	return cmd
}
