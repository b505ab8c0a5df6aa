package kube

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The times of the Lease. A standby counts leaseDuration by its own clock from when
// it saw the Lease change, which it does once a second however often it is renewed:
// its time is in whole seconds. It looks, and tries, every retryPeriod and up to 1.2
// times as much longer (client-go's jitter). A leader that crashed is so replaced
// after 4 s to 6 s, half of the time within 5 s; one that stops in order after one
// try. With tries twice as far apart it is up to 6.4 s; these cost four updates of one
// small object a second, as many as forty nodes' heartbeats.
//
// A leader that cannot renew it stops leading after renewDeadline, before anybody can
// follow. What it has on its way then names the version that it read.
const (
	leaseDuration = 5 * time.Second // in whole seconds: so the object has it
	renewDeadline = 3 * time.Second
	retryPeriod   = 250 * time.Millisecond
)

// Lease makes one replica of the controller the leader. It is safe for
// concurrent use.
type Lease struct {
	identity string
	logger   zerolog.Logger
	elector  *leaderelection.LeaderElector
	term     atomic.Pointer[context.Context] // of the current leadership
}

// NewLease prepares the Lease, without speaking to the API server. It has a
// client of its own, so that scale writes cannot starve its renewal.
func NewLease(access Access, name, identity string, logger zerolog.Logger) (*Lease, error) {
	own := rest.CopyConfig(access.config)
	own.RateLimiter = nil
	own.Timeout = renewDeadline / 2
	client, err := coordination.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("make a client for the Lease: %w", err)
	}
	return newLease(&resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: access.Namespace, Name: name}, Client: client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}, name, logger)
}

func newLease(lock resourcelock.Interface, name string, logger zerolog.Logger) (*Lease, error) {
	identity := lock.Identity()
	l := &Lease{identity: identity, logger: logger}
	var err error
	l.elector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          lock,
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, ReleaseOnCancel: true, Name: name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				l.term.Store(&ctx)
				logger.Info().Str("identity", identity).Msg("leading")
			},
			OnStoppedLeading: func() { logger.Info().Str("identity", identity).Msg("not leading") },
			OnNewLeader:      func(leader string) { logger.Info().Str("leader", leader).Msg("leader seen") },
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the Lease: %w", err)
	}
	return l, nil
}

// Run takes part in the election until the context ends, and then gives the
// Lease back. Whoever acts as the leader has to have ended before.
func (l *Lease) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		l.elector.Run(ctx) // returns when the Lease is lost, too
	}
	return ctx.Err()
}

// Leading reports whether this replica may write now. It stops being so when the
// term ends and, for a process that was suspended in between and has not noticed
// yet, when it has not renewed the Lease for renewDeadline by its own clock.
func (l *Lease) Leading() bool {
	term := l.term.Load()
	return term != nil && (*term).Err() == nil && l.elector.IsLeader() && l.elector.Check(renewDeadline-leaseDuration) == nil
}

// Leader is the name of the replica that leads; empty while unknown.
func (l *Lease) Leader() string { return l.elector.GetLeader() }

// Identity is the name of this replica.
func (l *Lease) Identity() string { return l.identity }
