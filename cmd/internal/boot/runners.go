package boot

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"go.uber.org/fx"
)

// Runners start background work with the process and wait for it when the process stops.
type Runners struct {
	lifecycle  fx.Lifecycle
	shutdowner fx.Shutdowner
	logger     zerolog.Logger
}

// NewRunners is a constructor for fx.
func NewRunners(lifecycle fx.Lifecycle, shutdowner fx.Shutdowner, logger zerolog.Logger) *Runners {
	return &Runners{lifecycle, shutdowner, logger}
}

// Go runs the function in its own goroutine from start to stop. At stop its context is cancelled and its end is waited for, in reverse
// order of the calls of Go: who needs another one calls Go after it and is gone before it. An error, or an end before its context is
// cancelled, is fatal: it stops the whole process with ExitFailure.
func (r *Runners) Go(name string, run func(context.Context) error) {
	// A context of its own: the one that OnStart gets is cancelled as soon as everything has started.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.lifecycle.Append(fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				defer close(done)
				r.watch(ctx, name, run)
			}()
			return nil
		},
		OnStop: func(stop context.Context) error {
			cancel()
			select {
			case <-done:
				return nil
			case <-stop.Done():
				return fmt.Errorf("wait for %s to end: %w", name, stop.Err())
			}
		},
	})
}

func (r *Runners) watch(ctx context.Context, name string, run func(context.Context) error) {
	err := run(ctx)
	if ctx.Err() != nil {
		if err != nil && !errors.Is(err, context.Canceled) {
			r.logger.Warn().Err(err).Str("runner", name).Msg("ended with an error at stop")
		}
		return
	}
	r.logger.Error().Err(err).Str("runner", name).Msg("ended for good, stopping the process")
	if err := r.shutdowner.Shutdown(fx.ExitCode(ExitFailure)); err != nil {
		r.logger.Error().Err(err).Str("runner", name).Msg("could not ask the process to stop")
	}
}
