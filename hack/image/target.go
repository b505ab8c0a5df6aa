package main

import (
	"context"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// nonroot is the user of our images; its number is far from any that a host gives out, and Kubernetes can check a number.
const nonroot = 65532

// A target is one image: what it is called and how its layer comes to be.
type target struct {
	name        string
	description string
	layer       func(context.Context, options) (v1.Layer, error)
	config      v1.Config
	foreign     bool // holds nothing of this repository's, so that its version does not name it
}

// binaries are the commands of the surgewall image, one image for all four: a cluster pulls one thing once.
var binaries = []string{"edge", "shield", "controller", "surgectl"}

var targets = []target{
	{
		name:        "surgewall",
		description: "Origin shield and traffic-spike autoscaler for a self-hosted CDN edge: edge, shield, controller, surgectl",
		layer:       func(ctx context.Context, o options) (v1.Layer, error) { return programs(ctx, o, commands(binaries)) },
		// No entrypoint: none of the four is more the image than the others. The chart and `docker run IMAGE /shield …` name one.
		config: v1.Config{User: fmt.Sprint(nonroot), Env: []string{"PATH=/"}, Cmd: []string{"/surgectl", "--help"}, WorkingDir: "/"},
	},
	{
		name:        "demo-origin",
		description: "An origin that counts fetches per object and can be made slow or failing, for demonstrations and tests",
		layer: func(ctx context.Context, o options) (v1.Layer, error) {
			return programs(ctx, o, []program{{"demo-origin", "./hack/demo/origin"}})
		},
		config: v1.Config{User: fmt.Sprint(nonroot), Env: []string{"PATH=/"}, Entrypoint: []string{"/demo-origin"}, WorkingDir: "/"},
	},
	{
		name:        "rabbitmq",
		description: "RabbitMQ from Debian's package, for where no registry can be reached",
		layer:       broker,
		foreign:     true,
		config: v1.Config{
			User: fmt.Sprintf("%d:%d", brokerUser, brokerUser),
			// Everything that the broker writes is below HOME, so that one volume there is enough for a read-only root.
			Env: []string{
				"PATH=/usr/local/sbin:/usr/local/bin:/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"LANG=C.UTF-8", "HOME=/var/lib/rabbitmq", "RABBITMQ_LOGS=-",
				"RABBITMQ_MNESIA_BASE=/var/lib/rabbitmq/mnesia", "RABBITMQ_NODENAME=rabbit@localhost",
			},
			Entrypoint:   []string{"/usr/local/bin/entrypoint"},
			Cmd:          []string{"rabbitmq-server"},
			ExposedPorts: map[string]struct{}{"5672/tcp": {}, "15672/tcp": {}, "15692/tcp": {}},
			WorkingDir:   "/var/lib/rabbitmq",
		},
	},
}

func names() []string {
	var list []string
	for _, t := range targets {
		list = append(list, t.name)
	}
	return list
}

func build(ctx context.Context, o options, t target) error {
	layer, err := t.layer(ctx, o)
	if err != nil {
		return err
	}
	return step("writing image "+t.name, func() (string, error) {
		image, err := assemble(o, t, layer)
		if err != nil {
			return "", err
		}
		return write(image, t.name, o.tag, filepath.Join(o.out, t.name+".tar"))
	})
}
