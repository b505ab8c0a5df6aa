package tier

import (
	"os"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/internal/framing"
)

// TestEveryReasonToRefuseIsDocumented where the metric is.
func TestEveryReasonToRefuseIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/caching.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range framing.Reasons() {
		if !strings.Contains(string(text), "`"+reason.String()+"`") {
			t.Errorf("docs/caching.md lacks %s", reason)
		}
	}
}
