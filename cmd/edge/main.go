// Command edge is an HTTP cache that clients talk to. It forwards what it lacks to shields, or to an origin server, and reports what it
// is asked for to a message broker, where there is one.
package main

import (
	"os"

	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
)

func main() { os.Exit(program().Main()) }

func program() boot.Program {
	settings := config.NewEdge()
	return boot.Program{
		Name:  "edge",
		Short: "Edge of Surgewall: an HTTP cache in front of shields or of an origin server.",
		Long: `Edge of Surgewall: an HTTP cache in front of shields or of an origin server.

It answers from memory, turns the misses of many clients for one object into one
request, and sends that to the shield that ranks first for the object. With a
message broker it reports once a second, and at once when its load jumps, what it
is asked for. Without one it is a plain caching reverse proxy for every Host.

Each setting is a flag, a variable SURGEWALL_… and a key of the file given with
--config; a flag beats a variable, a variable beats the file.`,
		Example: `  # In front of an origin server.
  edge --listen 127.0.0.1:8080 --origin http://127.0.0.1:8000

  # In front of two shields.
  edge --listen 127.0.0.1:8080 --shield http://127.0.0.1:8081 --shield http://127.0.0.1:8082

  # In Kubernetes, in front of the shields behind a headless Service, with events.
  edge --listen :8080 --shield-dns surgewall-shield:8081 --fleet edge \
    --amqp-host surgewall-rabbitmq --amqp-username edge --amqp-password-file /etc/surgewall/amqp/password

  # What would be in effect, and where each setting comes from.
  edge --config edge.yaml --check`,
		Settings: settings,
		Process:  &settings.Process,
		Module:   func() fx.Option { return module(settings) },
	}
}
