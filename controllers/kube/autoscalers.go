package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/surgewall/surgewall/controllers/autoscale"
)

// scaledObjects are KEDA's, where it is installed.
var scaledObjects = schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}

const (
	// lookEvery is how often ScaledObjects are listed: a watch on a kind that is
	// not installed would fail for ever.
	lookEvery = 30 * time.Second
	// lookFirst bounds how long a decision waits to know who else scales: a Role
	// without these rights must not keep the fleets from being scaled.
	lookFirst = 3 * time.Second
)

const byTarget = "target"

func autoscalerTargets(o any) ([]string, error) {
	if h, ok := o.(*autoscalingv2.HorizontalPodAutoscaler); ok && h.Spec.ScaleTargetRef.Kind == "Deployment" {
		return []string{h.Spec.ScaleTargetRef.Name}, nil
	}
	return nil, nil
}

// autoscalersOf lists who else scales a Deployment.
func (c *Cluster) autoscalersOf(deployment string) (found []autoscale.Autoscaler) {
	objects, err := c.autoscalers.GetIndexer().ByIndex(byTarget, deployment)
	if err != nil {
		return nil // the index is ours
	}
	for _, o := range objects {
		h := o.(*autoscalingv2.HorizontalPodAutoscaler)
		found = append(found, autoscale.Autoscaler{Kind: autoscale.HorizontalPodAutoscaler, Name: h.Name, Min: least(h), Max: int(h.Spec.MaxReplicas)})
	}
	if others := c.scaledObjects.Load(); others != nil {
		for _, name := range (*others)[deployment] {
			found = append(found, autoscale.Autoscaler{Kind: "ScaledObject", Name: name})
		}
	}
	slices.SortFunc(found, func(a, b autoscale.Autoscaler) int { return strings.Compare(a.Kind+a.Name, b.Kind+b.Name) })
	return found
}

// least of an autoscaler that does not say is one.
func least(h *autoscalingv2.HorizontalPodAutoscaler) int {
	if h.Spec.MinReplicas == nil {
		return 1
	}
	return int(*h.Spec.MinReplicas)
}

func autoscalerHandler(changed func(string)) func(old, new *autoscalingv2.HorizontalPodAutoscaler) {
	return func(old, new *autoscalingv2.HorizontalPodAutoscaler) {
		if old != nil && new != nil && old.Generation == new.Generation {
			return // only its status
		}
		for _, h := range []*autoscalingv2.HorizontalPodAutoscaler{old, new} {
			if h != nil && h.Spec.ScaleTargetRef.Kind == "Deployment" {
				changed(h.Spec.ScaleTargetRef.Name)
			}
		}
	}
}

// look lists ScaledObjects until the context ends.
func (c *Cluster) look(ctx context.Context) {
	first, cancel := context.WithTimeout(ctx, lookFirst)
	c.listScaledObjects(first)
	cache.WaitForCacheSync(first.Done(), c.autoscalers.HasSynced)
	cancel()
	c.looked.Store(true)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.listScaledObjects(ctx)
		}
	}
}

func (c *Cluster) listScaledObjects(ctx context.Context) {
	list, err := c.dynamic.Resource(scaledObjects).Namespace(c.namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		list = &unstructured.UnstructuredList{} // KEDA is not installed, or not any more
	} else if err != nil {
		if ctx.Err() == nil {
			c.logger.Debug().Err(err).Msg("could not list ScaledObjects")
		}
		return
	}
	found := map[string][]string{}
	for _, o := range list.Items {
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name")
		if kind == "" || kind == "Deployment" { // KEDA's default
			found[name] = append(found[name], o.GetName())
		}
	}
	c.scaledObjects.Store(&found)
}

// Floor reads minReplicas of a HorizontalPodAutoscaler from the API server, and
// the version that SetFloor must name.
func (c *Cluster) Floor(ctx context.Context, name string) (int, string, error) {
	h, err := c.client.AutoscalingV2().HorizontalPodAutoscalers(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return 0, "", &Error{err}
	}
	return least(h), h.ResourceVersion, nil
}

// SetFloor sets minReplicas if the HorizontalPodAutoscaler still has this
// version; a Conflict otherwise. From Kubernetes 1.37 on it is followed at once,
// before at the next turn of the autoscaler.
func (c *Cluster) SetFloor(ctx context.Context, name, version string, replicas int) error {
	all := c.client.AutoscalingV2().HorizontalPodAutoscalers(c.namespace)
	h, err := all.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return &Error{err}
	}
	if h.ResourceVersion != version {
		return &Error{apierrors.NewConflict(autoscalingv2.Resource("horizontalpodautoscalers"), name, fmt.Errorf("it has version %s, not %s", h.ResourceVersion, version))}
	}
	n := int32(replicas) //nolint:gosec // bounded by max-replicas
	h.Spec.MinReplicas = &n
	if _, err := all.Update(ctx, h, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return &Error{err}
	}
	c.logger.Debug().Str("autoscaler", name).Int("replicas", replicas).Str("from_version", version).Msg("minReplicas written")
	return nil
}
