package tier

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/edgeauth"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// keysEvery is how often the file of keys is read. It is small, and a mounted Secret takes a minute to change anyway.
const keysEvery = 5 * time.Second

// Keys are the keys of a file by which edges and shields know each other, as of its latest good content. It is safe for concurrent use; nil is
// no keys.
type Keys struct {
	file     string
	logger   zerolog.Logger
	keys     atomic.Pointer[edgeauth.Keys]
	text     []byte // that keys were read from; Run's own
	failures atomic.Uint64
}

// NewKeys returns the keys of a file, which is read again every few seconds, and nil without a file. A file without a key is an error; one
// that goes bad later leaves the keys before it in force.
func NewKeys(file string, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*Keys, error) {
	if file == "" {
		return nil, nil
	}
	k := &Keys{file: file, logger: logger}
	if err := k.read(); err != nil {
		return nil, fmt.Errorf("--edge-auth-key-file: %w", err)
	}
	registry.Register(telemetry.Func{Name: "surgewall_edge_auth_keys", Help: "Keys by which edges and shields know each other; more than one during a rotation.", Kind: telemetry.Gauge,
		Read: func(report func(float64, ...string)) { report(float64(k.keys.Load().Len())) }})
	registry.Register(telemetry.Func{Name: "surgewall_edge_auth_key_failures_total", Help: "Attempts to read the keys again that failed, so that the keys before stay in force.", Kind: telemetry.Counter,
		Read: func(report func(float64, ...string)) { report(float64(k.failures.Load())) }})
	runners.Go("edge keys", k.run)
	return k, nil
}

func (k *Keys) run(ctx context.Context) error {
	ticker := time.NewTicker(keysEvery)
	defer ticker.Stop()
	good := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before := k.keys.Load()
		err := k.read()
		switch {
		case err != nil:
			k.failures.Add(1)
			if good {
				k.logger.Warn().Err(err).Msg("keys of the edges cannot be read, those before stay in force")
			}
		case k.keys.Load() != before:
			k.logger.Info().Int("keys", k.keys.Load().Len()).Msg("keys of the edges changed")
		}
		good = err == nil
	}
}

// read takes the file's content, if it is another one. No error repeats any of it.
func (k *Keys) read() error {
	file, err := os.Open(k.file)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, edgeauth.MaxText+1))
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	if k.text != nil && bytes.Equal(text, k.text) {
		return nil
	}
	keys, err := edgeauth.ParseKeys(text)
	if err != nil {
		return fmt.Errorf("%s: %w", k.file, err)
	}
	k.keys.Store(keys)
	k.text = text
	return nil
}

// Signer returns what an edge signs its requests to shields with, nil without keys.
func (k *Keys) Signer(fleet, pod string) func(*http.Request) string {
	if k == nil {
		return nil
	}
	edge := events.Source(fleet, pod)
	return func(r *http.Request) string { return k.keys.Load().Sign(edgeauth.Outgoing(r), edge, time.Now()) }
}

// Signed returns a transport that signs what it sends as Signer's result does, where that is not nil.
func Signed(sign func(*http.Request) string, next http.RoundTripper) http.RoundTripper {
	if sign == nil {
		return next
	}
	return signed{sign, next}
}

type signed struct {
	sign func(*http.Request) string
	next http.RoundTripper
}

// RoundTrip leaves the request as it is and sends a signed copy.
func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(edgeauth.Field, s.sign(r))
	return s.next.RoundTrip(r)
}

// Authenticator returns what tells a shield which edge sent a request, nil without keys. Clocks may differ by skew.
func (k *Keys) Authenticator(skew time.Duration, registry *telemetry.Registry) func(*http.Request) (edge string, ok bool) {
	if k == nil {
		return nil
	}
	all := edgeauth.Verdicts()
	counts := make([]atomic.Uint64, len(all))
	registry.Register(telemetry.Func{
		Name: "surgewall_edge_auth_requests_total", Help: "Requests that arrived, by what they proved of being an edge's.", Kind: telemetry.Counter, Labels: []string{"outcome"},
		Read: func(report func(float64, ...string)) {
			for _, v := range all {
				report(float64(counts[v].Load()), v.String())
			}
		},
	})
	return func(r *http.Request) (string, bool) {
		edge, v := k.keys.Load().Verify(r.Header[edgeauth.Field], edgeauth.Incoming(r), time.Now(), skew)
		counts[v].Add(1)
		return edge, v == edgeauth.Authenticated
	}
}
