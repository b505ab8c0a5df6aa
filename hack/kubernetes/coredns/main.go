// Command coredns is CoreDNS with the plugins that kubeadm's Corefile names,
// and no others: half the size of the published program.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() {
	// The order in which the plugins see a query, as in the published program.
	dnsserver.Directives = []string{
		"reload", "ready", "health", "prometheus", "errors",
		"cache", "loadbalance", "loop", "kubernetes", "forward",
	}
	coremain.Run()
}
