package edge

import (
	"os"
	"testing"

	"github.com/surgewall/surgewall/internal/testleak"
)

func TestMain(m *testing.M) { os.Exit(testleak.Main(m)) }
