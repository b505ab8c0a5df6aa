package boot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// admin answers for the state of the process on a listener of its own, so that nothing about it is reachable where content is served.
type admin struct {
	logger  zerolog.Logger
	sources config.Sources
	servers []*http.Server
}

// Routes are what a binary adds to the admin listener. Add to them before the start.
type Routes struct{ mux *http.ServeMux }

func newRoutes() *Routes { return &Routes{http.NewServeMux()} }

// Handle adds a handler for a pattern of http.ServeMux.
func (r *Routes) Handle(pattern string, handler http.Handler) { r.mux.Handle(pattern, handler) }

func newAdmin(lifecycle fx.Lifecycle, process config.Process, sources config.Sources, health *Health, registry *telemetry.Registry, routes *Routes, logger zerolog.Logger) *admin {
	a := &admin{logger: logger, sources: sources}
	mux := routes.mux
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", health.serveReady)
	mux.Handle("GET /metrics", registry.Handler())
	lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			if err := a.listen(ctx, "admin-listen", process.AdminListen, mux); err != nil {
				return err
			}
			if process.PprofListen == "" {
				return nil
			}
			return a.listen(ctx, "pprof-listen", process.PprofListen, profiler())
		},
		OnStop: func(context.Context) error {
			for _, server := range a.servers {
				// Not Shutdown: a scraper's idle connection or a running profile has no claim on the drain's time.
				_ = server.Close()
			}
			return nil
		},
	})
	return a
}

func (a *admin) listen(ctx context.Context, key, address string, handler http.Handler) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && a.sources[key] == "" {
		// Two binaries tried out on one machine: nobody asked for this port, so its loss should not stop the second one.
		host, _, _ := net.SplitHostPort(address)
		if listener, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0")); err == nil {
			a.logger.Warn().Str("default", address).Stringer("address", listener.Addr()).Msg("default admin address is taken, using a free port")
		}
	}
	if err != nil {
		return fmt.Errorf("--%s: %w", key, err)
	}
	a.logger.Info().Str("setting", key).Stringer("address", listener.Addr()).Msg("listening")
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	a.servers = append(a.servers, server)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.logger.Error().Err(err).Str("setting", key).Msg("listener ended")
		}
	}()
	return nil
}

func profiler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
