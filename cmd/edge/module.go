package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/cmd/internal/tier"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/edge"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/content"
	"github.com/surgewall/surgewall/internal/discovery"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// module is the edge's part of the graph. What is needed is made first and therefore stops last: members, reporter, edge, server.
func module(settings *config.Edge) fx.Option {
	return fx.Module("edge",
		fx.Supply(settings),
		fx.Provide(
			edge.NewMeter,
			func(logger zerolog.Logger) (tier.Memory, error) { return tier.NewMemory(settings.Serving, logger) },
			func(m tier.Memory) *store.Memory { return store.NewMemory(m.Cache) },
			func() *edge.Connections { return edge.NewConnections(settings.ConnectionMaxAge) },
			tier.NewMetrics,
			newMembers,
			newKeys,
			newPublisher,
			newContent,
			newUpstream,
			newReporter,
			newEdge,
			newServer,
		),
		fx.Invoke(watch, administer, func(*boot.Server) {}),
	)
}

// members are the upstreams, and how they are spoken to.
type members struct {
	*discovery.Members
	scheme string
}

func newMembers(settings *config.Edge, runners *boot.Runners, health *boot.Health, registry *telemetry.Registry, logger zerolog.Logger) (members, error) {
	if settings.ShieldDNS == "" {
		return staticMembers(settings)
	}
	host, port, err := net.SplitHostPort(settings.ShieldDNS)
	if err != nil {
		return members{}, fmt.Errorf("--shield-dns: %w", err)
	}
	dns := discovery.NewDNS(discovery.Options{Host: host, Port: port, Logger: logger})
	runners.Go("shield discovery", dns.Run)
	health.Require("upstream", func() error {
		if len(dns.Addresses()) == 0 {
			return errors.New("no address of a shield is known yet")
		}
		return nil
	})
	registry.Register(telemetry.Func{
		Name: "surgewall_discovery_failures_total", Help: "Questions for the addresses of the shields that were not answered.", Kind: telemetry.Counter,
		Read: func(report func(float64, ...string)) { report(float64(dns.Failures())) },
	})
	return members{&dns.Members, "http"}, nil
}

func staticMembers(settings *config.Edge) (members, error) {
	urls := settings.Shields
	if settings.Origin != "" {
		urls = []string{settings.Origin}
	}
	var addresses []string
	scheme := "http"
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return members{}, fmt.Errorf("--shield: %w", err)
		}
		scheme = u.Scheme
		addresses = append(addresses, tier.HostPort(u))
	}
	return members{discovery.Static(addresses...), scheme}, nil
}

// newKeys returns the keys that make us an edge to the shields, nil without any.
func newKeys(settings *config.Edge, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*tier.Keys, error) {
	return tier.NewKeys(settings.EdgeAuthKeyFile, runners, registry, logger)
}

func newPublisher(settings *config.Edge, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*tier.Publisher, error) {
	return tier.NewPublisher(settings.AMQP, "edge "+settings.Fleet+"/"+tier.Pod(settings.Pod), runners, registry, logger)
}

// newContent returns what follows content updates, nil without a broker. What it misses it asks the shields for, as an edge that they know.
func newContent(settings *config.Edge, to members, keys *tier.Keys, publisher *tier.Publisher, runners *boot.Runners, registry *telemetry.Registry,
	logger zerolog.Logger) (*tier.Content, error) {
	pod := tier.Pod(settings.Pod)
	options := tier.ContentOptions{
		Settings: settings.Content, AMQP: settings.AMQP, Role: "edge", Fleet: settings.Fleet, Pod: pod, Publisher: publisher,
		Transport: tier.Signed(keys.Signer(settings.Fleet, pod), edge.NewTransport(edge.TransportOptions{ConnectTimeout: settings.ConnectTimeout})),
	}
	if settings.Origin == "" {
		options.Sources = func() (sources []string) {
			for _, address := range to.Addresses() {
				sources = append(sources, to.scheme+"://"+address)
			}
			return sources
		}
	}
	return tier.NewContent(options, runners, registry, logger)
}

func newUpstream(settings *config.Edge, to members, keys *tier.Keys, follows *tier.Content, meter *edge.Meter, logger zerolog.Logger) *edge.Upstream {
	transport := edge.TransportOptions{
		ConnectTimeout: settings.ConnectTimeout, ResponseHeaderTimeout: settings.ResponseHeaderTimeout, MaxConnections: settings.UpstreamConnections,
	}
	held := transport
	held.ResponseHeaderTimeout = settings.HeldTimeout
	// An origin server is told nothing of content updates.
	aware := func(transport http.RoundTripper) http.RoundTripper {
		if follows == nil || settings.Origin != "" {
			return transport
		}
		return follows.Forwarding(transport)
	}
	return edge.NewUpstream(edge.UpstreamOptions{
		Members: to.Addresses, Scheme: to.scheme, Meter: meter, Logger: logger, Sign: keys.Signer(settings.Fleet, tier.Pod(settings.Pod)),
		Transport: aware(edge.NewTransport(transport)), HeldTransport: aware(edge.NewTransport(held)),
	})
}

