package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/scale"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/surgewall/surgewall/controllers/simulate"
)

// Defaults of kube-controller-manager's flags.
const (
	hpaSync          = 15 * time.Second
	hpaStabilisation = 5 * time.Minute
	hpaTolerance     = 0.1
	hpaCPUInit       = 5 * time.Minute
	hpaReadiness     = 30 * time.Second
)

// tuned is what people set who want the HPA to be quick: no limit upwards, and
// a minute of stabilisation downwards.
func tuned() *autoscalingv2.HorizontalPodAutoscalerBehavior {
	percent := func(n int32) []autoscalingv2.HPAScalingPolicy {
		return []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PercentScalingPolicy, Value: n, PeriodSeconds: 15}}
	}
	none, minute, most := int32(0), int32(60), autoscalingv2.MaxChangePolicySelect
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{
		ScaleUp:   &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &none, SelectPolicy: &most, Policies: percent(100_000)},
		ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &minute, SelectPolicy: &most, Policies: percent(100)},
	}
}

// hpa runs the HorizontalController of Kubernetes against an external metric. It
// reads the clock wherever it likes, so it lives in a synctest bubble, and one
// tick lets a second of the bubble's time go by.
type hpa struct {
	client *fake.Clientset
	ticks  int

	mu   sync.Mutex // the controller reads and writes on a goroutine of its own
	seen simulate.Observation
	spec int32
}

// inHPA runs do in a bubble with a controller that scales towards this many
// requests per second per pod, within min and max.
func inHPA(t *testing.T, target float64, low, high, initial int, behavior *autoscalingv2.HorizontalPodAutoscalerBehavior, do func(simulate.Scaler)) {
	klog.SetLogger(logr.Discard())
	// The stock handlers compare with a time stamp from before the bubble, and
	// then sleep for decades.
	utilruntime.ErrorHandlers = nil
	synctest.Test(t, func(t *testing.T) {
		h := &hpa{spec: int32(initial)}
		ctx, cancel := context.WithCancel(t.Context())
		defer func() {
			cancel()
			time.Sleep(time.Minute) // the bubble may end when all goroutines have left
		}()
		h.start(ctx, target, int32(low), int32(high), behavior)
		// Each beat falls half a second after a scrape, and so sees the youngest
		// value that there can be: its best case.
		time.Sleep(hpaSync - 500*time.Millisecond)
		do(h)
	})
}

func (h *hpa) start(ctx context.Context, target float64, low, high int32, behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	average := resource.NewMilliQuantity(int64(target*1000), resource.DecimalSI)
	// NewClientset, its successor, also keeps managed fields, for which it builds
	// the map of all kinds anew on every write: a day would take a minute.
	h.client = fake.NewSimpleClientset(&autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "edge", UID: "edge", Generation: 1, ResourceVersion: "1"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "edge"},
			MinReplicas:    &low, MaxReplicas: high, Behavior: behavior,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ExternalMetricSourceType,
				External: &autoscalingv2.ExternalMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: "offered"},
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: average},
				},
			}},
		},
	})
	// Kubernetes Events would pile up for days of virtual time, and nobody reads them.
	h.client.PrependReactor("*", "events", func(clienttesting.Action) (bool, runtime.Object, error) { return true, &corev1.Event{}, nil })

	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}})
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace)
	factory := informers.NewSharedInformerFactory(h.client, 0)
	controller := podautoscaler.NewHorizontalController(ctx, h.client.CoreV1(), h, h.client.AutoscalingV2(), mapper, h,
		factory.Autoscaling().V2().HorizontalPodAutoscalers(), factory.Core().V1().Pods(),
		hpaSync, hpaStabilisation, hpaTolerance, hpaCPUInit, hpaReadiness)
	factory.Start(ctx.Done())
	go controller.Run(ctx, 1)
}

// Tick shows the controller what is there and lets a second pass.
func (h *hpa) Tick(_ time.Time, o simulate.Observation) int {
	h.mu.Lock()
	h.seen = o
	h.mu.Unlock()
	if h.ticks++; h.ticks%1000 == 0 {
		h.client.ClearActions() // the fake remembers every call
	}
	time.Sleep(time.Second)
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return int(h.spec)
}

// Scales is the scale subresource of the one Deployment.
func (h *hpa) Scales(string) scale.ScaleInterface { return h }

// Get reads it.
func (h *hpa) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "edge"},
		Spec:       autoscalingv1.ScaleSpec{Replicas: h.spec},
		Status:     autoscalingv1.ScaleStatus{Replicas: int32(h.seen.Replicas), Selector: "app=edge"},
	}, nil
}

// Update writes it.
func (h *hpa) Update(_ context.Context, _ schema.GroupResource, s *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spec = s.Spec.Replicas
	return s, nil
}

// Patch is not what the controller calls.
func (h *hpa) Patch(context.Context, schema.GroupVersionResource, string, types.PatchType, []byte, metav1.PatchOptions) (*autoscalingv1.Scale, error) {
	return nil, errOther
}

var (
	errOther  = errors.New("not a call of this comparison")
	errNoData = errors.New("no value for the metric")
)

// GetExternalMetric is the metric, in thousandths. A metrics adapter without a
// value answers with an error.
func (h *hpa) GetExternalMetric(string, string, labels.Selector) ([]int64, time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.seen.Fresh {
		return nil, time.Time{}, errNoData
	}
	return []int64{int64(h.seen.Offered * 1000)}, time.Now(), nil
}

// GetResourceMetric is not asked for by an HPA on an external metric.
func (h *hpa) GetResourceMetric(context.Context, corev1.ResourceName, string, labels.Selector, string) (metrics.PodMetricsInfo, time.Time, error) {
	return nil, time.Time{}, errOther
}

// GetRawMetric is not asked for by an HPA on an external metric.
func (h *hpa) GetRawMetric(string, string, labels.Selector, labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return nil, time.Time{}, errOther
}

// GetObjectMetric is not asked for by an HPA on an external metric.
func (h *hpa) GetObjectMetric(string, string, *autoscalingv2.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	return 0, time.Time{}, errOther
}
