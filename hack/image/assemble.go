package main

import (
	"fmt"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// assemble makes the image of one layer. Without OS and architecture containerd finds no match for its platform and refuses the image.
func assemble(o options, t target, layer v1.Layer) (v1.Image, error) {
	created := v1.Time{Time: o.epoch.time()}
	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: created, CreatedBy: "hack/image " + t.name},
	})
	if err != nil {
		return nil, fmt.Errorf("append the layer: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", o.arch, created
	file.Config = t.config
	file.Config.Labels = map[string]string{
		"org.opencontainers.image.title":       t.name,
		"org.opencontainers.image.description": t.description,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.source":      "https://github.com/surgewall/surgewall",
		"org.opencontainers.image.created":     created.UTC().Format(time.RFC3339),
	}
	if !t.foreign {
		file.Config.Labels["org.opencontainers.image.version"] = o.version
	}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return nil, fmt.Errorf("set the image's configuration: %w", err)
	}
	return image, nil
}

// write saves the image beside its place and moves it there, so that a reader never sees half of one. It returns a line about the result.
func write(image v1.Image, title, tag, path string) (string, error) {
	ref, err := name.NewTag("surgewall/" + title + ":" + tag)
	if err != nil {
		return "", fmt.Errorf("--tag %q: %w", tag, err)
	}
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(temporary)
	if err := tarball.WriteToFile(temporary, ref, image); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", title, err)
	}
	return fmt.Sprintf("%s as %s, %.1f MB, %s", path, ref, float64(info.Size())/1e6, digest), nil
}
