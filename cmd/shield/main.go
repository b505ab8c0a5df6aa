// Command shield is an HTTP cache in front of origin servers. It turns the misses of all edges for one object into one fetch, and
// has never more fetches at an origin than it was told.
package main

import (
	"os"

	"go.uber.org/fx"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
)

func main() { os.Exit(program().Main()) }

func program() boot.Program {
	settings := config.NewShield()
	return boot.Program{
		Name:  "shield",
		Short: "Shield of Surgewall: an HTTP cache in front of origin servers.",
		Long: `Shield of Surgewall: an HTTP cache in front of origin servers.

It answers from memory, turns the misses of many edges or clients for one object
into one fetch, and never has more fetches at an origin than --origin-concurrency.
With --origin it is a caching reverse proxy for every Host; with sites in the file
given by --config, for the Hosts of those. With a message broker it reports how the
origins look.

Each setting is a flag, a variable SURGEWALL_… and a key of the file given with
--config; a flag beats a variable, a variable beats the file.`,
		Example: `  # A caching reverse proxy in front of an origin server.
  shield --listen 127.0.0.1:8080 --origin http://127.0.0.1:8000

  # In front of an object store, which wants to see its own name.
  shield --origin https://bucket.example --origin-host-header origin --origin-concurrency 32

  # In front of the origins of several sites.
  shield --config sites.yaml

  # What would be in effect, and where each setting comes from.
  shield --config shield.yaml --check`,
		Settings: settings,
		Process:  &settings.Process,
		Module:   func() fx.Option { return module(settings) },
	}
}
