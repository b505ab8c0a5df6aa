package rabbitmq

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// timeline is what a supervisor did when, in virtual time.
type timeline struct {
	start  time.Time
	dials  []time.Duration
	states []State
}

func supervised(t *testing.T, life func(attempt int) (time.Duration, error)) (*timeline, *supervisor) {
	t.Helper()
	line := &timeline{start: time.Now()}
	status := newStatus(Options{Logger: zerolog.Nop(), OnState: func(s State) { line.states = append(line.states, s) }}, "")
	s := &supervisor{
		status:  status,
		backoff: backoff{base: DefaultBackoffBase, cap: DefaultBackoffCap, random: func() float64 { return 1 }},
	}
	attempt := 0
	var lives time.Duration
	s.open = func(context.Context) (*session, error) {
		line.dials = append(line.dials, time.Since(line.start))
		var err error
		lives, err = life(attempt)
		attempt++
		return nil, err
	}
	s.serve = func(ctx context.Context, _ *session) error {
		status.set(StateUp, nil)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lives):
			return errors.New("lost")
		}
	}
	return line, s
}

func TestSupervisorDialsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, s := supervised(t, func(int) (time.Duration, error) { return 0, errors.New("refused") })
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s.run(ctx, ctx)
		want := []time.Duration{0, 100, 300, 700, 1500, 3100, 5100, 7100}
		for i, at := range want {
			if line.dials[i] != at*time.Millisecond {
				t.Fatalf("dials at %v, want %v ms", line.dials[:len(want)], want)
			}
		}
		if n := len(line.dials); n < 1790 {
			t.Errorf("%d dials in an hour: it gave up", n)
		}
		if s.status.get() != StateDown {
			t.Errorf("state %s at the end", s.status.get())
		}
	})
}

func TestSupervisorStartsAgainAtOnceAfterASteadySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, s := supervised(t, func(attempt int) (time.Duration, error) {
			switch {
			case attempt < 6:
				return 0, errors.New("refused") // until 5.1 s
			case attempt == 6:
				return time.Minute, nil
			default:
				return time.Hour, nil
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		s.run(ctx, ctx)
		if want := 5100*time.Millisecond + time.Minute + 100*time.Millisecond; line.dials[7] != want {
			t.Errorf("dialled at %v after a minute of service, want %v", line.dials[7], want)
		}
		tail := line.states[len(line.states)-6:]
		if want := []State{StateUp, StateDown, StateConnecting, StateUp, StateDown}; !slices.Equal(tail[1:], want) {
			t.Errorf("states %v, want %v at the end", tail, want)
		}
	})
}

// A session that dies as soon as it is up, because each publish is refused, must not be dialled ten times a second.
func TestSupervisorSlowsDownSessionsThatDieYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, s := supervised(t, func(int) (time.Duration, error) { return 10 * time.Millisecond, nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.run(ctx, ctx)
		if n := len(line.dials); n > 36 {
			t.Errorf("%d dials in a minute", n)
		}
	})
}

func TestSupervisorLetsAServedSessionFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, s := supervised(t, func(int) (time.Duration, error) { return time.Second, nil })
		wanted, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer stop()
		s.run(wanted, t.Context())
		if took := time.Since(line.start); took != time.Second || len(line.dials) != 1 {
			t.Errorf("ended after %v and %d dials, want the session's one second and no other", took, len(line.dials))
		}
	})
}

// Whoever has a session made anew does not wait for it, whatever the broker did before; one that cannot be made is waited for as ever.
func TestSupervisorDoesNotWaitForASessionThatIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, s := supervised(t, func(attempt int) (time.Duration, error) {
			if attempt == 6 || attempt >= 8 {
				return time.Hour, nil
			}
			return 0, errors.New("refused")
		})
		serve := s.serve
		s.serve = func(ctx context.Context, session *session) error {
			if len(line.dials) == 7 {
				time.Sleep(time.Second) // too short to be steady
				return errAnew
			}
			return serve(ctx, session)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.run(ctx, ctx)
		up := 5100 * time.Millisecond
		if len(line.dials) != 9 || line.dials[6] != up || line.dials[7] != up+time.Second || line.dials[8] != up+3*time.Second {
			t.Errorf("dialled at %v, want at once after the session of %v was to be made anew, and 2 s after that failed", line.dials, up)
		}
	})
}
