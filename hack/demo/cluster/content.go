package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/surgewall/surgewall/hack/demo/object"
)

// ContentToken is the token that the chart made for content updates.
func (c *Cluster) ContentToken(ctx context.Context) (string, error) {
	secret, err := c.Kube.CoreV1().Secrets(Namespace).Get(ctx, Release+"-content", metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("look for the token for content updates: %w", err)
	}
	return string(secret.Data["token"]), nil
}

// Ask sends requests for one object through the edges, each on a connection of its own so that each edge gets some, and returns the
// Cache-Status of the last answer.
func (c *Cluster) Ask(ctx context.Context, path string, times int) (status string, err error) {
	transport := &http.Transport{DisableKeepAlives: true}
	for range times {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, EdgeURL+path, nil)
		if err != nil {
			return "", err
		}
		r.Host = object.Host
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			return "", fmt.Errorf("GET %s: %w", path, err)
		}
		if resp.StatusCode != http.StatusOK {
			return "", fmt.Errorf("GET %s: %s", path, resp.Status)
		}
		status = resp.Header.Get("Cache-Status")
	}
	return status, nil
}

// BuildSurgectl builds the command line for operators, where make build puts it too.
func BuildSurgectl(ctx context.Context, root string, out io.Writer) error {
	return run(ctx, root, append(os.Environ(), "CGO_ENABLED=0"), out, "go", "build", "-trimpath", "-o", filepath.Join("bin", "surgectl"), "./cmd/surgectl")
}

// Surgectl runs it against the controllers of this cluster, with the token in a file; what it prints goes to out as it comes.
func (c *Cluster) Surgectl(ctx context.Context, tokenFile string, out io.Writer, args ...string) error {
	env := append(slices.Clone(c.env), "SURGEWALL_TOKEN_FILE="+tokenFile) // whose controllers those are is in it
	return run(ctx, c.Root, env, out, filepath.Join(c.Root, "bin", "surgectl"), args...)
}
