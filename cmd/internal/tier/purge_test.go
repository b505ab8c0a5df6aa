package tier

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestPurgesNeedAFileWithAToken(t *testing.T) {
	if err := Purge(nil, filepath.Join(t.TempDir(), "none"), nil, zerolog.Nop()); err == nil || !strings.HasPrefix(err.Error(), "--purge-token-file: ") {
		t.Errorf("a file that does not exist: %v", err)
	}
	if err := Purge(nil, "", nil, zerolog.Nop()); err != nil {
		t.Errorf("no file at all: %v", err)
	}
}
