package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/surgewall/surgewall/hack/demo/cluster"
	"github.com/surgewall/surgewall/hack/demo/object"
	"github.com/surgewall/surgewall/hack/demo/receipt"
	"github.com/surgewall/surgewall/hack/loadgen/load"
)

// asked is how often an object is asked for on each side of the purge: enough that both edges of the calm get some.
const asked = 20

// operate shows what an operator does with surgectl: purge an object everywhere, and ask why the fleet is as it is.
func (d *demo) operate(ctx context.Context, c *cluster.Cluster, r *receipt.Receipt) error {
	token, err := c.ContentToken(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "surgewall-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return err
	}
	path := object.Path(fmt.Sprintf("front-%d", time.Now().Unix()), 2<<10)
	if r.Purge, err = d.purge(ctx, c, file, token, path); err != nil {
		return err
	}
	d.say("surgectl explain %s", cluster.Fleet)
	return c.Surgectl(ctx, file, d.indented(), "explain", cluster.Fleet)
}

// purge has an object purged that all edges have, and counts what that costs the origin.
func (d *demo) purge(ctx context.Context, c *cluster.Cluster, file, token, path string) (*receipt.Purge, error) {
	p := &receipt.Purge{URL: "http://" + object.Host + path, Took: -1}
	fetched := func() (uint64, error) {
		if _, err := c.Ask(ctx, path, asked); err != nil {
			return 0, err
		}
		return c.Origin.Fetches(ctx, path)
	}
	var err error
	if p.Before, err = fetched(); err != nil {
		return p, err
	}
	d.say("%s: %d requests through the edges, %d origin fetch", p.URL, asked, p.Before)
	id := filepath.Base(filepath.Dir(file)) // another one at each run
	d.say("surgectl purge '%s' --wait", p.URL)
	since := time.Now()
	if err := c.Surgectl(ctx, file, d.indented(), "purge", p.URL, "--id", id, "--wait", "--timeout", patience.String()); err != nil {
		d.say("%v", err)
		return p, nil // a broken promise, not a broken demo
	}
	p.Took = load.Duration(time.Since(since))
	u, err := c.Controller.Update(ctx, token, id)
	if err != nil {
		return p, err
	}
	p.Replicas = u.Replicas
	after, err := fetched()
	if err != nil {
		return p, err
	}
	p.After = after - p.Before
	d.say("%d requests again: %d origin fetch more", asked, p.After)
	return p, nil
}

// indented is where a program that the demo runs may write.
func (d *demo) indented() io.Writer { return &indented{out: d.out} }

// indented puts what a program prints below the line that names the program.
type indented struct {
	out  io.Writer
	rest []byte // of a line whose end has not come
}

// Write implements io.Writer, by whole lines.
func (w *indented) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if _, err := fmt.Fprintf(w.out, "          %s\n", line); err != nil {
			return 0, err
		}
		w.rest = rest
	}
}
