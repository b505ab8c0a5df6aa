package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// eventQueue bounds the Events that wait for the API server. client-go's own
// recorder folds similar Events into one after ten, and an explanation of a
// scale write that was folded away explains nothing; there is at most one a
// second here.
const eventQueue = 256

// OnDeployment shows an Event on a Deployment. It does not block; when the API
// server is away for long, the newest Events are dropped.
func (c *Cluster) OnDeployment(name string, warning bool, reason, message string) {
	c.record("apps/v1", "Deployment", c.deployments, name, warning, reason, message)
}

// OnPolicy shows an Event on the policy ConfigMap of a fleet, as OnDeployment.
func (c *Cluster) OnPolicy(name string, warning bool, reason, message string) {
	c.record("v1", "ConfigMap", c.policies, name, warning, reason, message)
}

func (c *Cluster) record(apiVersion, kind string, from cache.SharedIndexInformer, name string, warning bool, reason, message string) {
	now := time.Now()
	object := corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Namespace: c.namespace, Name: name}
	if o, ok, err := from.GetStore().GetByKey(c.namespace + "/" + name); err == nil && ok {
		if meta, ok := o.(metav1.Object); ok {
			object.UID, object.ResourceVersion = meta.GetUID(), meta.GetResourceVersion() // kubectl describe looks for the UID
		}
	}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: c.namespace, Name: fmt.Sprintf("%s.%x", name, now.UnixNano())},
		InvolvedObject: object, Reason: reason, Message: message, Type: corev1.EventTypeNormal,
		Source:         corev1.EventSource{Component: "surgewall-controller"},
		FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now), Count: 1,
		ReportingController: "surgewall.io/controller", ReportingInstance: c.reporter,
	}
	if warning {
		event.Type = corev1.EventTypeWarning
	}
	const limit = 1024 // of the API server
	if len(event.Message) > limit {
		event.Message = event.Message[:limit]
	}
	select {
	case c.events <- event:
	default:
		c.logger.Warn().Str("object", kind+"/"+name).Str("event", reason).Msg("too many Events wait, dropped one")
	}
}

func (c *Cluster) sendEvents(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-c.events:
			call, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, err := c.client.CoreV1().Events(c.namespace).Create(call, event, metav1.CreateOptions{})
			cancel()
			if err != nil && ctx.Err() == nil {
				c.logger.Warn().Err(err).Str("event", event.Reason).Msg("could not show an Event")
			}
		}
	}
}
