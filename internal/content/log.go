package content

import (
	"hash/maphash"

	"github.com/surgewall/surgewall/events"
)

// Bounds of what a replica remembers of the log, in order to answer those that are behind, and of ids.
const (
	maxEntries    = 4096
	maxEntryBytes = 8 << 20
	idsKept       = 65_536
	positionsKept = 256
)

// Entry is one event of the log.
type Entry struct {
	Offset  int64
	Message events.Message
}

func (e Entry) position() events.Position { return events.PositionOf(e.Message.MessageID, e.Offset) }

// log is the end of the stream as this replica has seen it, without gaps, and the ids that it has seen. It belongs to who locks it.
type log struct {
	// anchor is the position before the first entry; unknown where the log begins in the middle of nowhere.
	anchor     events.Position
	entries    []Entry
	bytes      int
	young, old map[string]seen
	seed       maphash.Seed
}

// seen is where an id was seen first, and with which body.
type seen struct {
	offset int64
	body   uint64 // its hash
}

func newLog() log { return log{young: map[string]seen{}, seed: maphash.MakeSeed()} }

// add appends an entry that follows the last one.
func (l *log) add(e Entry) {
	l.entries = append(l.entries, e)
	l.bytes += len(e.Message.Body)
	for len(l.entries) > maxEntries || l.bytes > maxEntryBytes && len(l.entries) > 1 {
		l.anchor = l.entries[0].position()
		l.bytes -= len(l.entries[0].Message.Body)
		l.entries[0] = Entry{}
		l.entries = l.entries[1:]
	}
}

// restart forgets the entries, not the ids: what follows is not known to follow them. The next entry comes after the anchor.
func (l *log) restart(anchor events.Position) {
	l.anchor, l.entries, l.bytes = anchor, nil, 0
}

// at returns the position at an offset, if the log still knows it.
func (l *log) at(offset int64) (events.Position, bool) {
	if l.anchor.Known() && l.anchor.Offset == offset {
		return l.anchor, true
	}
	if len(l.entries) == 0 || offset < l.entries[0].Offset || offset > l.entries[len(l.entries)-1].Offset {
		return events.Position{}, false
	}
	return l.entries[offset-l.entries[0].Offset].position(), true
}

// after returns what follows a position, up to limit entries; false if the log does not know the position.
func (l *log) after(p events.Position, limit int) ([]Entry, bool) {
	if at, ok := l.at(p.Offset); !ok || at != p {
		return nil, false
	}
	if len(l.entries) == 0 {
		return nil, true
	}
	rest := l.entries[p.Offset+1-l.entries[0].Offset:]
	return append([]Entry(nil), rest[:min(limit, len(rest))]...), true
}

// first notes an id and reports whether it is new, or has another body than before. Of two generations the older is forgotten when the younger is
// full: at least idsKept/2 are known.
func (l *log) first(id string, body []byte, offset int64) bool {
	now := seen{offset, maphash.Bytes(l.seed, body)}
	if before, known := l.find(id); known && before.body == now.body {
		return false
	}
	if len(l.young) >= idsKept/2 {
		l.old, l.young = l.young, make(map[string]seen, idsKept/2)
	}
	l.young[id] = now
	return true
}

func (l *log) find(id string) (seen, bool) {
	if s, ok := l.young[id]; ok {
		return s, true
	}
	s, ok := l.old[id]
	return s, ok
}
