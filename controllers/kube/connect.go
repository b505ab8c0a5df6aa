// Package kube is the controller's view of a Kubernetes namespace, and the only
// package that imports client-go: policies, pods and Deployments by watch, the
// scale subresource by read and conditional write, one Lease, and Events.
//
// What it may do is a namespaced Role; kubetest/role.yaml holds exactly these
// rules, and the tests run under it:
//
//	configmaps                     list watch
//	configmaps                     get update      of the one with the plans
//	pods                           list watch
//	deployments.apps               list watch
//	deployments.apps/scale         get update      of the listed targets
//	horizontalpodautoscalers       list watch
//	horizontalpodautoscalers       get update      where a fleet is in mode floor
//	scaledobjects.keda.sh          list
//	leases.coordination.k8s.io     create
//	leases.coordination.k8s.io     get update      of the one Lease
//	events                         create
package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The client's own limits. client-go's default of 5 queries a second would queue
// the writes of many fleets behind each other just when all of them spike.
const (
	qps   = 50
	burst = 100
)

// serviceAccountNamespace is where Kubernetes tells a pod its namespace.
const serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// ErrNoCluster says that there is neither a kubeconfig nor a cluster around us.
var ErrNoCluster = errors.New("not inside a cluster and no kubeconfig given")

// Access is how the API server is reached, and the namespace to work in.
type Access struct {
	Namespace string
	config    *rest.Config
}

// Connect prepares access to the API server, without speaking to it. An empty
// kubeconfig is the service account of the pod; an empty namespace is the pod's,
// or the one of the kubeconfig's context.
func Connect(kubeconfig, namespace, userAgent string, logger zerolog.Logger) (Access, error) {
	config, found, err := load(kubeconfig)
	if err != nil {
		return Access{}, err
	}
	if namespace == "" {
		namespace = found
	}
	config.QPS, config.Burst, config.UserAgent = qps, burst, userAgent
	config.WarningHandlerWithContext = &warnings{logger: logger}
	return Access{Namespace: namespace, config: config}, nil
}

func load(kubeconfig string) (*rest.Config, string, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, "", ErrNoCluster
		}
		if err != nil {
			return nil, "", fmt.Errorf("read the service account: %w", err)
		}
		namespace, err := os.ReadFile(serviceAccountNamespace)
		if err != nil {
			return nil, "", fmt.Errorf("read the namespace of the pod: %w", err)
		}
		return config, strings.TrimSpace(string(namespace)), nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("read the kubeconfig %s: %w", kubeconfig, err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("read the namespace of the kubeconfig %s: %w", kubeconfig, err)
	}
	return config, namespace, nil
}

// warnings logs what the API server warns of, each text once.
type warnings struct {
	logger zerolog.Logger
	mu     sync.Mutex
	seen   map[string]bool // guarded by mu
}

// maxWarnings bounds the texts that are remembered.
const maxWarnings = 100

// HandleWarningHeaderWithContext takes one warning; code 299 is Kubernetes'.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	known := w.seen[text] || len(w.seen) >= maxWarnings
	if !known {
		if w.seen == nil {
			w.seen = map[string]bool{}
		}
		w.seen[text] = true
	}
	w.mu.Unlock()
	if !known {
		w.logger.Warn().Str("warning", text).Msg("the API server warns")
	}
}
