package httpcache

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// epochs is the memory of purges. Each purge has a number and leaves one
// record under what it named; a response is purged when a record that concerns
// it has a higher number than the response's birth, which is the number of the
// last purge before its fetch began. So a purge costs the same however many
// responses it reaches, and those still on their way are reached too.
type epochs struct {
	// last is the number of the last complete purge. It is written after the
	// record: who has seen the number sees the record.
	last atomic.Uint64

	mu       sync.RWMutex
	all      record
	prefixes []prefixRecord // few
	// Records by label, in two halves: when the young one is full, the old one
	// is forgotten, and what was born before the last purge in it counts as
	// invalid: neither a purge nor the cache is lost.
	young, old map[uint64]record
	half       int    // size of a half
	oldLast    uint64 // number of the last purge in old
	floor      uint64 // responses born before it are invalid
}

// record is what was purged under one label: the number of the last purge of
// each kind, zero for none.
type record struct {
	hard, invalid, soft uint64
	previous            uint64 // of any kind, before the last
	softAt              time.Time
}

type prefixRecord struct {
	record
	prefix string // of key without scheme
}

// maxPrefixes bounds what a re-check compares one by one.
const maxPrefixes = 64

func newEpochs(limit int) *epochs {
	return &epochs{half: max(limit/2, 1), young: make(map[uint64]record)}
}

func (r *record) latest() uint64 { return max(r.hard, r.invalid, r.soft) }

// stamp is r after purge number n.
func (r record) stamp(n uint64, mode PurgeMode, now time.Time) record {
	r.previous = r.latest()
	switch mode {
	case PurgeSoft:
		r.soft, r.softAt = n, now
	case PurgeInvalidate:
		r.invalid = n
	default:
		r.hard = n
	}
	return r
}

// purge writes one record with write and returns the purge's number.
func (e *epochs) purge(write func(n uint64)) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.last.Load() + 1
	write(n)
	e.last.Store(n)
	return n
}

func (e *epochs) purgeAll(mode PurgeMode, now time.Time) uint64 {
	return e.purge(func(n uint64) {
		e.all = e.all.stamp(n, mode, now)
		if mode == PurgeHard { // what is older cannot be purged any further
			clear(e.young)
			e.old, e.prefixes, e.floor = nil, nil, 0
			e.all.previous = n - 1 // whatever that was a purge of
		}
	})
}

// purgeLabels purges one thing known by any of labels.
func (e *epochs) purgeLabels(mode PurgeMode, now time.Time, labels ...uint64) uint64 {
	return e.purge(func(n uint64) {
		for _, l := range labels {
			e.put(l, e.get(l).stamp(n, mode, now), n)
		}
	})
}

// purgeMembers purges what has one of the labels of tags or groups.
func (e *epochs) purgeMembers(mode PurgeMode, now time.Time, labels ...uint64) uint64 {
	return e.purge(func(n uint64) {
		for _, l := range labels {
			e.put(l, e.get(l).stamp(n, mode, now), n)
		}
		e.put(labelMany, e.get(labelMany).stamp(n, PurgeInvalidate, now), n)
	})
}

func (e *epochs) get(label uint64) record {
	if r, ok := e.young[label]; ok {
		return r
	}
	return e.old[label]
}

func (e *epochs) put(label uint64, r record, n uint64) {
	if _, ok := e.young[label]; !ok && len(e.young) >= e.half {
		if len(e.old) > 0 {
			e.floor = max(e.floor, e.oldLast) // a forgotten prefix may have raised it further
		}
		e.old, e.oldLast, e.young = e.young, n, make(map[uint64]record, e.half)
	}
	e.young[label] = r
}

// purgePrefix purges the keys that begin with prefix, apart from the scheme.
func (e *epochs) purgePrefix(mode PurgeMode, now time.Time, prefix string) uint64 {
	return e.purge(func(n uint64) { e.putPrefix(prefix, mode, n, now) })
}

