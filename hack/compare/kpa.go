package main

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/serving/pkg/apis/autoscaling"
	"knative.dev/serving/pkg/autoscaler/aggregation"
	"knative.dev/serving/pkg/autoscaler/metrics"
	"knative.dev/serving/pkg/autoscaler/scaling"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// Knative's defaults: pkg/autoscaler/config/config.go and, for the tick,
// pkg/autoscaler/scaling/multiscaler.go.
const (
	kpaStable = time.Minute
	kpaPanic  = 6 * time.Second
	kpaTick   = 2 * time.Second
)

// kpa runs Knative's autoscaler. It stands in for the metric collector and for
// the endpoints of the revision.
type kpa struct {
	scaler        scaling.UniScaler
	stable, panic *aggregation.TimedFloat64Buckets
	ready, wanted int
	next          time.Time
}

// newKPA scales pods towards this many requests per second each. The other
// values are Knative's defaults for the metric rps.
func newKPA(target, capacity float64) *kpa {
	k := &kpa{
		stable: aggregation.NewTimedFloat64Buckets(kpaStable, time.Second),
		panic:  aggregation.NewTimedFloat64Buckets(kpaPanic, time.Second),
	}
	// Ready is 0 here on purpose: above 1 the constructor begins a panic that is
	// stamped with the wall clock, and in virtual time it might never end.
	k.scaler = scaling.New(attribute.Set{}, noop.NewMeterProvider(), "default", "edge", k, k, &scaling.DeciderSpec{
		MaxScaleUpRate: 1000, MaxScaleDownRate: 2,
		ScalingMetric: autoscaling.RPS, TargetValue: target, TotalValue: capacity,
		TargetBurstCapacity: 211, ActivatorCapacity: 100, PanicThreshold: 2,
		StableWindow: kpaStable, Reachable: true,
	})
	return k
}

// Tick records a second, and asks the autoscaler in its own rhythm.
func (k *kpa) Tick(now time.Time, o simulate.Observation) int {
	k.ready = o.Ready
	if k.next.IsZero() {
		k.next, k.wanted = now, o.Replicas
	}
	if o.Fresh {
		k.stable.Record(now, o.Offered)
		k.panic.Record(now, o.Offered)
	}
	if !now.Before(k.next) {
		k.next = k.next.Add(kpaTick)
		if r := k.scaler.Scale(zap.NewNop().Sugar(), now); r.ScaleValid {
			k.wanted = int(r.DesiredPodCount)
		}
	}
	return k.wanted
}

// StableAndPanicRPS is what the metric collector answers from its windows. It
// says that there are no data only when the whole stable window is empty.
func (k *kpa) StableAndPanicRPS(_ types.NamespacedName, now time.Time) (float64, float64, error) {
	if k.stable.IsEmpty(now) {
		return 0, 0, metrics.ErrNoData
	}
	return k.stable.WindowAverage(now), k.panic.WindowAverage(now), nil
}

// StableAndPanicConcurrency is not asked for by a revision that scales on rps.
func (k *kpa) StableAndPanicConcurrency(key types.NamespacedName, now time.Time) (float64, float64, error) {
	return k.StableAndPanicRPS(key, now)
}

// ReadyCount counts the pods that serve.
func (k *kpa) ReadyCount() (int, error) { return k.ready, nil }

// NotReadyCount is not asked for by the autoscaler.
func (k *kpa) NotReadyCount() (int, error) { return 0, nil }
