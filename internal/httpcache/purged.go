package httpcache

import (
	"github.com/surgewall/surgewall/internal/httpcache/store"
)

// unpurged returns what purges left of a stored response: itself, a copy under
// harder terms, or nil. Without a purge since the last look it costs two loads.
func (c *Cache) unpurged(o *store.Object) *store.Object {
	if o == nil {
		return nil
	}
	last := c.purges.last.Load()
	if o.Cleared.Load() == last {
		return o
	}
	level, softAt := c.purges.judge(subject{o.Key, o.Labels}, o.Born)
	m := o.Meta
	switch level {
	case levelClean:
		o.Cleared.Store(last)
		return o
	case levelGone:
		return nil // its memory is the store's to reclaim: nobody asks for it any more
	case levelSoft:
		m.Lifetime = min(m.Lifetime, m.Age(softAt))
	default:
		m.NoCache = true
	}
	return o.WithMeta(m)
}

// level says what purges since the flight began left of what it carries.
// Before the header its tags are not known, and purges of them do not count.
func (f *flight) level() purgeLevel {
	if f.c.purges.last.Load() == f.born {
		return levelClean
	}
	level, _ := f.c.purges.judge(f.subject(), f.born)
	return level
}

func (f *flight) subject() subject {
	s := subject{key: f.primary}
	if f.started() {
		s.labels = f.labels
	}
	return s
}

// discarded reports whether what the flight carries must not be stored. The
// caller holds sh.mu, and the header has arrived. A purge that is missed here
// is found at the next look-up: the stored response is as old as the flight.
func (f *flight) discarded() bool {
	if f.purged || f.c.purges.last.Load() == f.born {
		return f.purged
	}
	level, _ := f.c.purges.judge(subject{f.primary, f.labels}, f.born)
	return level == levelGone
}

// superseded reports whether a request that looked up after purge number
// arrived came too late for this flight: then a purge was complete before the
// request and after the fetch began. The header has arrived.
func (f *flight) superseded(arrived uint64) bool {
	return arrived > f.born && f.c.purges.between(f.subject(), f.born, arrived)
}
