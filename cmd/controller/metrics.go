package main

import (
	"github.com/surgewall/surgewall/controllers/fleet"
	"github.com/surgewall/surgewall/controllers/ingest"
	"github.com/surgewall/surgewall/controllers/kube"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// watch exports what the fleets know of themselves.
func watch(registry *telemetry.Registry, fleets *fleet.Manager, in *ingest.Ingest, lease *kube.Lease) {
	type report = func(value float64, labels ...string)
	each := func(name, help string, kind telemetry.Kind, labels []string, read func(fleet.Status, report)) {
		registry.Register(telemetry.Func{Name: name, Help: help, Kind: kind, Labels: append([]string{"fleet"}, labels...),
			Read: func(r func(float64, ...string)) {
				for _, s := range fleets.Statuses() {
					read(s, func(value float64, labels ...string) { r(value, append([]string{s.Fleet}, labels...)...) })
				}
			}})
	}
	each("surgewall_fleet_replicas", "Edges of a fleet: desired by the latest decision, asked for in the Deployment, and Ready.", telemetry.Gauge,
		[]string{"what"}, func(s fleet.Status, r report) {
			r(float64(s.Replicas.Desired), "desired")
			r(float64(s.Replicas.Spec), "spec")
			r(float64(s.Replicas.Ready), "ready")
		})
	each("surgewall_fleet_offered_rps", "Requests per second offered to a fleet, from the latest report of each edge.", telemetry.Gauge, nil,
		func(s fleet.Status, r report) { r(s.Load.OfferedRPS) })
	each("surgewall_fleet_hit_ratio", "Part of the requests that caused no forward, from the latest report of each edge.", telemetry.Gauge, nil,
		func(s fleet.Status, r report) { r(s.Load.HitRatio) })
	each("surgewall_fleet_latency_seconds", "Time to first byte that a part of a fleet's requests kept, from the latest report of each Ready edge.", telemetry.Gauge, []string{"quantile"},
		func(s fleet.Status, r report) {
			if s.Latency != nil {
				r(s.Latency.P50MS/1000, "0.5")
				r(s.Latency.P99MS/1000, "0.99")
			}
		})
	each("surgewall_fleet_capacity", "What the Ready edges of a fleet say that they can do: processors, client connections, requests per second seen to be served well.", telemetry.Gauge, []string{"what"},
		func(s fleet.Status, r report) {
			if s.Capacity != nil {
				r(s.Capacity.CPU, "cpu")
				r(float64(s.Capacity.Connections), "connections")
				r(s.Capacity.MaxRPS, "max_rps")
			}
		})
	each("surgewall_fleet_edges", "Edges that should be heard, and those that are.", telemetry.Gauge, []string{"what"}, func(s fleet.Status, r report) {
		r(float64(s.Signal.Known), "known")
		r(float64(s.Signal.Live), "live")
	})
	each("surgewall_fleet_signal", "One for the state of the signal of a fleet.", telemetry.Gauge, []string{"state"}, func(s fleet.Status, r report) {
		for _, state := range []string{"LIVE", "PARTIAL", "BLIND"} {
			r(one(s.Signal.State == state), state)
		}
	})
	each("surgewall_fleet_condition", "One for a condition that is as it should be, zero otherwise.", telemetry.Gauge, []string{"type"}, func(s fleet.Status, r report) {
		for _, c := range s.Conditions {
			r(one(c.Good()), c.Type)
		}
	})
	each("surgewall_fleet_scale_writes_total", "Scale writes by this replica, by what the API server answered.", telemetry.Counter, []string{"result"},
		func(s fleet.Status, r report) {
			r(float64(s.Writes.Accepted), "accepted")
			r(float64(s.Writes.Failed), "failed")
		})
	forecast := func(name, help string, read func(*fleet.Forecast) float64) {
		each(name, help, telemetry.Gauge, nil, func(s fleet.Status, r report) {
			if s.Forecast != nil {
				r(read(s.Forecast))
			}
		})
	}
	forecast("surgewall_fleet_forecast_rps", "Most requests per second that are forecast until the end of the next five minutes.",
		func(f *fleet.Forecast) float64 { return f.DemandRPS })
	forecast("surgewall_fleet_forecast_skill", "Part of the error of persistence that the forecast avoided; below zero it is worse.",
		func(f *fleet.Forecast) float64 { return f.Skill })
	forecast("surgewall_fleet_forecast_promoted", "One while the score of the forecast is good enough to keep edges by.",
		func(f *fleet.Forecast) float64 { return one(f.Promoted) })
	each("surgewall_telemetry_lost_total", "Events of edges that never arrived, by the gaps in their sequences.", telemetry.Counter, nil,
		func(s fleet.Status, r report) { r(float64(s.Signal.LostEvents)) })
	watchDropped(registry, fleets.Statuses, in.Unattributed)
	registry.Register(telemetry.Func{Name: "surgewall_controller_leading", Help: "One on the replica that writes.", Kind: telemetry.Gauge,
		Read: func(r func(float64, ...string)) { r(one(lease.Leading())) }})
}

// watchDropped exports what did not count. A message that cannot be decoded is nobody's, and counts once, not once for each fleet: its
// label fleet is empty, which Prometheus takes for none.
func watchDropped(registry *telemetry.Registry, fleets func() []fleet.Status, unattributed func() map[events.Reason]uint64) {
	registry.Register(telemetry.Func{
		Name: "surgewall_telemetry_dropped_total", Help: "Events of edges that arrived and did not count; without a fleet those that could not be decoded.",
		Kind: telemetry.Counter, Labels: []string{"fleet", "reason"},
		Read: func(r func(float64, ...string)) {
			for _, s := range fleets() {
				for reason, n := range s.Signal.Dropped {
					r(float64(n), s.Fleet, reason)
				}
			}
			for reason, n := range unattributed() {
				r(float64(n), "", string(reason))
			}
		},
	})
}

func watchConsumer(registry *telemetry.Registry, consumer *rabbitmq.Consumer) {
	registry.Register(telemetry.Func{Name: "surgewall_events_received_total", Help: "Messages that came from the broker.", Kind: telemetry.Counter,
		Read: func(r func(float64, ...string)) { r(float64(consumer.Received())) }})
	registry.Register(telemetry.Func{Name: "surgewall_broker_consumer_state", Help: "One for the state of the connection that listens.", Kind: telemetry.Gauge,
		Labels: []string{"state"}, Read: func(r func(float64, ...string)) {
			for _, state := range rabbitmq.States() {
				r(one(state == consumer.State()), string(state))
			}
		}})
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
