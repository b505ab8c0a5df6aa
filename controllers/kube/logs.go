package kube

import (
	"github.com/go-logr/logr"
	"github.com/rs/zerolog"
	"k8s.io/klog/v2"
)

// RouteLogs sends what client-go logs to the logger. client-go logs through
// klog, which is one per process: call it once, in main. The bridge is zerolog's
// own slog handler, since the logr sink for zerolog changes zerolog's global
// level. Below info client-go tells each request and each watch event: that much
// nobody asks for with our own debug level.
func RouteLogs(logger zerolog.Logger) {
	if logger.GetLevel() < zerolog.InfoLevel {
		logger = logger.Level(zerolog.InfoLevel)
	}
	klog.SetLoggerWithOptions(logr.FromSlogHandler(zerolog.NewSlogHandler(logger)), klog.ContextualLogger(true))
}
