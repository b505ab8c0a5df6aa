// Command controller keeps each fleet of edges at the size that its policy and its load ask for: it hears the edges through a message
// broker, decides, and writes the scale of their Deployments.
package main

import (
	"os"

	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
)

func main() { os.Exit(program().Main()) }

func program() boot.Program {
	settings := config.NewController()
	return boot.Program{
		Name:  "controller",
		Short: "Controller of Surgewall: scales fleets of edges with their load.",
		Long: `Controller of Surgewall: scales fleets of edges with their load.

Each ConfigMap with the label surgewall.io/policy=true is the policy of the fleet
that it is named after. Once a second, and at once when a load jumps or a policy is
edited, the controller decides how many edges each fleet needs. One replica, the
leader, writes that to the Deployment; every replica is warm and answers on the
HTTP API what was decided, and why.

Each setting is a flag, a variable SURGEWALL_… and a key of the file given with
--config; a flag beats a variable, a variable beats the file.`,
		Example: `  # Outside of the cluster, in the namespace of the kubeconfig's context.
  controller --kubeconfig ~/.kube/config --amqp-url amqp://controller:secret@127.0.0.1:5672/surgewall

  # In Kubernetes, with the pod's service account.
  controller --listen :8082 --amqp-host surgewall-rabbitmq --amqp-username controller \
    --amqp-password-file /etc/surgewall/amqp/password

  # What would be in effect, and where each setting comes from.
  controller --config controller.yaml --check`,
		Settings: settings,
		Process:  &settings.Process,
		Module:   func() fx.Option { return module(settings) },
	}
}
