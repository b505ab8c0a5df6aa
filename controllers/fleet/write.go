package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/surgewall/surgewall/controllers/autoscale"
	"github.com/surgewall/surgewall/controllers/policy"
)

// attempts is how often one tick decides anew after a conflict.
const attempts = 3

// result is what became of a decision.
type result struct {
	began time.Time // zero: nothing was to be written
	at    time.Time // zero: not written
	err   error
}

// write carries a decision out. The replicas are read again first, and the write
// names their version: a view that is out of date cannot change anything. On a
// conflict the decision is made anew from the state before, never applied again.
func (f *Fleet) write(ctx context.Context, to scale, p policy.Policy, load autoscale.Load, prior autoscale.State, now time.Time) (autoscale.Decision, autoscale.State, result) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var err error
	for range attempts {
		replicas, version, readErr := to.read(ctx)
		if readErr != nil {
			d, next := autoscale.Decide(p, load, prior, now)
			return d, next, result{err: fmt.Errorf("read %s: %w", to.what, readErr)}
		}
		load.SpecReplicas = replicas
		d, next := autoscale.Decide(p, load, prior, now)
		if d.To == d.From {
			return d, next, result{}
		}
		if !f.options.Leadership.Leading() {
			return d, next, result{err: fmt.Errorf("write %s: not the leader any more", to.what)}
		}
		if err = to.write(ctx, version, d.To); err == nil {
			return d, next, result{at: f.options.Now()}
		}
		err = fmt.Errorf("write %s: %w", to.what, err)
		if !isConflict(err) {
			return d, next, result{err: err}
		}
	}
	d, next := autoscale.Decide(p, load, prior, now)
	return d, next, result{err: err}
}
