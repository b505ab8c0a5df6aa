package rabbitmq

import (
	"sync"

	"github.com/rs/zerolog"
)

// status is what a connection is doing and what went wrong last.
type status struct {
	mu      sync.Mutex
	state   State
	lastErr string

	onState func(State)
	log     zerolog.Logger
}

func newStatus(o Options, address string) *status {
	return &status{
		state: StateDown, onState: o.OnState,
		log: o.Logger.With().Str("connection", o.Name).Str("broker", address).Logger(),
	}
}

func (s *status) get() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// reason says what went wrong last, empty while the connection is up.
func (s *status) reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}

// set notes a change of state. err says why, where something went wrong; the same reason is told once, not at every attempt.
func (s *status) set(state State, err error) {
	s.mu.Lock()
	changed := s.state != state
	s.state = state
	fresh := err != nil && err.Error() != s.lastErr
	if err != nil {
		s.lastErr = err.Error()
	}
	recovered := state == StateUp && s.lastErr != ""
	if state == StateUp {
		s.lastErr = ""
	}
	s.mu.Unlock()
	if !changed && !fresh {
		return
	}
	switch {
	case fresh:
		s.log.Warn().Err(err).Str("state", string(state)).Msg("broker connection lost or refused")
	case state == StateUp:
		s.log.Info().Bool("recovered", recovered).Str("state", string(state)).Msg("broker connection is up")
	default:
		s.log.Debug().Str("state", string(state)).Msg("broker connection changed")
	}
	if changed && s.onState != nil {
		s.onState(state)
	}
}
