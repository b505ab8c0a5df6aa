package config

import (
	"errors"
	"net/url"

	"github.com/spf13/pflag"
)

// Process holds the settings that every binary has.
type Process struct {
	AdminListen string // address of health, readiness and metrics; default 127.0.0.1:9090
	LogLevel    string // debug, info, warn or error; default info
	LogFormat   string // json or console; default json
	PprofListen string // address of the profiler, empty for none; default empty

	OTLPEndpoint string // URL of a collector of spans; empty: what OTEL_EXPORTER_OTLP_ENDPOINT says, none without it
}

// NewProcess returns the defaults.
func NewProcess() Process {
	return Process{AdminListen: "127.0.0.1:9090", LogLevel: "info", LogFormat: "json"}
}

// Bind declares the settings as flags.
func (p *Process) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&p.AdminListen, "admin-listen", p.AdminListen, "`address` of /livez, /readyz and /metrics; where the default is taken, a free port is")
	fs.StringVar(&p.LogLevel, "log-level", p.LogLevel, "least `level` to log: debug, info, warn or error")
	fs.StringVar(&p.LogFormat, "log-format", p.LogFormat, "`format` of the log on standard error: json or console")
	fs.StringVar(&p.PprofListen, "pprof-listen", p.PprofListen, "`address` of the profiler, such as 127.0.0.1:6060; none when empty")
	fs.StringVar(&p.OTLPEndpoint, "otlp-endpoint", p.OTLPEndpoint,
		"`URL` of an OpenTelemetry collector that takes spans by OTLP over HTTP, without /v1/traces; OTEL_EXPORTER_OTLP_ENDPOINT when empty, none without either")
}

// Validate reports every setting that is not allowed.
func (p *Process) Validate() error {
	var pprof error
	if p.PprofListen != "" {
		pprof = listenAddress("pprof-listen", p.PprofListen)
	}
	var otlp error
	if u, err := url.Parse(p.OTLPEndpoint); p.OTLPEndpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "") {
		otlp = &Error{"otlp-endpoint", Masked(p.OTLPEndpoint), "the URL of a collector, such as http://collector:4318, without user and query"}
	}
	return errors.Join(
		otlp,
		listenAddress("admin-listen", p.AdminListen),
		oneOf("log-level", p.LogLevel, "debug", "info", "warn", "error"),
		oneOf("log-format", p.LogFormat, "json", "console"),
		pprof,
	)
}
