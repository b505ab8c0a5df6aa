package kube

import "k8s.io/client-go/rest"

// ConfigOf is what an Access hides.
func ConfigOf(a Access) *rest.Config { return a.config }
