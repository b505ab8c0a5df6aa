// Compare runs the autoscalers that people use today, and ours, over one trace
// of requests, and prints one table.
//
// The others are their own code: the HorizontalController of Kubernetes and
// Knative's autoscaler, in virtual time. All get the same pods, the same signal
// and the same target.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

func main() {
	c, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	}
	out := os.Stdout
	// testing/synctest, without which the HPA controller would take as long as
	// the trace, works only below a *testing.T; testing.Main is the way to one
	// outside go test. It parses os.Args, and prints PASS to a standard output
	// that shall hold the table alone.
	os.Args = os.Args[:1]
	os.Stdout, _ = os.Open(os.DevNull)
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "compare",
		F: func(t *testing.T) {
			if err := c.write(t, out); err != nil {
				fmt.Fprintln(os.Stderr, "compare:", err)
				os.Exit(1)
			}
		},
	}}, nil, nil)
}

func (c *comparison) write(t *testing.T, out *os.File) error {
	if c.all {
		return c.suite(t, out, c.data)
	}
	began := time.Now()
	rows, err := c.run(t)
	if err != nil {
		return err
	}
	if c.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rows)
	}
	c.print(out, rows)
	fmt.Fprintf(os.Stderr, "%s of load in %s\n", c.trace.Duration(), time.Since(began).Round(time.Millisecond))
	return nil
}
