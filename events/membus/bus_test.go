package membus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/events/bustest"
	"github.com/surgewall/surgewall/events/membus"
)

type bus struct{ *membus.Bus }

func (b bus) Publisher(testing.TB) bustest.Publisher { return b.Bus }

func (b bus) Subscribe(ctx context.Context, _ testing.TB, bindings []events.Binding, handle func(events.Message)) <-chan struct{} {
	return b.Bus.Subscribe(ctx, bindings, handle)
}

func TestContract(t *testing.T) {
	bustest.Run(t, func(testing.TB) bustest.Bus { return bus{membus.New()} })
}

func TestFullQueueLosesTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := membus.NewLimited(3)
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		var got []string
		done := b.Subscribe(ctx, []events.Binding{{Exchange: "x", Key: "#"}}, func(m events.Message) {
			got = append(got, m.MessageID)
			<-release
		})
		b.Publish(events.Message{Exchange: "x", Key: "k", MessageID: "held"})
		synctest.Wait() // the handler holds the first one
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			b.Publish(events.Message{Exchange: "x", Key: "k", MessageID: id})
		}
		close(release)
		synctest.Wait()
		cancel()
		<-done
		if want := []string{"held", "c", "d", "e"}; len(got) != 4 || got[1] != want[1] || got[3] != want[3] {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	bus := membus.New()
	done := bus.Subscribe(b.Context(), []events.Binding{{Exchange: events.ExchangeTelemetry, Key: "rate.#"}}, func(events.Message) {})
	m := events.Message{Exchange: events.ExchangeTelemetry, Key: "rate.edge.edge-1"}
	b.ReportAllocs()
	for b.Loop() {
		bus.Publish(m)
	}
	_ = done
}
