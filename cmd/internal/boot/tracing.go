package boot

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/fx"

	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// lastSpans is how long a stop waits for a collector.
const lastSpans = 2 * time.Second

// newTracing returns what sends spans, nil unless the settings or the standard's environment name a collector.
func newTracing(binary string, process config.Process, lifecycle fx.Lifecycle, logger zerolog.Logger) (*telemetry.Tracing, error) {
	if process.OTLPEndpoint == "" && os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil
	}
	host, err := os.Hostname() // in a cluster the pod's name
	if err != nil {
		host = ""
	}
	tracing, err := telemetry.NewTracing(context.Background(), process.OTLPEndpoint, telemetry.Process{Binary: binary, Version: Version(), Instance: host}, func(err error) {
		logger.Warn().Err(err).Msg("spans were not taken")
	})
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	lifecycle.Append(fx.StopHook(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lastSpans)
		defer cancel()
		if err := tracing.Close(ctx); err != nil {
			logger.Warn().Err(err).Msg("the last spans were not taken")
		}
	}))
	return tracing, nil
}
