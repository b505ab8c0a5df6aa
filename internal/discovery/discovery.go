// Package discovery keeps the members of a service: a fixed list, or the addresses that a name has now, asked for again and again. A
// name that cannot be resolved is no news about its members, so the last set stays.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Members is a set of addresses that may change. It is safe for concurrent use.
type Members struct {
	current  atomic.Pointer[[]string]
	onChange func([]string)
}

// Static returns members that never change: host:port each.
func Static(addresses ...string) *Members {
	m := &Members{}
	m.set(addresses)
	return m
}

// Addresses returns the present members, host:port each, sorted and without repetition. The slice is shared: it must not be changed.
// It is empty until the first answer.
func (m *Members) Addresses() []string {
	if now := m.current.Load(); now != nil {
		return *now
	}
	return nil
}

// set replaces the members and reports whether they changed.
func (m *Members) set(addresses []string) bool {
	next := slices.Compact(slices.Sorted(slices.Values(addresses)))
	if before := m.current.Swap(&next); before != nil && slices.Equal(*before, next) {
		return false
	}
	if m.onChange != nil {
		m.onChange(next)
	}
	return true
}

// Resolver is the part of net.Resolver that is needed.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// Options say how a name is followed.
type Options struct {
	Host string // name to resolve
	Port string // of every address

	// Resolver defaults to the system's.
	Resolver Resolver
	// Interval is the mean time between two questions; each pause is drawn from 0.75 to 1.25 times of it, so that a fleet
	// does not ask in step. Default 1 s. Lower notices a new member sooner and costs questions; a member that is gone is noticed by
	// failing connections in any case.
	Interval time.Duration
	// Timeout bounds one question. Default 2 s.
	Timeout time.Duration
	// OnChange is called with each new set of members, one call at a time. Optional.
	OnChange func(addresses []string)
	Logger   zerolog.Logger
}

// DNS follows the addresses of a name, such as a headless Service.
type DNS struct {
	Members
	o        Options
	failures atomic.Uint64
}

// NewDNS returns a DNS that knows no member before Run.
func NewDNS(o Options) *DNS {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	return &DNS{Members: Members{onChange: o.OnChange}, o: o}
}

// Failures returns how many questions were not answered.
func (d *DNS) Failures() uint64 { return d.failures.Load() }

// Run asks until the context ends, the first time at once. It returns the context's error.
func (d *DNS) Run(ctx context.Context) error {
	failing := false
	for {
		err := d.refresh(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// One line per change of state: a name service that is away for an hour is one event, not 3600.
		switch {
		case err != nil && !failing:
			d.o.Logger.Warn().Err(err).Str("host", d.o.Host).Strs("kept", d.Addresses()).Msg("members cannot be resolved")
		case err == nil && failing:
			d.o.Logger.Info().Str("host", d.o.Host).Msg("members are resolved again")
		}
		failing = err != nil
		pause := time.NewTimer(time.Duration((0.75 + rand.Float64()/2) * float64(d.o.Interval)))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

func (d *DNS) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	hosts, err := d.o.Resolver.LookupHost(ctx, d.o.Host)
	if err == nil && len(hosts) == 0 {
		err = errors.New("no addresses")
	}
	if err != nil {
		// Not found counts as a failure too: a name server that restarts answers NXDOMAIN for names that it does not know yet, and
		// members that are really gone refuse connections.
		d.failures.Add(1)
		return fmt.Errorf("resolve members: %w", err)
	}
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		addresses[i] = net.JoinHostPort(host, d.o.Port)
	}
	if d.set(addresses) {
		d.o.Logger.Info().Str("host", d.o.Host).Strs("members", d.Addresses()).Msg("members changed")
	}
	return nil
}
