package boot

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// startTimeout is generous for hooks that only open listeners and start goroutines.
const startTimeout = 10 * time.Second

// Options returns what every binary's graph begins with: zerolog.Logger, *telemetry.Registry, *Health, *Runners, *Routes, and the
// admin listener, which is first up and last down.
func Options(name string, process config.Process, sources config.Sources, stderr io.Writer) fx.Option {
	return fx.Options(
		fx.Supply(process, sources),
		fx.Provide(
			func() zerolog.Logger { return newLogger(name, process, stderr) },
			func() *telemetry.Registry { return telemetry.NewRegistry(name, Version()) },
			NewHealth,
			NewRunners,
			newRoutes,
			newAdmin,
			func(lifecycle fx.Lifecycle, logger zerolog.Logger) (*telemetry.Tracing, error) {
				return newTracing(name, process, lifecycle, logger)
			},
		),
		fx.WithLogger(func(logger zerolog.Logger) fxevent.Logger { return &fxLogger{Logger: logger} }),
		fx.Invoke(func(*admin) {}),
	)
}

func (p Program) serve(ctx context.Context, sources config.Sources, stderr io.Writer) int {
	app := fx.New(
		Options(p.Name, *p.Process, sources, stderr), p.Module(),
		fx.StartTimeout(startTimeout), fx.StopTimeout(p.Settings.StopTimeout()),
	)
	// An error of the graph or of a start is already in the log, as is one of the stop: fxLogger wrote it.
	if app.Err() != nil {
		return ExitFailure
	}
	// A wish to stop that comes during the start is heeded after it: a start is short, and half of one is not stopped in order.
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), app.StartTimeout())
	defer cancel()
	if app.Start(starting) != nil {
		return ExitFailure
	}
	code := ExitOK
	select {
	case ended := <-app.Wait():
		code = ended.ExitCode
	case <-ctx.Done():
	}
	defer impatient(p.Name, stderr)()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), app.StopTimeout())
	defer cancel()
	if app.Stop(stopping) != nil {
		return ExitFailure
	}
	return code
}

// impatient ends the process at a further signal: whoever sends a second one does not want to wait for the drain.
func impatient(name string, stderr io.Writer) (calm func()) {
	again, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(again, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-again:
			fmt.Fprintf(stderr, "%s: second signal (%s), ending without waiting\n", name, s)
			os.Exit(ExitFailure)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(again)
		close(done)
	}
}

func newLogger(name string, process config.Process, stderr io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(process.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // settings are validated; a test may leave them out
	}
	if process.LogFormat == "console" {
		stderr = zerolog.ConsoleWriter{Out: stderr, TimeFormat: "15:04:05.000", NoColor: !isTerminal(stderr)}
	}
	// Not zerolog's Timestamp: its format is a variable of that package, and whole seconds by default.
	clock := zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	})
	return zerolog.New(zerolog.SyncWriter(stderr)).Level(level).Hook(clock).With().Str("binary", name).Logger()
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
