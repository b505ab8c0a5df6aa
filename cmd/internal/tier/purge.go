package tier

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/cmd/internal/guard"
	"github.com/surgewall/surgewall/internal/httpcache"
)

// Purge adds POST /purge for whoever has the token in the file, which is read at each call. Without a file nothing is added; a file without
// a token is an error.
func Purge(routes *boot.Routes, file string, purge func(httpcache.PurgeRequest) (httpcache.Purged, error), logger zerolog.Logger) error {
	if file == "" {
		return nil
	}
	if _, err := guard.ReadToken(file); err != nil {
		return fmt.Errorf("--purge-token-file: %w", err)
	}
	routes.Handle("POST /purge", guard.New(file, "purge", httpcache.PurgeHandler(purge, logger), logger))
	return nil
}
