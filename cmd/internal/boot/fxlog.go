package boot

import (
	"github.com/rs/zerolog"
	"go.uber.org/fx/fxevent"
)

// fxLogger writes what fx does: failures as errors, the rest for debugging. fx tells it of one thing at a time.
type fxLogger struct {
	zerolog.Logger
	constructorFailed bool
}

var _ fxevent.Logger = (*fxLogger)(nil)

// LogEvent writes one event.
func (l *fxLogger) LogEvent(event fxevent.Event) {
	switch e := event.(type) {
	case *fxevent.OnStartExecuting:
		l.Debug().Str("hook", e.FunctionName).Msg("start hook begins")
	case *fxevent.OnStartExecuted:
		// A failure comes again, once, as Started: two error lines for one cause read like two causes.
		l.Debug().Str("hook", e.FunctionName).Dur("took", e.Runtime).AnErr("error", e.Err).Msg("start hook ended")
	case *fxevent.OnStopExecuting:
		l.Debug().Str("hook", e.FunctionName).Msg("stop hook begins")
	case *fxevent.OnStopExecuted:
		l.outcome(e.Err, "stop hook failed", "stop hook ended").Str("hook", e.FunctionName).Dur("took", e.Runtime).Send()
	case *fxevent.Supplied:
		l.outcome(e.Err, "supply failed", "supplied").Str("type", e.TypeName).Str("module", e.ModuleName).Send()
	case *fxevent.Provided:
		l.outcome(e.Err, "provide failed", "provided").Str("constructor", e.ConstructorName).Strs("types", e.OutputTypeNames).Send()
	case *fxevent.Replaced:
		l.outcome(e.Err, "replace failed", "replaced").Strs("types", e.OutputTypeNames).Send()
	case *fxevent.Decorated:
		l.outcome(e.Err, "decorate failed", "decorated").Str("decorator", e.DecoratorName).Send()
	case *fxevent.BeforeRun:
		l.Trace().Str("function", e.Name).Msg("constructor begins")
	case *fxevent.Run:
		l.constructorFailed = l.constructorFailed || e.Err != nil
		l.outcome(e.Err, "constructor failed", "constructor ended").Str("function", e.Name).Dur("took", e.Runtime).Send()
	case *fxevent.Invoking:
		l.Trace().Str("function", e.FunctionName).Msg("invoke begins")
	case *fxevent.Invoked:
		if l.constructorFailed {
			return // the cause is in the log already; this would be the list of everyone who wanted its result
		}
		l.outcome(e.Err, "invoke failed", "invoke ended").Str("function", e.FunctionName).Send()
	case *fxevent.Started:
		l.outcome(e.Err, "start failed", "started").Send()
	case *fxevent.Stopping:
		l.Info().Stringer("signal", e.Signal).Msg("stopping")
	case *fxevent.Stopped:
		l.outcome(e.Err, "stop failed", "stopped").Send()
	case *fxevent.RollingBack:
		l.Debug().Msg("start failed, rolling back")
	case *fxevent.RolledBack:
		l.outcome(e.Err, "roll back failed", "rolled back").Send()
	case *fxevent.LoggerInitialized:
		l.outcome(e.Err, "logger failed", "logger ready").Send()
	}
}

func (l *fxLogger) outcome(err error, failed, done string) *zerolog.Event {
	if err != nil {
		return l.Error().Err(err).Str("message", failed)
	}
	return l.Debug().Str("message", done)
}
