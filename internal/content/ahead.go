package content

import (
	"context"
	"time"

	"github.com/surgewall/surgewall/events"
)

// Heard is told the position that another replica showed in a response, and its base URL. It never waits.
func (r *Replica) Heard(base string, other events.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case other == r.position:
		if !r.up {
			r.touch()
		}
	case !r.position.Known() || other.Offset > r.position.Offset:
		r.ask(base)
	default:
		r.compare(other)
	}
}

// compare looks whether a position at or behind ours is one of our log's. Of two logs, one is gone, and who follows it has yet to notice.
func (r *Replica) compare(other events.Position) {
	switch {
	case !r.contradicts(other) || r.doubted.has(other):
	case r.doubtAfter() > 0:
		r.doubtful = other // Tick sees to it
	default:
		r.doubt(other, "another replica follows another log")
	}
}

// contradicts reports whether our log has another event at the place of this one.
func (r *Replica) contradicts(other events.Position) bool {
	at, ok := r.log.at(other.Offset)
	return ok && at != other
}

// behind reports whether this replica has yet to come to a position.
func (r *Replica) behind(p events.Position) bool {
	return !r.position.Known() || r.position.Offset < p.Offset
}

// Await returns when this replica has applied what an edge has that asks it: what the edge purged it must not get from here again. Where that
// does not come within the limit, or the edge follows another log, everything that is stored is validated before its next use; many
// such edges, or one that makes its positions up, bring that about once in doubtEvery, and wait for it.
func (r *Replica) Await(ctx context.Context, claim events.Position, limit time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	began, before := r.o.Now(), r.distrusts
	for r.behind(claim) || r.contradicts(claim) {
		// Only the very same position: a lower one need not be of the same log. What was stored since we distrusted for it was fetched
		// after its edge had applied it.
		if r.doubted.has(claim) {
			return
		}
		if r.distrusts != before {
			r.doubted.add(claim)
			return
		}
		wait, why := r.doubtAfter(), "an edge follows another log"
		if r.behind(claim) {
			wait, why = max(wait, began.Add(limit).Sub(r.o.Now())), "an edge is ahead of this replica"
		}
		if wait <= 0 {
			if r.doubt(claim, why); r.o.Sources != nil && r.behind(claim) {
				if sources := r.o.Sources(); len(sources) > 0 {
					r.ask(sources[0])
				}
			}
			return
		}
		if !r.sleep(ctx, wait) {
			return // nobody is there any more to get the answer
		}
	}
}

// sleep gives the lock away until something has changed or the time is over; false if the context ended.
func (r *Replica) sleep(ctx context.Context, wait time.Duration) bool {
	moved := r.moved
	r.mu.Unlock()
	defer r.mu.Lock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-moved:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// doubtAfter is how long it takes until what others say may make us distrust what is stored again.
func (r *Replica) doubtAfter() time.Duration {
	if r.doubtedAt.IsZero() {
		return 0
	}
	return doubtEvery - r.o.Now().Sub(r.doubtedAt)
}

// doubt distrusts what is stored because of a position of somebody else's, once for each.
func (r *Replica) doubt(p events.Position, why string) {
	r.doubted.add(p)
	r.doubtedAt = r.o.Now()
	r.counters.Gaps++
	r.distrust(why)
}

// positions are the last few that were added.
type positions struct {
	known map[events.Position]bool
	order []events.Position
}

func (s *positions) has(p events.Position) bool { return s.known[p] }

func (s *positions) add(p events.Position) {
	if s.known[p] {
		return
	}
	if s.known == nil {
		s.known = make(map[events.Position]bool)
	}
	if len(s.order) == positionsKept {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	s.known[p], s.order = true, append(s.order, p)
}

// pulled takes a range that another replica sent: what follows our position, or, where it does not know that, only its own position.
func (r *Replica) pulled(after events.Position, entries []Entry, found bool, theirs events.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counters.Pulls++
	if !found {
		if r.position != after || !theirs.Known() {
			return // something else has moved us meanwhile
		}
		// What is stored now is not trusted whatever happened until their position, so from there on we follow.
		r.gap("the missing events are gone")
		r.position = theirs
		r.o.OnPosition(r.position)
		r.log.restart(theirs)
		r.wake()
		r.tell()
	}
	for _, e := range entries {
		if e.Offset > r.position.Offset {
			r.take(e)
		}
	}
	if r.position.Known() && r.position.Offset >= theirs.Offset && !r.up {
		r.touch()
	}
}
