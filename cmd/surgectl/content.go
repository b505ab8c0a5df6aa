package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/controllers/updates"
)

// contentCommands ask for content updates, and look after them.
func contentCommands(o *options) []*cobra.Command {
	commands := []*cobra.Command{purgeCommand(o), prefetchCommand(o), purgesCommand(o), deadCommand(o)}
	for _, cmd := range commands {
		cmd.PersistentFlags().StringVar(&o.tokenFile, "token-file", o.tokenFile, "`file` with the token for content updates; also SURGEWALL_TOKEN_FILE")
	}
	return append(commands, tokenCommand())
}

// purgeFlags are what a purge is made of.
type purgeFlags struct {
	Scope  string   `json:"scope"`
	Values []string `json:"values,omitempty"`
	Host   string   `json:"host,omitempty"`
	Soft   bool     `json:"soft,omitempty"`
	ID     string   `json:"id,omitempty"`
	Reason string   `json:"reason,omitempty"`
	DryRun bool     `json:"dry_run,omitempty"`

	prefix, host, tag, group, all, wait bool
	timeout                             time.Duration
}

func purgeCommand(o *options) *cobra.Command {
	var f purgeFlags
	cmd := &cobra.Command{
		Use: "purge [URL|NAME]...", Short: "Make stored responses unusable, or stale with --soft, on every edge and shield",
		Example: `  # Two pages with all their variants, and wait until every replica has purged them.
  surgectl purge https://www.example.com/ https://www.example.com/news --wait

  # Everything below a path, of a host, with a tag; everything.
  surgectl purge --prefix https://www.example.com/news/
  surgectl purge --host www.example.com --soft
  surgectl purge --tag article-7
  surgectl purge --tag front --on www.example.com
  surgectl purge --all --reason "wrong prices"

  # May I, and is it right? Nothing is purged.
  surgectl purge --tag article-7 --dry-run

  # From a pipeline: the same id is purged once, however often it is tried.
  surgectl purge --tag release --id release-41 --wait`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.scope(args); err != nil {
				return err
			}
			ctx := cmd.Context()
			if f.wait {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("no answer within --timeout %v", f.timeout))
				defer cancel()
			}
			u, err := o.purge(ctx, f, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if f.wait && !u.DryRun {
				return o.follow(ctx, cmd, u.ID, f.timeout)
			}
			if o.output == "json" {
				return o.json(cmd, u)
			}
			switch {
			case u.DryRun:
				fmt.Fprintf(cmd.OutOrStdout(), "dry run: this token may %s %s %s; nothing was purged\n", u.Action, u.Scope, strings.Join(u.Values, " "))
			case u.Repeated:
				fmt.Fprintf(cmd.OutOrStdout(), "%s was published before: %s\n", u.ID, howFar(u))
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "%s is published; surgectl purges %s shows how far it is\n", u.ID, u.ID)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.prefix, "prefix", false, "the arguments are URLs with which others begin")
	flags.BoolVar(&f.host, "host", false, "the argument is a host")
	flags.BoolVar(&f.tag, "tag", false, "the arguments are tags")
	flags.BoolVar(&f.group, "group", false, "the arguments are cache groups of the host in --on")
	flags.BoolVar(&f.all, "all", false, "everything")
	flags.StringVar(&f.Host, "on", "", "`host` on which the tags or groups are meant")
	flags.BoolVar(&f.Soft, "soft", false, "stale instead of unusable: served where that is allowed while they are validated")
	flags.StringVar(&f.ID, "id", "", "`name` of this purge, which is done once; a new one when empty")
	flags.StringVar(&f.Reason, "reason", "", "`text` for the audit")
	flags.BoolVar(&f.DryRun, "dry-run", false, "check it and purge nothing")
	flags.BoolVar(&f.wait, "wait", false, "wait until every replica has applied it, show how far it is, and try again while the controller is without its broker")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "`time` to wait")
	cmd.MarkFlagsMutuallyExclusive("prefix", "host", "tag", "group", "all")
	return cmd
}

