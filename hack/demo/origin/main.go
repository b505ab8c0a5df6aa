// Demo-origin is an origin server that counts what is fetched from it and can be made slow, failing or trickling while it runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-origin:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var listen, adminListen string
	start := settings{MaxAgeS: 60}
	c := &cobra.Command{
		Use:   "demo-origin",
		Short: "An origin server that counts what is fetched from it",
		Example: `  demo-origin --listen 127.0.0.1:8000 --admin-listen 127.0.0.1:8001
  curl 'http://127.0.0.1:8000/obj/a?bytes=1000'
  curl http://127.0.0.1:8001/stats
  curl -d '{"latency_ms": 500, "fail_ratio": 0.1}' http://127.0.0.1:8001/control`,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := start.validate(); err != nil {
				return err
			}
			return serve(c.Context(), listen, adminListen, start)
		},
	}
	f := c.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:8000", "address of the content")
	f.StringVar(&adminListen, "admin-listen", "127.0.0.1:8001", "address of /stats, /objects, /control, /reset and /readyz")
	f.IntVar(&start.LatencyMS, "latency-ms", start.LatencyMS, "pause before the first byte")
	f.Float64Var(&start.FailRatio, "fail-ratio", start.FailRatio, "share of the fetches that are answered 503")
	f.IntVar(&start.MaxAgeS, "max-age-s", start.MaxAgeS, "freshness lifetime in seconds")
	f.IntVar(&start.RateBytes, "rate-bytes", start.RateBytes, "most bytes per second of one body; 0: no limit")
	return c
}

// serve answers on both addresses until ctx ends, then finishes what is being answered.
func serve(ctx context.Context, listen, adminListen string, start settings) error {
	l, c := newLedger(), &controls{now: start}
	servers := map[string]*http.Server{
		listen:      {Handler: &content{ledger: l, controls: c, now: time.Now}, ReadHeaderTimeout: 10 * time.Second},
		adminListen: {Handler: admin(l, c), ReadHeaderTimeout: 10 * time.Second},
	}
	if len(servers) != 2 {
		return fmt.Errorf("--listen and --admin-listen are both %s: want two addresses", listen)
	}
	ended := make(chan error, len(servers))
	for address, s := range servers {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		defer s.Close()
		go func() { ended <- s.Serve(ln) }()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var all error
	for _, s := range servers {
		all = errors.Join(all, s.Shutdown(grace))
	}
	return all
}