// newReporter returns a Reporter that is running whenever the process does, and nil without a broker.
func newReporter(settings *config.Edge, meter *edge.Meter, publisher *tier.Publisher, tracing *telemetry.Tracing, runners *boot.Runners, logger zerolog.Logger) *edge.Reporter {
	if publisher == nil {
		return nil
	}
	pod := tier.Pod(settings.Pod)
	reporter := edge.NewReporter(edge.ReporterOptions{
		Fleet: settings.Fleet, Pod: pod, BootID: tier.NewBootID(), Meter: meter, Publisher: publisher, Trace: tracing.Recorder(), Logger: logger,
		// Since Go 1.25 this is the processors that the container may use, fractions rounded up.
		Capacity: events.Capacity{CPU: float64(runtime.GOMAXPROCS(0)), Connections: connections(settings)},
	})
	publisher.Resume = reporter.Resume
	runners.Go("reporter", reporter.Run)
	return reporter
}

// connections is how many clients fit: each takes a file descriptor, as each upstream connection and a few other things do. Zero is not known.
func connections(settings *config.Edge) uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return 0
	}
	const others = 64
	used := uint64(settings.UpstreamConnections) + others // to one shield; they are few
	return limit.Cur - min(used, limit.Cur)
}

// newEdge returns an Edge that finishes its fetches after the server is down. It asks for the reporter only in order to stop before it.
func newEdge(lifecycle fx.Lifecycle, settings *config.Edge, upstream *edge.Upstream, division tier.Memory, memory *store.Memory, meter *edge.Meter, connections *edge.Connections,
	metrics *tier.Metrics, follows *tier.Content, _ *edge.Reporter, logger zerolog.Logger) (*edge.Edge, error) {
	id := tier.CDNID(settings.CDNID, "edge", settings.Fleet, slices.Concat([]string{settings.Origin, settings.ShieldDNS}, settings.Shields)...)
	logger.Info().Str("cdn_id", id).Msg("known in CDN-Loop")
	e, err := edge.New(edge.Options{
		Upstream: upstream, Store: memory, Meter: meter, Connections: connections, Observe: metrics.Observe, Logger: logger,
		Rules: tier.Rules(settings.Caching), IgnoreQuery: settings.IgnoreQuery, CDNID: id, HonourClients: settings.ClientCacheControl == "honour",
		// The first attempt may end in a broken connection at its very end: leave the second one its time.
		ResponseHeaderTimeout: settings.ResponseHeaderTimeout + 2*settings.ConnectTimeout + time.Second,
		SliceBytes:            int64(settings.SliceSize),
		MaxWaiters:            division.Waiters,
		HeldTimeout:           settings.HeldTimeout + 2*settings.ConnectTimeout + time.Second,
	})
	if err != nil {
		return nil, err
	}
	follows.Bind(e)
	lifecycle.Append(fx.StopHook(func(ctx context.Context) {
		// With the clients gone, what is still being fetched is for nobody: a moment for what is nearly done, then it is cut.
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = e.Close(ctx)
	}))
	return e, nil
}

func newServer(lifecycle fx.Lifecycle, shutdowner fx.Shutdowner, settings *config.Edge, e *edge.Edge, connections *edge.Connections, reporter *edge.Reporter,
	metrics *tier.Metrics, health *boot.Health, logger zerolog.Logger) *boot.Server {
	server := tier.Server(settings.Serving, content.Facing(e), metrics, logger)
	server.ConnContext = connections.Context
	if reporter != nil {
		server.OnDrain = func() { reporter.SetState(events.LifeDraining) }
	}
	server.Register(lifecycle, shutdowner, health, logger)
	if reporter != nil {
		lifecycle.Append(fx.StartHook(func() { reporter.SetState(events.LifeReady) }))
	}
	return server
}

// administer lets operators purge.
func administer(settings *config.Edge, routes *boot.Routes, e *edge.Edge, logger zerolog.Logger) error {
	return tier.Purge(routes, settings.PurgeTokenFile, e.Purge, logger)
}

// watch exports what the edge counts itself.
func watch(registry *telemetry.Registry, upstream *edge.Upstream, meter *edge.Meter, to members) {
	for _, metric := range []struct {
		name, help string
		kind       telemetry.Kind
		read       func() float64
	}{
		{"surgewall_requests_offered_total", "Requests that arrived.", telemetry.Counter, func() float64 { return float64(meter.Offered()) }},
		{"surgewall_requests_in_flight", "Requests under way.", telemetry.Gauge, func() float64 { return float64(meter.InFlight()) }},
		{"surgewall_upstream_bytes_total", "Bytes of bodies received from upstreams.", telemetry.Counter, func() float64 { return float64(meter.Totals().BytesIn) }},
		{"surgewall_upstream_failovers_total", "Requests sent to another upstream than the one that ranks first.", telemetry.Counter, func() float64 { return float64(upstream.Failovers()) }},
		{"surgewall_upstream_refused_total", "Requests that a shield refused because it took them for no edge's.", telemetry.Counter, func() float64 { return float64(upstream.Refused()) }},
		{"surgewall_upstream_members", "Upstreams known.", telemetry.Gauge, func() float64 { return float64(len(to.Addresses())) }},
	} {
		registry.Register(telemetry.Func{Name: metric.name, Help: metric.help, Kind: metric.kind,
			Read: func(report func(float64, ...string)) { report(metric.read()) }})
	}
}
