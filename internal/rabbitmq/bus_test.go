package rabbitmq

import (
	"context"
	"testing"
	"time"

	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/events/bustest"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// bus is the real broker as the contract suite sees it.
type bus struct {
	broker *testrabbit.Broker
	vhost  string
}

func (b bus) Publisher(t testing.TB) bustest.Publisher {
	o := Options{URL: b.broker.URL(bustest.Fleet, "secret", b.vhost), Name: "bustest", RingSize: 1000, MaxAge: time.Minute}
	return running(t, o)
}

func (b bus) Subscribe(ctx context.Context, t testing.TB, bindings []events.Binding, handle func(events.Message)) <-chan struct{} {
	_, done := consuming(ctx, t, options(b.broker, b.vhost), bindings, handle)
	return done
}

func TestContract(t *testing.T) {
	b := broker.Get(t)
	// One virtual host for the whole suite: exclusive queues keep the tests apart.
	vhost := b.VHost(t)
	anything := events.Role{Configure: ".*", Write: ".*", Read: ".*"}
	b.User(t, vhost, anything, bustest.Fleet, "secret")
	bustest.Run(t, func(testing.TB) bustest.Bus { return bus{b, vhost} })
}
