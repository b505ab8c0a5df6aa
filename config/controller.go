package config

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
)

// Controller is what a controller can be told. The thresholds are not among it: each fleet has them in a ConfigMap.
type Controller struct {
	Process
	AMQP

	Listen     string // address of the HTTP API; default 127.0.0.1:8082
	Kubeconfig string // file; default empty: the service account of the pod
	Namespace  string // of policies and fleets; default empty: the pod's, or the one of the kubeconfig's context
	LeaseName  string // of the Lease that makes one replica the leader; default surgewall-controller
	// PlanConfigMap keeps the planned events; default surgewall-plans. It has to exist for plans to be added.
	PlanConfigMap string
	APITokenFile  string // with the token of calls that write, read at each; default empty: nobody can
	Replica       string // name of this replica; default the host's name, which in Kubernetes is the pod's

	ContentTokenFile string // who may have content updated, read at each call; empty: nobody
}

// NewController returns the defaults.
func NewController() *Controller {
	return &Controller{Process: NewProcess(), AMQP: NewAMQP(), Listen: "127.0.0.1:8082", LeaseName: "surgewall-controller", PlanConfigMap: "surgewall-plans"}
}

// Bind declares the settings as flags.
func (c *Controller) Bind(fs *pflag.FlagSet) {
	c.Process.Bind(fs)
	c.AMQP.Bind(fs)
	fs.StringVar(&c.Listen, "listen", c.Listen, "`address` of the HTTP API: fleets, decisions and their reasons")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", c.Kubeconfig, "`file` with the access to the API server; the service account of the pod when empty")
	fs.StringVar(&c.Namespace, "namespace", c.Namespace, "`namespace` of the policies and fleets; the pod's or the kubeconfig's when empty")
	fs.StringVar(&c.LeaseName, "lease-name", c.LeaseName, "`name` of the Lease that makes one replica the leader")
	fs.StringVar(&c.PlanConfigMap, "plan-configmap", c.PlanConfigMap, "`name` of the ConfigMap that keeps the planned events; it has to exist for plans to be added")
	fs.StringVar(&c.APITokenFile, "api-token-file", c.APITokenFile, "`file` with the token that calls of the HTTP API which write have to send, read at each call; without it they are refused")
	fs.StringVar(&c.Replica, "replica", c.Replica, "`name` of this replica; the host's name when empty")
	fs.StringVar(&c.ContentTokenFile, "content-token-file", c.ContentTokenFile,
		"`file` with the hashes of the tokens that may purge and prefetch, and what each may; read at each call; without it nobody may")
}

// StopTimeout is how long the process may take to stop: running requests, the last tick, and giving the Lease back.
func (c *Controller) StopTimeout() time.Duration { return 10 * time.Second }

// Validate reports every setting that is not allowed.
func (c *Controller) Validate() error {
	errs := []error{c.Process.Validate(), c.AMQP.Validate(), listenAddress("listen", c.Listen), dnsLabel("lease-name", c.LeaseName, maxFleet), dnsLabel("plan-configmap", c.PlanConfigMap, maxFleet)}
	if c.Namespace != "" {
		errs = append(errs, dnsLabel("namespace", c.Namespace, maxFleet))
	}
	if c.Replica != "" {
		errs = append(errs, dnsLabel("replica", c.Replica, maxPod))
	}
	return errors.Join(errs...)
}
