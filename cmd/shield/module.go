package main

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/cmd/internal/tier"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/httpcache/store"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
	"github.com/surgewall/surgewall/shield"
)

// module is the shield's part of the graph. What is needed is made first and therefore stops last: reporter, shield's fetches, server.
func module(settings *config.Shield) fx.Option {
	return fx.Module("shield",
		fx.Supply(settings),
		fx.Provide(
			func(logger zerolog.Logger) (tier.Memory, error) { return tier.NewMemory(settings.Serving, logger) },
			func(m tier.Memory) *store.Memory { return store.NewMemory(m.Cache) },
			tier.NewMetrics,
			newKeys,
			newPublisher,
			newContent,
			newShield,
			newReporter,
			newServer,
			newPrefetcher,
		),
		fx.Invoke(watch, administer, reload, func(*boot.Server, *rabbitmq.Worker) {}),
	)
}

// newKeys returns the keys by which edges are known, nil without any.
func newKeys(settings *config.Shield, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*tier.Keys, error) {
	if settings.EdgeAuth.EdgeAuth == "off" {
		return nil, nil
	}
	return tier.NewKeys(settings.EdgeAuthKeyFile, runners, registry, logger)
}

func newPublisher(settings *config.Shield, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*tier.Publisher, error) {
	return tier.NewPublisher(settings.AMQP, "shield "+tier.Pod(settings.Pod), runners, registry, logger)
}

// newContent returns what follows content updates, nil without a broker.
func newContent(settings *config.Shield, publisher *tier.Publisher, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*tier.Content, error) {
	return tier.NewContent(tier.ContentOptions{
		Settings: settings.Content, AMQP: settings.AMQP, Role: "shield", Fleet: settings.Fleet, Pod: tier.Pod(settings.Pod), Publisher: publisher,
	}, runners, registry, logger)
}

func newShield(settings *config.Shield, division tier.Memory, memory *store.Memory, keys *tier.Keys, follows *tier.Content, registry *telemetry.Registry, metrics *tier.Metrics, logger zerolog.Logger) (*shield.Shield, error) {
	options := shield.Options{
		Store: memory, Observe: metrics.Observe, Logger: logger, SliceBytes: int64(settings.SliceSize), MaxWaiters: division.Waiters, StripSurrogate: settings.StripSurrogate,
		Authenticate: keys.Authenticator(settings.EdgeAuthSkew, registry), EdgesOnly: settings.EdgeAuth.EdgeAuth == "require",
	}
	if follows != nil {
		options.Greet = follows.Greet
	}
	var err error
	if options.Sites, err = sites(settings); err != nil {
		return nil, err
	}
	if options.PrivateRanges, err = privateRanges(settings); err != nil {
		return nil, err
	}
	var upstreams []string
	for _, site := range options.Sites {
		for _, origin := range site.Origins {
			upstreams = append(upstreams, origin.String())
		}
	}
	options.CDNID = tier.CDNID(settings.CDNID, "shield", settings.Fleet, upstreams...)
	logger.Info().Str("cdn_id", options.CDNID).Msg("known in CDN-Loop")
	s, err := shield.New(options)
	if err != nil {
		return nil, err
	}
	follows.Bind(s)
	return s, nil
}

// newReporter returns a Reporter that is running whenever the process does, and nil without a broker.
func newReporter(settings *config.Shield, s *shield.Shield, publisher *tier.Publisher, runners *boot.Runners, logger zerolog.Logger) *shield.Reporter {
	if publisher == nil {
		return nil
	}
	pod := tier.Pod(settings.Pod)
	origins := func() (all []shield.Reported) {
		for _, site := range s.Sites() {
			all = append(all, shield.Reported{Site: site.Name(), Origin: site.Origin()})
		}
		return all
	}
	reporter := shield.NewReporter(shield.ReporterOptions{
		Fleet: settings.Fleet, Pod: pod, BootID: tier.NewBootID(), Origins: origins, Publisher: publisher, Logger: logger,
	})
	publisher.Resume = reporter.Resume
	runners.Go("reporter", reporter.Run)
	return reporter
}

