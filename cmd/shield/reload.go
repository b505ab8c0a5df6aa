package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/telemetry"
	"github.com/surgewall/surgewall/shield"
)

// rereadPeriod is how often the file with the sites is looked at. A mounted ConfigMap is replaced by a symbolic link, which no watch on the
// file itself would notice.
const rereadPeriod = 2 * time.Second

// reloader keeps a shield's sites as the file says. Of Run alone.
type reloader struct {
	settings *config.Shield
	shield   *shield.Shield
	logger   zerolog.Logger
	seen     []byte // of the file, at the last look
	last     []byte // taken or refused

	taken, refused atomic.Uint64
}

// reload watches the file with the sites, if they are from one.
func reload(settings *config.Shield, s *shield.Shield, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) {
	if settings.SitesFile() == "" {
		return
	}
	r := &reloader{settings: settings, shield: s, logger: logger.With().Str("file", settings.SitesFile()).Logger()}
	registry.Register(telemetry.Func{
		Name: "surgewall_sites_reloads_total", Help: "Changes of the file with the sites that were taken, or refused and logged.",
		Kind: telemetry.Counter, Labels: []string{"outcome"},
		Read: func(report func(float64, ...string)) {
			report(float64(r.taken.Load()), "taken")
			report(float64(r.refused.Load()), "refused")
		},
	})
	runners.Go("sites", r.Run)
}

// Run looks at the file until the context ends, and returns nil.
func (r *reloader) Run(ctx context.Context) error {
	ticker := time.NewTicker(rereadPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.look()
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes the sites of a file that has changed. A file that is not right in every part is refused whole, with one line of the log, and the
// sites stay as they are.
func (r *reloader) look() {
	data, err := os.ReadFile(r.settings.SitesFile())
	if err != nil {
		data = []byte("unreadable: " + err.Error()) // so that it is said once
	}
	// A file that is just being written may be right as far as it goes: it counts once it has stayed the same.
	stays := bytes.Equal(data, r.seen)
	r.seen = data
	if !stays || bytes.Equal(data, r.last) {
		return
	}
	r.last = data
	changed := 0
	if err == nil {
		changed, err = r.take(data)
	}
	switch {
	case err != nil:
		r.refused.Add(1)
		r.logger.Error().Err(err).Msg("sites refused, they stay as they were")
	case changed > 0:
		r.taken.Add(1)
		r.logger.Info().Int("changed", changed).Int("sites", len(r.shield.Sites())).Msg("sites taken")
	}
}

func (r *reloader) take(data []byte) (changed int, err error) {
	declared, err := r.settings.Reread(data)
	if err != nil {
		return 0, fmt.Errorf("read the sites: %w", err)
	}
	options, err := siteOptions(declared)
	if err != nil {
		return 0, err
	}
	return r.shield.Reload(options)
}
