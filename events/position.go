package events

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Position is how far a replica has followed the log of content updates: the offset of the last event that it applied, and a mark of that
// event. The broker has no name for one life of a stream: one that was deleted and made anew counts from zero again. Two logs that hold an event
// with the same id at the same offset are the same log, so the mark tells them apart, without a number that somebody would have to hand out.
type Position struct {
	// Mark is 16 hexadecimal digits made of the event's id; empty for no position at all.
	Mark string
	// Offset is the event's place in the stream, from 0 on.
	Offset int64
}

// PositionOf returns the position of an event that has this id and offset.
func PositionOf(id string, offset int64) Position {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	return Position{Mark: fmt.Sprintf("%016x", h.Sum64()), Offset: offset}
}

// Known is false for the zero value: nothing was ever applied.
func (p Position) Known() bool { return p.Mark != "" }

// String is "<mark>;<offset>", as in the field Surgewall-Content-Offset; empty for no position.
func (p Position) String() string {
	if !p.Known() {
		return ""
	}
	return p.Mark + ";" + strconv.FormatInt(p.Offset, 10)
}

// ParsePosition reads what String wrote.
func ParsePosition(s string) (Position, error) {
	mark, digits, ok := strings.Cut(s, ";")
	if !ok || len(mark) != 16 || strings.Trim(mark, "0123456789abcdef") != "" {
		return Position{}, fmt.Errorf("position %q: <16 hexadecimal digits>;<offset> is allowed", clip(s))
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || offset < 0 || strconv.FormatInt(offset, 10) != digits {
		return Position{}, fmt.Errorf("position %q: its offset is not a whole number", clip(s))
	}
	return Position{Mark: mark, Offset: offset}, nil
}
