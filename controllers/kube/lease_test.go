package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseObject is the Lease at the API server.
type leaseObject struct {
	mu      sync.Mutex
	record  *resourcelock.LeaderElectionRecord
	version int
}

// leaseClient is one process' way to it; one that is dead changes nothing any more.
type leaseClient struct {
	object *leaseObject
	name   string
	dead   bool // guarded by the object's lock
	seen   int
}

var errDead = errors.New("the process is gone")

func (c *leaseClient) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	c.object.mu.Lock()
	defer c.object.mu.Unlock()
	if c.dead {
		return nil, nil, errDead
	}
	if c.object.record == nil {
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "surgewall-controller")
	}
	c.seen = c.object.version
	record := *c.object.record
	raw, err := json.Marshal(record)
	return &record, raw, err
}

func (c *leaseClient) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return c.Update(ctx, r)
}

func (c *leaseClient) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	c.object.mu.Lock()
	defer c.object.mu.Unlock()
	if c.dead {
		return errDead
	}
	if c.seen != c.object.version {
		return apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "surgewall-controller", errors.New("it has changed"))
	}
	c.object.version++
	c.object.record, c.seen = &r, c.object.version
	return nil
}

func (c *leaseClient) kill() {
	c.object.mu.Lock()
	defer c.object.mu.Unlock()
	c.dead = true
}

func (c *leaseClient) RecordEvent(string)                 {}
func (c *leaseClient) Identity() string                   { return c.name }
func (c *leaseClient) Describe() string                   { return c.name }
func (c *leaseClient) GetObject() (runtime.Object, error) { return nil, errDead }
func (c *leaseClient) run(t *testing.T, ctx context.Context) (l *Lease) { //nolint:revive // the test comes first everywhere
	l, err := newLease(c, "surgewall-controller", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.Run(ctx) }()
	return l
}

// TestADeadLeaderIsReplacedInSixSeconds kills leaders at any time, in virtual time: how long the next one takes is a matter of the numbers alone. One
// that only cannot reach the API server any more has stopped by then.
func TestADeadLeaderIsReplacedInSixSeconds(t *testing.T) {
	const (
		kills    = 300
		soonest  = leaseDuration - time.Second - retryPeriod // the latest renewals may have had the same second
		atLatest = leaseDuration + 2*(retryPeriod+retryPeriod*12/10)
		trice    = time.Millisecond
	)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		object := new(leaseObject)
		join := func(i int) (*Lease, *leaseClient, func()) {
			own, stop := context.WithCancel(ctx)
			c := &leaseClient{object: object, name: fmt.Sprint("c-", i)}
			return c.run(t, own), c, stop
		}
		leader, client, stop := join(0)
		var gaps []time.Duration
		for i := range kills {
			for !leader.Leading() {
				time.Sleep(trice)
			}
			standby, next, stopNext := join(i + 1)
			time.Sleep(3*time.Second + time.Duration(rand.Int64N(int64(3*time.Second))))
			if standby.Leading() || !leader.Leading() {
				t.Fatal("the leader has changed while both lived")
			}
			client.kill()
			died := time.Now()
			for !standby.Leading() {
				if time.Since(died) > time.Minute {
					t.Fatal("nobody leads")
				}
				time.Sleep(trice)
			}
			gaps = append(gaps, time.Since(died))
			if leader.Leading() {
				t.Fatal("two lead")
			}
			stop()
			leader, client, stop = standby, next, stopNext
		}
		slices.Sort(gaps)
		t.Logf("a leader killed to the next one, %d times: %v to %v, half of them within %v", kills, gaps[0], gaps[kills-1], gaps[kills/2])
		if gaps[0] < soonest-trice || gaps[kills-1] > atLatest+trice {
			t.Errorf("%v to %v, want %v to %v", gaps[0], gaps[kills-1], soonest, atLatest)
		}
		stop()
		cancel()
		synctest.Wait()
	})
}
