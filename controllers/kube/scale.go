package kube

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/surgewall/surgewall/controllers/autoscale"
)

// fieldManager is who the API server knows as the author of our writes.
const fieldManager = "surgewall-controller"

// Error is an answer of the API server that somebody branches on.
type Error struct {
	err error
}

// Error is the answer as client-go words it.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the answer.
func (e *Error) Unwrap() error { return e.err }

// NotFound reports whether the object does not exist.
func (e *Error) NotFound() bool { return apierrors.IsNotFound(e.err) }

// Conflict reports whether the object changed since its version was read.
func (e *Error) Conflict() bool { return apierrors.IsConflict(e.err) }

// Deployment is what the watches have shown last. It does not wait for the
// network. It is an error until the pods were seen too: a decision without them
// takes the edges that were heard first for all that there are.
func (c *Cluster) Deployment(name string) (autoscale.Target, error) {
	if !c.deployments.HasSynced() || !c.podsSeen() || !c.looked.Load() {
		return autoscale.Target{}, errNotSynced
	}
	object, ok, err := c.deployments.GetStore().GetByKey(c.namespace + "/" + name)
	if err != nil {
		return autoscale.Target{}, fmt.Errorf("look up the Deployment %s: %w", name, err)
	}
	if !ok {
		return autoscale.Target{}, &Error{apierrors.NewNotFound(appsv1.Resource("deployments"), name)}
	}
	d := object.(*appsv1.Deployment)
	return autoscale.Target{
		Spec: replicas(d), Ready: int(d.Status.ReadyReplicas), Annotations: d.Annotations, Rollout: rollsOut(d), Autoscalers: c.autoscalersOf(name),
	}, nil
}

// rollsOut reports whether pods of an older template are being replaced. One that
// somebody has paused, or that has not come on for the time that the Deployment
// gives it, may stay as it is for days.
func rollsOut(d *appsv1.Deployment) bool {
	stuck := slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse
	})
	return d.Status.Replicas > d.Status.UpdatedReplicas && !d.Spec.Paused && !stuck
}

// replicas of a Deployment that does not say are one.
func replicas(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

// Scale reads the replicas of a Deployment from the API server, and the version
// that SetScale must name.
func (c *Cluster) Scale(ctx context.Context, name string) (int, string, error) {
	scale, err := c.client.AppsV1().Deployments(c.namespace).GetScale(ctx, name, metav1.GetOptions{})
	if err != nil {
		return 0, "", &Error{err}
	}
	return int(scale.Spec.Replicas), scale.ResourceVersion, nil
}

// SetScale asks for replicas if the Deployment still has this version; a
// Conflict otherwise. It sends one request: whoever gets a conflict decides anew.
func (c *Cluster) SetScale(ctx context.Context, name, version string, replicas int) error {
	scale := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace, ResourceVersion: version},
		Spec:       autoscalingv1.ScaleSpec{Replicas: int32(replicas)}, //nolint:gosec // bounded by max-replicas
	}
	_, err := c.client.AppsV1().Deployments(c.namespace).UpdateScale(ctx, name, scale, metav1.UpdateOptions{FieldManager: fieldManager})
	if err != nil {
		return &Error{err}
	}
	c.logger.Debug().Str("deployment", name).Str("replicas", strconv.Itoa(replicas)).Str("from_version", version).Msg("scale written")
	return nil
}

func deploymentHandler(changed func(string), edited func(name, by string)) func(old, new *appsv1.Deployment) {
	return func(old, new *appsv1.Deployment) {
		switch {
		case new == nil:
			changed(old.Name)
		case old == nil || !maps.Equal(old.Annotations, new.Annotations):
			changed(new.Name)
		case replicas(old) != replicas(new):
			if by := author(new); by != fieldManager {
				edited(new.Name, by)
			}
			changed(new.Name)
		}
	}
}

// author is who asked for the replicas of a Deployment last, of what slim has
// left of its managed fields.
func author(d *appsv1.Deployment) string {
	by, at := "an unknown writer", time.Time{}
	for _, m := range d.ManagedFields {
		switch {
		case m.Time == nil: // the API server gives writes of the scale no time, and their author is the only owner
			return m.Manager
		case !m.Time.Time.Before(at):
			by, at = m.Manager, m.Time.Time
		}
	}
	return by
}

// ownsReplicas keeps who asked for the replicas, without the list of fields.
func ownsReplicas(all []metav1.ManagedFieldsEntry) (owners []metav1.ManagedFieldsEntry) {
	for _, m := range all {
		if m.FieldsV1 == nil {
			owners = append(owners, m) // an informer may pass one object twice
			continue
		}
		if bytes.Contains(m.FieldsV1.GetRawBytes(), []byte(`"f:replicas"`)) && m.Subresource != "status" {
			m.FieldsV1 = nil
			owners = append(owners, m)
		}
	}
	return owners
}
