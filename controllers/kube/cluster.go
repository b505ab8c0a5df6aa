package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/surgewall/surgewall/controllers/policy"
)

// The labels that tie objects to fleets.
const (
	PolicyLabel = "surgewall.io/policy" // "true" on a policy ConfigMap, whose name is the fleet's
	FleetLabel  = "surgewall.io/fleet"  // on a pod: its fleet
)

// Handlers are told what the watches see. They must not block.
type Handlers struct {
	Policy        func(fleet, resourceVersion string, data map[string]string) // new or edited
	PolicyDeleted func(fleet string)
	Plans         func(texts map[string]string) // what is kept, by fleet
	Deployment    func(name string)             // its scale changed, or it came or went
	Edited        func(deployment, by string)   // somebody else changed its replicas
	PodGone       func(fleet string)
}

// Cluster watches one namespace and writes scales in it. It is safe for
// concurrent use.
type Cluster struct {
	namespace   string
	client      kubernetes.Interface
	logger      zerolog.Logger
	policies    cache.SharedIndexInformer
	plans       cache.SharedIndexInformer
	planName    string
	pods        cache.SharedIndexInformer
	podsSeen    func() bool // the first list of the pods has been told whole
	rosters     rosters
	deployments cache.SharedIndexInformer
	autoscalers cache.SharedIndexInformer
	// scaledObjects are names by the Deployment that they scale; nil: none were seen.
	scaledObjects atomic.Pointer[map[string][]string]
	looked        atomic.Bool // who else scales is known, as far as it can be
	dynamic       dynamic.Interface
	events        chan *corev1.Event
	reporter      string
	synced        atomic.Bool
}

// New prepares the watches, without speaking to the API server. Reporter is the
// name of this replica in Events, plans the ConfigMap of the planned events.
func New(access Access, reporter, plans string, logger zerolog.Logger, h Handlers) (*Cluster, error) {
	client, err := kubernetes.NewForConfig(access.config)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	c := &Cluster{namespace: access.Namespace, client: client, logger: logger, reporter: reporter, planName: plans, events: make(chan *corev1.Event, eventQueue)}
	watch := func(selector string) informers.SharedInformerFactory {
		return informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(access.Namespace), informers.WithTransform(slim),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = selector }))
	}
	c.policies = watch(PolicyLabel + "=true").Core().V1().ConfigMaps().Informer()
	c.pods = watch(FleetLabel).Core().V1().Pods().Informer()
	c.plans = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(access.Namespace), informers.WithTransform(slim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "metadata.name=" + plans })).Core().V1().ConfigMaps().Informer()
	if c.dynamic, err = dynamic.NewForConfig(access.config); err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	c.autoscalers = watch("").Autoscaling().V2().HorizontalPodAutoscalers().Informer()
	if err := c.autoscalers.AddIndexers(cache.Indexers{byTarget: autoscalerTargets}); err != nil {
		return nil, fmt.Errorf("index autoscalers: %w", err)
	}
	c.deployments = watch("").Apps().V1().Deployments().Informer()
	if err := c.pods.AddIndexers(cache.Indexers{byFleet: podFleets}); err != nil {
		return nil, fmt.Errorf("index pods: %w", err)
	}
	return c, c.handle(h)
}

func (c *Cluster) handle(h Handlers) error {
	_, policies := c.policies.AddEventHandler(on(func(old, new *corev1.ConfigMap) {
		switch {
		case new == nil:
			h.PolicyDeleted(old.Name)
		case old == nil || old.ResourceVersion != new.ResourceVersion:
			h.Policy(new.Name, new.ResourceVersion, new.Data)
		}
	}))
	_, plans := c.plans.AddEventHandler(on(planHandler(h.Plans, func() {
		c.logger.Warn().Str("configmap", c.planName).Msg("the ConfigMap of the plans is gone, the plans stay until a restart")
	})))
	_, autoscalers := c.autoscalers.AddEventHandler(on(autoscalerHandler(h.Deployment)))
	_, deployments := c.deployments.AddEventHandler(on(deploymentHandler(h.Deployment, h.Edited)))
	seen, pods := c.pods.AddEventHandler(on(func(old, new *corev1.Pod) {
		c.rosters.changed() // before anybody is told, who would ask
		if new == nil || (old != nil && old.DeletionTimestamp == nil && new.DeletionTimestamp != nil) {
			h.PodGone(old.Labels[FleetLabel])
		}
	}))
	if pods == nil {
		// Not that of the watch: it is whole before those who keep what it told are.
		c.podsSeen = seen.HasSynced
	}
	return errors.Join(policies, plans, autoscalers, deployments, pods)
}

// on makes one function of the three handlers of an informer: without an old
// object it is new, without a new one it is gone.
func on[T any](change func(old, new *T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { change(nil, o.(*T)) },
		UpdateFunc: func(o, n any) { change(o.(*T), n.(*T)) },
		DeleteFunc: func(o any) {
			if lost, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = lost.Obj // the deletion was missed; this is the last that was seen
			}
			if old, ok := o.(*T); ok {
				change(old, nil)
			}
		},
	}
}

// slim drops what nobody here reads, before it is kept: a pod's specification is
// most of the memory of two thousand pods.
func slim(o any) (any, error) {
	if pod, ok := o.(*corev1.Pod); ok {
		pod.Spec, pod.ManagedFields, pod.Annotations = corev1.PodSpec{}, nil, nil
		pod.Status = corev1.PodStatus{Phase: pod.Status.Phase, Conditions: pod.Status.Conditions}
		return pod, nil
	}
	if d, ok := o.(*appsv1.Deployment); ok {
		d.ManagedFields = ownsReplicas(d.ManagedFields)
		d.Annotations = maps.Clone(d.Annotations)
		maps.DeleteFunc(d.Annotations, func(k, _ string) bool { return !strings.HasPrefix(k, policy.AnnotationPrefix) })
		return d, nil
	}
	if object, ok := o.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	return o, nil
}

// Run watches and sends Events until the context ends. While the API server is
// away it tries again for ever.
func (c *Cluster) Run(ctx context.Context) error {
	watches := []cache.SharedIndexInformer{c.policies, c.plans, c.pods, c.deployments, c.autoscalers}
	done := make(chan struct{}, len(watches)+2)
	for _, w := range watches {
		go func() {
			defer func() { done <- struct{}{} }()
			w.RunWithContext(ctx)
		}()
	}
	for _, run := range []func(context.Context){c.sendEvents, c.look} {
		go func() {
			defer func() { done <- struct{}{} }()
			run(ctx)
		}()
	}
	if cache.WaitForCacheSync(ctx.Done(), c.policies.HasSynced, c.plans.HasSynced, c.podsSeen, c.deployments.HasSynced) {
		c.synced.Store(true)
		c.logger.Info().Str("namespace", c.namespace).Int("policies", len(c.policies.GetStore().ListKeys())).
			Int("pods", len(c.pods.GetStore().ListKeys())).Msg("watching")
	}
	for range cap(done) {
		<-done
	}
	return ctx.Err()
}

// Ready is nil once everything was seen for the first time.
func (c *Cluster) Ready() error {
	if !c.synced.Load() {
		return errNotSynced
	}
	return nil
}

// errNotSynced is what is said of everything before the watches have shown it once.
var errNotSynced error = unanswered{}

type unanswered struct{}

func (unanswered) Error() string    { return "the API server has not answered yet" }
func (unanswered) Unanswered() bool { return true }