// purge asks for one. Who waits has it tried again while the controller is without its broker, and is told so: by its id it is done once.
func (o *options) purge(ctx context.Context, f purgeFlags, log io.Writer) (u updates.Update, err error) {
	if f.wait && f.ID == "" {
		f.ID = strings.ToLower(rand.Text())
	}
	told := ""
	for {
		err = o.call(ctx, http.MethodPost, "/v1/purge", nil, f, &u)
		if wrapped := (unavailable{}); !f.wait || !errors.As(err, &wrapped) {
			return u, err
		}
		if now := err.Error(); now != told {
			told = now
			fmt.Fprintf(log, "surgectl: not yet: %s\n", now)
		}
		select {
		case <-ctx.Done():
			return u, err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// scope says what the arguments are.
func (f *purgeFlags) scope(args []string) error {
	f.Scope, f.Values = "url", args
	for _, s := range []struct {
		set  bool
		name string
	}{{f.prefix, "prefix"}, {f.host, "host"}, {f.tag, "tag"}, {f.group, "group"}, {f.all, "all"}} {
		if s.set {
			f.Scope = s.name
		}
	}
	switch {
	case f.all && len(args) > 0:
		return fmt.Errorf("--all: %q is not allowed beside it", args[0])
	case !f.all && len(args) == 0:
		return errors.New("want at least one URL, or --prefix, --host, --tag or --group with what is meant, or --all")
	}
	return nil
}

func howFar(u updates.Update) string {
	return fmt.Sprintf("%s, %d of %d replicas", u.State, u.Applied, u.Replicas)
}

// follow shows how far an update is until it is complete.
func (o *options) follow(ctx context.Context, cmd *cobra.Command, id string, timeout time.Duration) error {
	last := ""
	var known updates.Update // as of the latest answer
	for {
		var u updates.Update
		err := o.call(ctx, http.MethodGet, "/v1/purges/"+url.PathEscape(id), nil, nil, &u)
		if err == nil {
			known = u
			if now := howFar(u); now != last && o.output != "json" {
				last = now
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", id, now)
			}
			if u.State == "Complete" {
				if o.output == "json" {
					return o.json(cmd, u)
				}
				return nil
			}
		}
		select {
		case <-ctx.Done():
			switch {
			case err != nil && known.ID == "":
				return failure{fmt.Errorf("%s is not complete after %v: %w", id, timeout, err)}
			case err != nil && !errors.Is(err, context.Cause(ctx)):
				return failure{fmt.Errorf("%s is not complete after %v: %s, as far as is known; at last: %w", id, timeout, missing(known), err)}
			}
			// The time may well run out while the controller is asked: what it said before tells more than that.
			return failure{fmt.Errorf("%s is not complete after %v: %s", id, timeout, missing(known))}
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// missing names the replicas that have not applied an update.
func missing(u updates.Update) string {
	if u.Replicas == 0 {
		return "no replica is known to the controller"
	}
	var names []string
	for _, p := range u.Progress {
		if p.State != "applied" {
			names = append(names, fmt.Sprintf("%s/%s is %s", p.Fleet, p.Pod, p.State))
		}
	}
	if len(names) > 10 {
		names = append(names[:10], fmt.Sprintf("and %d more", len(names)-10))
	}
	return strings.Join(names, ", ")
}

func prefetchCommand(o *options) *cobra.Command {
	body := struct {
		URLs   []string `json:"urls"`
		ID     string   `json:"id,omitempty"`
		Reason string   `json:"reason,omitempty"`
		DryRun bool     `json:"dry_run,omitempty"`
	}{}
	cmd := &cobra.Command{
		Use: "prefetch URL...", Short: "Have shields fetch URLs before anybody asks for them",
		Example: `  # The first pieces of tonight's stream.
  surgectl prefetch https://www.example.com/live/init.mp4 https://www.example.com/live/1.m4s`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body.URLs = args
			var q updates.Queued
			if err := o.call(cmd.Context(), http.MethodPost, "/v1/prefetch", nil, body, &q); err != nil {
				return err
			}
			if o.output == "json" {
				return o.json(cmd, q)
			}
			what := "queued"
			if q.DryRun {
				what = "not queued: dry run"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d URLs %s\n", q.ID, q.Queued, what)
			return nil
		},
	}
	cmd.Flags().StringVar(&body.ID, "id", "", "`name` of this prefetch; a new one when empty")
	cmd.Flags().StringVar(&body.Reason, "reason", "", "`text` for the audit")
	cmd.Flags().BoolVar(&body.DryRun, "dry-run", false, "check it and fetch nothing")
	return cmd
}

func purgesCommand(o *options) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "purges [ID]", Short: "List the latest purges, or show how far each replica is with one", Args: cobra.MaximumNArgs(1),
		Example: `  surgectl purges
  surgectl purges release-41`,
		RunE: func(cmd *cobra.Command, args []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			if len(args) == 1 {
				var u updates.Update
				if err := o.call(cmd.Context(), http.MethodGet, "/v1/purges/"+url.PathEscape(args[0]), nil, nil, &u); err != nil {
					return err
				}
				if o.output == "json" {
					return o.json(cmd, u)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s %s by %s, %s\n", u.ID, u.Action, u.Scope, strings.Join(u.Values, " "), u.Principal, howFar(u))
				fmt.Fprintln(w, "ROLE\tFLEET\tPOD\tSTATE\tHEARD")
				for _, p := range u.Progress {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f s ago\n", p.Role, p.Fleet, p.Pod, p.State, p.HeardSeconds)
				}
				return w.Flush()
			}
			var list updates.UpdateList
			if err := o.call(cmd.Context(), http.MethodGet, "/v1/purges", url.Values{"limit": {fmt.Sprint(limit)}}, nil, &list); err != nil {
				return err
			}
			if o.output == "json" {
				return o.json(cmd, list)
			}
			fmt.Fprintln(w, "AT\tID\tACTION\tSCOPE\tVALUES\tBY\tSTATE\tREPLICAS")
			for _, u := range list.Updates {
				values := strings.Join(u.Values[:min(1, len(u.Values))], "")
				if n := len(u.Values); n > 1 {
					values += fmt.Sprintf(" and %d more", n-1)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d/%d\n", u.At.Local().Format(time.DateTime), u.ID, u.Action, u.Scope, values, u.Principal, u.State, u.Applied, u.Replicas)
			}
			return w.Flush()
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "`number` of purges, 1 to 1000")
	return cmd
}

func deadCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead", Short: "Look at the prefetch work that no shield could do, and decide on it", Args: cobra.NoArgs,
		Example: `  surgectl dead list
  surgectl dead show warm.2
  surgectl dead requeue warm.2
  surgectl dead drop warm.2`,
	}
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List the dead letters, the oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all updates.DeadList
			if err := o.call(cmd.Context(), http.MethodGet, "/v1/dead", url.Values{"limit": {fmt.Sprint(limit)}}, nil, &all); err != nil {
				return err
			}
			if o.output == "json" {
				return o.json(cmd, all)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tREASON\tBY\tVALUES")
			for _, d := range all.Dead {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.ID, d.Reason, d.Principal, strings.Join(d.Values, " "))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d of %d\n", len(all.Dead), all.Total)
			return err
		},
	}
	list.Flags().IntVar(&limit, "limit", 100, "`number` of dead letters, 1 to 1000")
	cmd.AddCommand(list)
	for _, c := range []struct{ name, short, method, path, done string }{
		{"show", "Show a dead letter with its body", http.MethodGet, "", ""},
		{"requeue", "Put a dead letter back into the queue of work", http.MethodPost, "/requeue", "is work again"},
		{"drop", "Forget a dead letter for good", http.MethodDelete, "", "is gone"},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: c.name + " ID", Short: c.short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				var d updates.DeadLetter
				if err := o.call(cmd.Context(), c.method, "/v1/dead/"+url.PathEscape(args[0])+c.path, nil, nil, &d); err != nil {
					return err
				}
				if c.done == "" || o.output == "json" {
					return o.json(cmd, d)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", d.ID, c.done)
				return err
			},
		})
	}
	return cmd
}

func tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "token NAME GRANT...", Short: "Make a token for content updates, and its line for the controller's file", Args: cobra.MinimumNArgs(2),
		Example: `  # The token goes to standard output, the line for --content-token-file to standard error.
  surgectl token cms host:www.example.com 'tag:article-*' > cms.token 2>> tokens`,
		RunE: func(cmd *cobra.Command, args []string) error {
			token := rand.Text()
			line := args[0] + " " + updates.Hash(token) + " " + strings.Join(args[1:], " ")
			if _, err := updates.ParseTokens(line); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			fmt.Fprintln(cmd.ErrOrStderr(), line)
			return nil
		},
	}
}
