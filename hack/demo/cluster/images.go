package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// images are the archives that hack/image makes.
var images = []string{"surgewall", "demo-origin", "rabbitmq"}

// Build makes the container images in dist/images.
func Build(ctx context.Context, root string, out io.Writer) error {
	return run(ctx, root, os.Environ(), out, "hack/image/build", "--out", filepath.Join(root, "dist", "images"), "all")
}

// Digests are the images' contents by name: an image keeps its tag when it changes, so pods are told by these.
type Digests map[string]string

// Load takes the images that this cluster does not have yet to its nodes. What it has is noted beside the other caches: asking the nodes
// takes longer than loading does.
func (c *Cluster) Load(ctx context.Context) (Digests, error) {
	system, err := c.Kube.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at the cluster: %w", err)
	}
	cache, err := c.cacheDir()
	if err != nil {
		return nil, err
	}
	notes := filepath.Join(cache, "loaded", string(system.UID))
	if err := os.MkdirAll(notes, 0o755); err != nil {
		return nil, err
	}
	digests := Digests{}
	for _, name := range images {
		archive := filepath.Join(c.Root, "dist", "images", name+".tar")
		sum, err := hashFile(archive)
		if err != nil {
			return nil, err
		}
		digests[name] = sum[:16]
		note := filepath.Join(notes, name)
		if known, err := os.ReadFile(note); err == nil && string(known) == sum {
			continue
		}
		if err := run(ctx, c.Root, c.env, c.Out, "hack/kind/load", archive); err != nil {
			return nil, err
		}
		if err := os.WriteFile(note, []byte(sum), 0o644); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

// cacheDir is where the scripts under hack keep what takes long to make.
func (c *Cluster) cacheDir() (string, error) {
	if dir := os.Getenv("SURGEWALL_CACHE"); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Root, dir) // where the scripts are started
		}
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "surgewall"), err
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
