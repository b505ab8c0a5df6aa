package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Plans reads the ConfigMap of the planned events from the API server: a text
// for each fleet, and the version that SetPlans must name.
func (c *Cluster) Plans(ctx context.Context) (texts map[string]string, version string, err error) {
	object, err := c.client.CoreV1().ConfigMaps(c.namespace).Get(ctx, c.planName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", &Error{fmt.Errorf("the ConfigMap %s has to exist, an empty one will do: %w", c.planName, err)}
	}
	if err != nil {
		return nil, "", &Error{err}
	}
	return object.Data, object.ResourceVersion, nil
}

// SetPlans replaces the texts if the ConfigMap still has this version; a Conflict
// otherwise. Labels and annotations stay.
func (c *Cluster) SetPlans(ctx context.Context, version string, texts map[string]string) error {
	configMaps := c.client.CoreV1().ConfigMaps(c.namespace)
	object, err := configMaps.Get(ctx, c.planName, metav1.GetOptions{})
	if err != nil {
		return &Error{err}
	}
	object.ResourceVersion, object.Data = version, texts
	if _, err = configMaps.Update(ctx, object, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return &Error{err}
	}
	return nil
}

func planHandler(changed func(map[string]string), gone func()) func(old, new *corev1.ConfigMap) {
	return func(_, new *corev1.ConfigMap) {
		if new == nil {
			gone()
			return
		}
		changed(new.Data)
	}
}
