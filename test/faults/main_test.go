package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/surgewall/surgewall/controllers/kube/kubetest"
	"github.com/surgewall/surgewall/internal/testrabbit"
)

// shared is what all rows use one after the other.
var shared struct {
	api    kubetest.Shared
	broker testrabbit.Shared
	build  sync.Once
	bin    string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	shared.broker.Stop()
	shared.api.Stop()
	if shared.bin != "" {
		_ = os.RemoveAll(shared.bin)
	}
	report(os.Stdout)
	os.Exit(code)
}

// program builds the product's programs once, and returns the path of one.
func program(t testing.TB, name string) string {
	t.Helper()
	shared.build.Do(func() {
		if shared.bin, shared.err = os.MkdirTemp("", "surgewall-faults-"); shared.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", shared.bin, "./cmd/edge", "./cmd/shield", "./cmd/controller") //nolint:gosec // our own programs
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			shared.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return filepath.Join(shared.bin, name)
}
