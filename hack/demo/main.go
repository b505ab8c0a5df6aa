// Demo shows a spike meeting Surgewall on this machine: it installs what is missing, starts a Kubernetes cluster, sends a crowd, prints
// what happens each second, and ends with a receipt. It fails when a promise was broken.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/receipt"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	local, quick, keep bool
	jsonFile           string

	out    io.Writer
	root   string
	began  time.Time
	phases []receipt.Phase
}

func command(out io.Writer) *cobra.Command {
	d := &demo{out: out}
	c := &cobra.Command{
		Use:   "demo",
		Short: "A spike meets Surgewall on this machine",
		Example: `  go run ./hack/demo                 on a kind cluster; takes Debian and root where there is no Docker
  go run ./hack/demo --local         without a cluster: processes on loopback, nothing scales
  go run ./hack/demo --json out.json`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return d.run(c.Context()) },
	}
	f := c.Flags()
	f.BoolVar(&d.local, "local", false, "origin, shield and two edges as processes on loopback, without a cluster")
	f.BoolVar(&d.quick, "quick", false, "a shorter crowd")
	f.BoolVar(&d.keep, "keep", true, "leave the cluster up at the end, so that the next run is quick")
	f.StringVar(&d.jsonFile, "json", "", "write the receipt to this file as JSON")
	return c
}

var errBroken = errors.New("a promise was broken")

func (d *demo) run(ctx context.Context) error {
	var err error
	if d.root, err = cluster.Root(); err != nil {
		return err
	}
	d.began = time.Now()
	var r receipt.Receipt
	if d.local {
		r, err = d.runLocal(ctx)
	} else {
		r, err = d.runKind(ctx)
	}
	if err != nil {
		return err
	}
	r.Phases, r.Seconds = d.phases, time.Since(d.began).Seconds()
	r.Judge()
	r.Write(d.out)
	if d.jsonFile != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(d.jsonFile, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if len(r.Broken) > 0 {
		return fmt.Errorf("%w: %s", errBroken, r.Broken[0])
	}
	return nil
}

// phase runs one step of the demo under its name, and says how long it took if that was more than two seconds.
func (d *demo) phase(name, what string, do func() error) error {
	start := time.Now()
	fmt.Fprintf(d.out, "[%3.0f s] %s: %s\n", start.Sub(d.began).Seconds(), name, what)
	err := do()
	took := time.Since(start)
	d.phases = append(d.phases, receipt.Phase{Name: name, Seconds: took.Seconds()})
	if err != nil {
		return fmt.Errorf("%s, after %v: %w", name, took.Round(time.Second), err)
	}
	if took > 2*time.Second {
		d.say("%s: %.0f s", name, took.Seconds())
	}
	return nil
}

// noting calls do, which is silent, and every five seconds says for how long it has run and what note says.
func (d *demo) noting(note func() string, do func() error) error {
	start := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(5 * time.Second):
			d.say("… %.0f s: %s", time.Since(start).Seconds(), note())
		}
	}
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "        "+format+"\n", args...)
}
