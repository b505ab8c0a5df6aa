package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/plan"
)

func planCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "plan", Short: "Announce events that will bring load, list and remove them"}
	list := &cobra.Command{
		Use: "list FLEET", Short: "List the planned events of a fleet, by their beginning", Args: cobra.ExactArgs(1), ValidArgsFunction: o.completeFleets,
		RunE: func(cmd *cobra.Command, args []string) error { return o.plans(cmd, args[0]) },
	}
	rm := &cobra.Command{
		Use: "rm FLEET NAME", Short: "Remove a planned event; its edges are no longer kept", Args: cobra.ExactArgs(2), ValidArgsFunction: o.completeFleets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.call(cmd.Context(), http.MethodDelete, plansPath(args[0])+"/"+url.PathEscape(args[1]), nil, nil, nil); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", args[1])
			return err
		},
	}
	cmd.PersistentFlags().StringVar(&o.tokenFile, "token-file", o.tokenFile, "`file` with the token of calls that write; also SURGEWALL_TOKEN_FILE")
	cmd.AddCommand(o.addPlan(), list, rm)
	return cmd
}

func plansPath(fleet string) string { return "/v1/fleets/" + url.PathEscape(fleet) + "/plans" }

func (o *options) addPlan() *cobra.Command {
	var name, note, zone string
	cmd := &cobra.Command{
		Use: "add FLEET WHAT…", Short: "Announce an event", Args: cobra.MinimumNArgs(2), ValidArgsFunction: o.completeFleets,
		Long: `Announce an event that will bring load. WHAT says when, how much and how long:

  ` + plan.Words + `

The edges are Ready at TIME; they are added evenly over the ramp before it. xTIMES multiplies the load of when the ramp begins. TIME is a time of
the day, the next one; "2026-06-14 20:55"; RFC 3339; or "now".`,
		Example: `  surgectl plan add edge "at 20:55, x5, ramp 10m, for 2h" --name derby --token-file token
  surgectl plan add edge at 2026-06-14T20:55:00+02:00 25 edges for 90m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			location := time.Local
			if zone != "" {
				var err error
				if location, err = time.LoadLocation(zone); err != nil {
					return fmt.Errorf("--zone: %q is not a time zone of the tz database, such as Europe/Berlin", zone)
				}
			}
			now := time.Now()
			p, err := plan.FromWords(strings.Join(args[1:], " "), now, location)
			if err != nil {
				return err
			}
			p.Name, p.Note = name, note
			checked := p
			checked.Name = cmp.Or(name, "unnamed") // the controller gives one
			if err := checked.Check(now); err != nil {
				return err
			}
			var status fleet.PlanStatus
			if err := o.call(cmd.Context(), http.MethodPost, plansPath(args[0]), nil, p, &status); err != nil {
				return err
			}
			if o.output == "json" {
				return o.json(cmd, status)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "added %s: %s (%s local time)\n", status.Name, status.Plan, status.At.Local().Format(time.DateTime))
			if status.Warning != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "surgectl: %s\n", status.Warning)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of the plan, a DNS label; made from its time when empty")
	cmd.Flags().StringVar(&note, "note", "", "`text` for people")
	cmd.Flags().StringVar(&zone, "zone", "", "time `zone` of a time without one; this machine's when empty")
	return cmd
}

func (o *options) plans(cmd *cobra.Command, name string) error {
	var list fleet.PlanList
	if err := o.get(cmd.Context(), plansPath(name), nil, &list); err != nil {
		return err
	}
	if o.output == "json" {
		return o.json(cmd, list)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tAT\tFOR\tRAMP\tSIZE\tIN FORCE\tBY\tNOTE")
	for _, p := range list.Plans {
		size := fmt.Sprintf("x%v", p.Factor)
		if p.Base > 0 {
			size += fmt.Sprintf(" of %.0f rps", p.Base)
		}
		if p.Floor > 0 {
			size = fmt.Sprintf("%d edges", p.Floor)
		}
		note := strings.TrimPrefix(strings.TrimSuffix(p.Note+"; "+p.Warning, "; "), "; ")
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.0f%%\t%s\t%s\n", p.Name, p.State, p.At.Local().Format(time.DateTime), p.For, p.Ramp, size, 100*p.Share, p.By, note)
	}
	return w.Flush()
}

// body is a value as the controller takes it; nil is none.
func body(value any) (*bytes.Reader, error) {
	if value == nil {
		return bytes.NewReader(nil), nil
	}
	text, err := json.Marshal(value)
	return bytes.NewReader(text), err
}
