package rabbitmq

import (
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/surgewall/surgewall/events"
)

// offsetField is where a broker says the place of a delivery in its stream, and where a consumer says from where it wants to read.
const offsetField = "x-stream-offset"

// DefaultStreamPrefetch is the default of Options.Prefetch for a stream. A stream wants one; more only costs memory.
const DefaultStreamPrefetch = 200

// Start is where reading a stream begins: at an offset, or at what the broker still has of the latest. The broker never refuses an offset: one
// that is gone it takes for the oldest that is left, and one that does not exist yet for the next to come, so the reader has to look
// at what it gets.
type Start struct {
	// Latest begins with the last chunk of the stream, which may hold events that are older than the subscription, or nothing.
	Latest bool
	// Offset is used without Latest.
	Offset int64
}

// StreamConsumer reads a stream that setup has declared. A session that is lost is followed by one that begins where the reader says then.
type StreamConsumer struct{ *Consumer }

// NewStreamConsumer checks the options. from is asked at each session, before it subscribes; OnUp is called when it has, before the first
// event. The handler gets each event with its offset. Handled events are acknowledged, which for a stream only asks for more: the
// place to begin the next time is the reader's to remember.
func NewStreamConsumer(o Options, stream string, from func() Start, handler func(offset int64, m events.Message)) (*StreamConsumer, error) {
	o.Prefetch = orElse(o.Prefetch, DefaultStreamPrefetch)
	c, err := NewConsumer(o, events.Queue{Name: stream}, func(m events.Message) {
		offset, err := strconv.ParseInt(m.Headers[offsetField], 10, 64)
		if err != nil {
			return // no stream's delivery
		}
		delete(m.Headers, offsetField)
		handler(offset, m)
	})
	if err != nil {
		return nil, err
	}
	c.arguments = func() amqp.Table {
		if start := from(); !start.Latest {
			return amqp.Table{offsetField: start.Offset}
		}
		return amqp.Table{offsetField: "last"}
	}
	return &StreamConsumer{c}, nil
}

// Absent reports whether the broker says that there is no such stream; also while its broker starts.
func (c *StreamConsumer) Absent() bool { return c.absent.Load() }