func (e *epochs) putPrefix(prefix string, mode PurgeMode, n uint64, now time.Time) {
	var r record
	var narrower uint64
	e.prefixes = slices.DeleteFunc(e.prefixes, func(p prefixRecord) bool {
		if p.prefix == prefix {
			r = p.record
			return true
		}
		if mode == PurgeHard && strings.HasPrefix(p.prefix, prefix) { // purged once more, and harder
			narrower = max(narrower, p.latest())
			return true
		}
		return false
	})
	if len(e.prefixes) >= maxPrefixes {
		// They are in order of their last purge.
		e.floor = max(e.floor, e.prefixes[0].latest())
		e.prefixes = slices.Delete(e.prefixes, 0, 1)
	}
	r = r.stamp(n, mode, now)
	r.previous = max(r.previous, narrower)
	e.prefixes = append(e.prefixes, prefixRecord{r, prefix})
}

// subject is what purges know a response by.
type subject struct {
	key    string   // primary key, or one that continues it after a zero byte
	labels []uint64 // of its tags and groups; nil while they are not known
}

// concerning calls yield with each record that concerns s. The caller holds mu.
func (e *epochs) concerning(s subject, yield func(*record)) {
	yield(&e.all)
	rest := schemeless(s.key)
	host, _, _ := strings.Cut(rest, "/")
	for i := range e.prefixes {
		if strings.HasPrefix(rest, e.prefixes[i].prefix) {
			yield(&e.prefixes[i].record)
		}
	}
	label := func(l uint64) {
		if r := e.get(l); r.latest() > 0 {
			yield(&r)
		}
	}
	hostLabel := labelOf(labelHost, host)
	label(hostLabel)
	label(labelOf(labelURL, rest))
	for _, l := range s.labels {
		label(l)
		label(within(hostLabel, l))
	}
}

// purgeLevel says what purges left of a response; a higher one is worse.
type purgeLevel int

const (
	levelClean   purgeLevel = iota
	levelSoft               // stale since softAt
	levelInvalid            // must be validated first
	levelGone               // must not be used
)

// judge says what is left of a response born at purge number born.
func (e *epochs) judge(s subject, born uint64) (level purgeLevel, softAt time.Time) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if born < e.floor {
		level = levelInvalid
	}
	e.concerning(s, func(r *record) {
		switch {
		case r.hard > born:
			level = levelGone
		case r.invalid > born:
			level = max(level, levelInvalid)
		case r.soft > born:
			if level < levelSoft || level == levelSoft && r.softAt.Before(softAt) {
				softAt = r.softAt
			}
			level = max(level, levelSoft)
		}
	})
	return level, softAt
}

// between reports whether a purge of s may have come after born and not after
// arrived: then a request that arrived there must not get what is as old as
// born. A record knows only its last two purges; where that is not enough, the
// answer is yes.
func (e *epochs) between(s subject, born, arrived uint64) (yes bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if born < e.floor && born < arrived {
		return true
	}
	e.concerning(s, func(r *record) {
		if n := r.latest(); n > born && (n <= arrived || r.previous > born) {
			yes = true
		}
	})
	return yes
}

// Kinds of labels.
const (
	labelHost  = 'h'
	labelURL   = 'u'
	labelTag   = 't'
	labelGroup = 'g'
	// labelMany is for a response with more labels than are kept: every purge
	// of a tag or group invalidates it.
	labelMany uint64 = 1
)

// labelOf hashes what a purge can name (FNV-1a). It has no seed, so that a
// store may outlive the process. Two names with one hash are purged together,
// which costs a fetch.
func labelOf(kind byte, name string) uint64 {
	h := (uint64(14695981039346656037) ^ uint64(kind)) * 1099511628211
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}

// within narrows a label to one host.
func within(host, label uint64) uint64 {
	h := (host ^ label<<32 ^ label>>32) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// schemeless is a key without its scheme and without what continues it: a
// purge means a resource by whichever scheme it is asked for.
func schemeless(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	key, _, _ = strings.Cut(key, "\x00")
	return key
}
