package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/cmd/internal/guard"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/kube"
	"github.com/surgewall/surgewall/controllers/updates"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/content"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// module is the controller's part of the graph. What is needed is made first and therefore stops last: broker, watches, Lease, fleets,
// API. The fleets stop before the Lease is given back, or two replicas could write.
func module(settings *config.Controller) fx.Option {
	return fx.Module("controller",
		fx.Supply(settings),
		fx.Provide(newSender, newAccess, newWires, newPublisher, newIngest, newCluster, newLease, newFleets, newTracker, newReplica, newUpdates, newServer),
		fx.Invoke(watch, func(*boot.Server) {}),
	)
}

func newSender(settings *config.Controller) *ingest.Sender {
	replica := settings.Replica
	if replica == "" {
		host, err := os.Hostname()
		if err != nil {
			host = ""
		}
		replica = events.CleanPod(host)
	}
	return ingest.NewSender(replica, strings.ToLower(rand.Text()))
}

func newAccess(settings *config.Controller, logger zerolog.Logger) (kube.Access, error) {
	kube.RouteLogs(logger.With().Str("library", "client-go").Logger())
	access, err := kube.Connect(settings.Kubeconfig, settings.Namespace, "surgewall-controller/"+boot.Version(), logger)
	if errors.Is(err, kube.ErrNoCluster) {
		return kube.Access{}, fmt.Errorf("--kubeconfig: %w", err)
	}
	return access, err
}

// wires join the parts that know of each other both ways: the bus and the watches bring news to the fleets, which ask them for the state.
// They are joined before anything runs.
type wires struct {
	cluster *kube.Cluster
	fleets  *fleet.Manager
}

func newWires() *wires { return new(wires) }

// Members lists the pods of a fleet, where its Deployment is in this cluster.
func (w *wires) Members(name string, each func(pod string, ready, leaving bool)) (known bool) {
	return w.fleets.TargetFound(name) && w.cluster.Members(name, each)
}

// IsMember reports whether a pod belongs to a fleet, where its Deployment is in this cluster.
func (w *wires) IsMember(name, pod string) (member, known bool) {
	if !w.fleets.TargetFound(name) {
		return false, false
	}
	return w.cluster.IsMember(name, pod)
}

// newPublisher returns a running Publisher, and nil without a broker.
func newPublisher(settings *config.Controller, sender *ingest.Sender, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*rabbitmq.Publisher, error) {
	if !settings.AMQP.Configured() {
		logger.Warn().Msg("no message broker is configured: no load is seen, every fleet is BLIND")
		return nil, nil
	}
	publisher, err := rabbitmq.NewPublisher(boot.Broker(settings.AMQP, "controller "+sender.Replica()+" publishes", logger))
	if err != nil {
		return nil, fmt.Errorf("make the publisher: %w", err)
	}
	boot.WatchPublisher(registry, publisher)
	runners.Go("publisher", publisher.Run)
	return publisher, nil
}

func newIngest(settings *config.Controller, sender *ingest.Sender, tracker *updates.Tracker, w *wires, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*ingest.Ingest, error) {
	in := ingest.New(ingest.Options{
		Replica: sender.Replica(), Members: w, OnApplied: tracker.Heard, Logger: logger,
		Poke:       func(name string) { w.fleets.Poke(name) },
		OnPlan:     func(user string, p events.Plan) { w.fleets.HeardPlan(user, p) },
		OnDecision: func(replica string, d events.Decision) { w.fleets.Heard(replica, d) },
	})
	if !settings.AMQP.Configured() {
		return in, nil
	}
	options := boot.Broker(settings.AMQP, "controller "+sender.Replica()+" listens", logger)
	options.OnUp = in.Listening
	consumer, err := rabbitmq.NewConsumer(options, events.ControllerQueue(), in.Handle)
	if err != nil {
		return nil, fmt.Errorf("make the consumer: %w", err)
	}
	watchConsumer(registry, consumer)
	runners.Go("consumer", consumer.Run)
	runners.Go("deafness", func(ctx context.Context) error { return listenAgain(ctx, in, consumer, logger) })
	return in, nil
}

func newCluster(settings *config.Controller, api kube.Access, sender *ingest.Sender, w *wires, runners *boot.Runners, health *boot.Health, logger zerolog.Logger) (*kube.Cluster, error) {
	cluster, err := kube.New(api, sender.Replica(), settings.PlanConfigMap, logger, kube.Handlers{
		Policy: func(name, resourceVersion string, data map[string]string) {
			w.fleets.SetPolicy(name, resourceVersion, data)
		},
		Plans:         func(texts map[string]string) { w.fleets.SetPlans(texts) },
		PolicyDeleted: func(name string) { w.fleets.DeletePolicy(name) },
		Deployment:    func(name string) { w.fleets.PokeTarget(name) },
		Edited:        func(deployment, by string) { w.fleets.Edited(deployment, by) },
		PodGone:       func(name string) { w.fleets.Poke(name) },
	})
	if err != nil {
		return nil, err
	}
	w.cluster = cluster
	// Not the broker: without it the controller is blind and says so, and a restart would not help.
	health.Require("kubernetes", cluster.Ready)
	runners.Go("watches", cluster.Run)
	runners.Go("memory", func(ctx context.Context) error { return giveBack(ctx, logger) })
	return cluster, nil
}

func newLease(settings *config.Controller, api kube.Access, sender *ingest.Sender, runners *boot.Runners, logger zerolog.Logger) (*kube.Lease, error) {
	lease, err := kube.NewLease(api, settings.LeaseName, sender.Replica(), logger)
	if err != nil {
		return nil, err
	}
	runners.Go("lease", lease.Run)
	return lease, nil
}

func newFleets(api kube.Access, cluster *kube.Cluster, lease *kube.Lease, in *ingest.Ingest, publisher *rabbitmq.Publisher, sender *ingest.Sender,
	w *wires, tracing *telemetry.Tracing, runners *boot.Runners, logger zerolog.Logger) *fleet.Manager {
	options := fleet.Options{
		Namespace: api.Namespace, Scaler: cluster, Signals: in, Leadership: lease, Recorder: cluster, Plans: cluster, Sender: sender, Trace: tracing.Recorder(), Logger: logger,
	}
	if publisher != nil {
		options.Publisher = publisher
		runners.Go("canary", ingest.Canary{Sender: sender, To: publisher}.Run)
	}
	w.fleets = fleet.NewManager(options)
	runners.Go("fleets", w.fleets.Run)
	return w.fleets
}

func newServer(lifecycle fx.Lifecycle, shutdowner fx.Shutdowner, settings *config.Controller, fleets *fleet.Manager, api *updates.API, replica *content.Replica, health *boot.Health, logger zerolog.Logger) (*boot.Server, error) {
	var writes func(http.Handler) http.Handler
	if file := settings.APITokenFile; file != "" {
		if _, err := guard.ReadToken(file); err != nil {
			return nil, fmt.Errorf("--api-token-file: %w", err)
		}
		writes = func(next http.Handler) http.Handler { return guard.New(file, "api", next, logger) }
	}
	server := &boot.Server{
		Name: "api", Setting: "listen", Address: settings.Listen, Handler: mount(fleets.Handler(writes), api, replica),
		DrainTimeout: 2 * time.Second, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	server.Register(lifecycle, shutdowner, health, logger)
	return server, nil
}