// newServer returns a server after whose stop the shield finishes its fetches. It asks for the reporter only in order to stop before it.
func newServer(lifecycle fx.Lifecycle, shutdowner fx.Shutdowner, settings *config.Shield, s *shield.Shield, _ *shield.Reporter,
	metrics *tier.Metrics, health *boot.Health, logger zerolog.Logger) *boot.Server {
	lifecycle.Append(fx.StopHook(func(ctx context.Context) {
		// With the clients gone, what is still being fetched is for nobody: a moment for what is nearly done, then it is cut.
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = s.Close(ctx)
	}))
	server := tier.Server(settings.Serving, s, metrics, logger)
	server.Register(lifecycle, shutdowner, health, logger)
	return server
}

// administer lets operators purge.
func administer(settings *config.Shield, routes *boot.Routes, s *shield.Shield, logger zerolog.Logger) error {
	return tier.Purge(routes, settings.PurgeTokenFile, s.Purge, logger)
}

// watch exports what the shield counts itself, for each site where sites are declared.
func watch(settings *config.Shield, registry *telemetry.Registry, s *shield.Shield) {
	// The one site of every Host has no name of its own that a dashboard could know.
	labels := []string{"site"}
	values := func(site *shield.Site, more ...string) []string { return append([]string{site.Name()}, more...) }
	if len(settings.Origins) > 0 {
		labels = nil
		values = func(_ *shield.Site, more ...string) []string { return more }
	}
	registry.Register(telemetry.Func{
		Name: "surgewall_origin_fetches_total", Help: "Fetches at the origin that have a response header or failed; failed is without a response or with a 5xx.",
		Kind: telemetry.Counter, Labels: append(slices.Clip(labels), "outcome"),
		Read: func(report func(float64, ...string)) {
			for _, site := range s.Sites() {
				fetches, failed := site.Origin().Totals()
				report(float64(fetches-min(failed, fetches)), values(site, "fine")...)
				report(float64(failed), values(site, "failed")...)
			}
		},
	})
	for _, metric := range []struct {
		name, help string
		kind       telemetry.Kind
		read       func(*shield.Site) float64
	}{
		{"surgewall_origin_in_flight", "Fetches at the origin.", telemetry.Gauge, func(s *shield.Site) float64 { return float64(s.Origin().InFlight()) }},
		{"surgewall_origin_held", "Blocking playlist reloads that the origin holds; they count as in flight, too.", telemetry.Gauge, func(s *shield.Site) float64 { return float64(s.Origin().Held()) }},
		{"surgewall_origin_waiting", "Fetches that wait for their turn at the origin.", telemetry.Gauge, func(s *shield.Site) float64 { return float64(s.Origin().Waiting()) }},
		{"surgewall_origin_shed_total", "Fetches answered 503 because their turn did not come.", telemetry.Counter, func(s *shield.Site) float64 { return float64(s.Origin().Shed()) }},
		{"surgewall_origin_failovers_total", "Requests sent to another address of the origin than the one asked first.", telemetry.Counter, func(s *shield.Site) float64 { return float64(s.Origin().Failovers()) }},
		{"surgewall_origin_breaker_open", "1 while the origin counts as down and gets one fetch at a time, to see how it is.", telemetry.Gauge, func(s *shield.Site) float64 {
			if s.Origin().Open() {
				return 1
			}
			return 0
		}},
		{"surgewall_origin_breaker_opened_total", "Times that the origin began to count as down.", telemetry.Counter, func(s *shield.Site) float64 { return float64(s.Origin().Opened()) }},
		{"surgewall_origin_breaker_declined_total", "Fetches that were not sent because the origin counted as down.", telemetry.Counter, func(s *shield.Site) float64 { return float64(s.Origin().Declined()) }},
		{"surgewall_origin_addresses_refused_total", "Addresses that the origin's name led to and that must not be connected to.", telemetry.Counter, func(s *shield.Site) float64 { return float64(s.Refused()) }},
	} {
		registry.Register(telemetry.Func{Name: metric.name, Help: metric.help, Kind: metric.kind, Labels: labels,
			Read: func(report func(float64, ...string)) {
				for _, site := range s.Sites() {
					report(metric.read(site), values(site)...)
				}
			}})
	}
}
