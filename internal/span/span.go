// Package span is a finished span of a trace as plain data, for those who know what happened and need not know who collects it.
//
// Trace contexts are strings in the form of the W3C recommendation's traceparent, as they travel in the headers of messages. Empty is none.
package span

import "time"

// Span is something that took from Start to End.
type Span struct {
	// Name is the same for all of a kind.
	Name string
	// Parent is what it is a part of; Links are what else led to it.
	Parent string
	Links  []string
	Start  time.Time
	End    time.Time
	// Attributes are pairs of a name and a value; values are string, int, int64, float64 or bool.
	Attributes []Attribute
	// Error says why it failed; empty when it did not.
	Error string
}

// Attribute is one pair.
type Attribute struct {
	Key   string
	Value any
}

// Recorder takes a span and returns its trace context, for whatever follows from it. It never waits. A nil Recorder means that nobody collects
// spans: ask before anything is put together for one.
type Recorder func(Span) (traceparent string)
