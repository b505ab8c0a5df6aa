package boot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"
)

// Server serves HTTP/1.1 and unencrypted HTTP/2 (prior knowledge) from start to stop, and leaves without failing a request: at stop it
// first turns readiness off, goes on serving for DrainDelay while load balancers take notice, closing each connection after its next
// response, and only then closes the listener and waits for what runs.
type Server struct {
	Name    string // for log and readiness
	Setting string // the flag that Address came from, for errors
	Address string
	Handler http.Handler

	DrainDelay        time.Duration // zero closes at once
	DrainTimeout      time.Duration // for running requests, after DrainDelay; then they are cut
	ReadHeaderTimeout time.Duration // zero is net/http's: none
	IdleTimeout       time.Duration // zero is ReadHeaderTimeout
	MaxHeaderBytes    int           // zero is net/http's: 1 MiB

	// Wrap, if set, returns what is listened on instead of the listener.
	Wrap        func(net.Listener) net.Listener
	ConnContext func(context.Context, net.Conn) context.Context // optional, as in http.Server
	OnDrain     func()                                          // optional; called once as the drain begins

	bound    atomic.Pointer[net.TCPAddr]
	draining atomic.Bool
}

// Addr returns where the server listens, nil before it does.
func (s *Server) Addr() *net.TCPAddr { return s.bound.Load() }

// Register makes the server part of the process. Whatever the handler needs has to be registered before.
func (s *Server) Register(lifecycle fx.Lifecycle, shutdowner fx.Shutdowner, health *Health, logger zerolog.Logger) {
	logger = logger.With().Str("server", s.Name).Logger()
	health.Require(s.Name, func() error {
		if s.bound.Load() == nil {
			return errors.New("not listening yet")
		}
		return nil
	})
	server := s.httpServer()
	lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Address)
			if err != nil {
				return fmt.Errorf("--%s: %w", s.Setting, err)
			}
			address, _ := listener.Addr().(*net.TCPAddr)
			s.bound.Store(address)
			logger.Info().Str("setting", s.Setting).Stringer("address", address).Msg("listening")
			if s.Wrap != nil {
				listener = s.Wrap(listener)
			}
			go func() {
				if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					logger.Error().Err(err).Msg("listener ended, stopping the process")
					_ = shutdowner.Shutdown(fx.ExitCode(ExitFailure))
				}
			}()
			return nil
		},
		OnStop: func(ctx context.Context) error { return s.drain(ctx, server, health, logger) },
	})
}

func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.draining.Load() {
				// net/http closes an HTTP/1.1 connection after this response, and sends GOAWAY on an HTTP/2 one. Not
				// SetKeepAlivesEnabled(false): that closes idle connections at once, under the feet of a request on its way.
				w.Header().Set("Connection", "close")
			}
			s.Handler.ServeHTTP(w, r)
		}),
		// Or net/http itself would answer OPTIONS *, past the handler and what that refuses and counts.
		DisableGeneralOptionsHandler: true,

		Protocols:         protocols,
		ReadHeaderTimeout: s.ReadHeaderTimeout,
		IdleTimeout:       s.IdleTimeout,
		MaxHeaderBytes:    s.MaxHeaderBytes,
		ConnContext:       s.ConnContext,
	}
}

func (s *Server) drain(ctx context.Context, server *http.Server, health *Health, logger zerolog.Logger) error {
	health.Drain()
	s.draining.Store(true)
	if s.OnDrain != nil {
		s.OnDrain()
	}
	logger.Info().Dur("delay", s.DrainDelay).Dur("timeout", s.DrainTimeout).Msg("draining")
	select {
	case <-time.After(s.DrainDelay):
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(ctx, s.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
		return fmt.Errorf("drain %s: requests were still running: %w", s.Name, err)
	}
	return nil
}
