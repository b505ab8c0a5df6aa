package config

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
)

// EdgeKeys is how edges and shields know each other.
type EdgeKeys struct {
	EdgeAuthKeyFile string // one key per line: edges sign with the first, shields accept all; read again when it changes
}

// Bind declares the settings as flags.
func (k *EdgeKeys) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&k.EdgeAuthKeyFile, "edge-auth-key-file", k.EdgeAuthKeyFile,
		"`file` with the keys by which shields know the edges, one per line: edges sign with the first, shields accept all; read again when it changes")
}

// EdgeAuth is what a shield makes of it.
type EdgeAuth struct {
	EdgeKeys
	EdgeAuth     string        // off, prefer or require; default prefer
	EdgeAuthSkew time.Duration // default 2 min
}

func newEdgeAuth() EdgeAuth { return EdgeAuth{EdgeAuth: "prefer", EdgeAuthSkew: 2 * time.Minute} }

// Bind declares the settings as flags.
func (a *EdgeAuth) Bind(fs *pflag.FlagSet) {
	a.EdgeKeys.Bind(fs)
	fs.StringVar(&a.EdgeAuth, "edge-auth", a.EdgeAuth,
		"`policy` for requests that no edge signed: off knows no edges, prefer serves them as an ordinary client's, require refuses them")
	fs.DurationVar(&a.EdgeAuthSkew, "edge-auth-skew", a.EdgeAuthSkew, "most `time` by which the clock of an edge may differ, and for which a request can be repeated")
}

// Validate reports every setting that is not allowed.
func (a *EdgeAuth) Validate() error {
	errs := []error{
		oneOf("edge-auth", a.EdgeAuth, "off", "prefer", "require"),
		between("edge-auth-skew", a.EdgeAuthSkew, time.Second, time.Hour),
	}
	if a.EdgeAuth == "require" && a.EdgeAuthKeyFile == "" {
		errs = append(errs, &Error{"edge-auth", a.EdgeAuth, "a file of keys in edge-auth-key-file beside require: without one no request would be served"})
	}
	return errors.Join(errs...)
}
