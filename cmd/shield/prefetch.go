package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/cmd/internal/tier"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/discovery"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/rendezvous"
	"github.com/surgewall/surgewall/internal/telemetry"
)

const (
	// prefetchParallel is how many URLs one shield fetches at once: clients come first.
	prefetchParallel = 4
	prefetchTimeout  = time.Minute
	// prefetchPause is the wait before a failed piece of work goes round again, times the number of its tries.
	prefetchPause = time.Second
)

// prefetcher has URLs fetched by the shield that ranks first for them.
type prefetcher struct {
	members func() []string
	client  *http.Client
	pause   time.Duration
	logger  zerolog.Logger
}

// newPrefetcher returns a worker on the queue that all shields share, nil without a broker. It knows the others by --peer-dns, as edges do; without,
// it fetches by itself.
func newPrefetcher(settings *config.Shield, server *boot.Server, keys *tier.Keys, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*rabbitmq.Worker, error) {
	if !settings.AMQP.Configured() {
		return nil, nil
	}
	pod := tier.Pod(settings.Pod)
	transport := &http.Transport{MaxIdleConnsPerHost: prefetchParallel, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	p := &prefetcher{
		pause: prefetchPause, logger: logger, members: func() []string {
			if at := server.Addr(); at != nil {
				return []string{reach(at)}
			}
			return nil
		},
		client: &http.Client{
			Timeout: prefetchTimeout, Transport: tier.Signed(keys.Signer(settings.Fleet, pod), transport),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if settings.PeerDNS != "" {
		host, port, err := net.SplitHostPort(settings.PeerDNS)
		if err != nil {
			return nil, fmt.Errorf("--peer-dns: %w", err)
		}
		dns := discovery.NewDNS(discovery.Options{Host: host, Port: port, Logger: logger})
		runners.Go("peer discovery", dns.Run)
		p.members = dns.Addresses
	}
	worker, err := rabbitmq.NewWorker(boot.Broker(settings.AMQP, "shield "+pod+" prefetches", logger), events.QueuePrefetch, prefetchParallel, p.work)
	if err != nil {
		return nil, fmt.Errorf("make the prefetch worker: %w", err)
	}
	runners.Go("prefetch", func(ctx context.Context) error {
		defer transport.CloseIdleConnections()
		return worker.Run(ctx)
	})
	registry.Register(telemetry.Func{
		Name: "surgewall_prefetches_total", Help: "Prefetches that this shield took from the queue, by verdict; failed ones are tried again.", Kind: telemetry.Counter, Labels: []string{"verdict"},
		Read: func(report func(float64, ...string)) {
			for verdict, name := range []string{"done", "failed", "hopeless", "left"} {
				report(float64(worker.Verdicts(rabbitmq.Verdict(verdict))), name)
			}
		},
	})
	return worker, nil
}

// reach is where a server that listens at an address is reached from its own machine.
func reach(at *net.TCPAddr) string {
	if len(at.IP) == 0 || at.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(at.Port))
	}
	return at.String()
}

// work fetches what a message names.
func (p *prefetcher) work(ctx context.Context, m events.Message) rabbitmq.Verdict {
	event, err := events.Decode(m)
	body, ok := event.Body.(*events.Content)
	if err != nil || !ok || body.Action != events.ContentPrefetch {
		p.logger.Warn().Err(err).Str("id", m.MessageID).Msg("prefetch refused")
		return rabbitmq.WorkHopeless
	}
	for _, text := range body.Values {
		code, err := p.fetch(ctx, text)
		verdict := judge(code, err)
		if verdict == rabbitmq.WorkDone {
			continue
		}
		p.logger.Warn().Err(err).Str("id", event.ID).Str("url", text).Int("status", code).Bool("hopeless", verdict == rabbitmq.WorkHopeless).Msg("prefetch failed")
		if verdict == rabbitmq.WorkFailed {
			tries, _ := strconv.Atoi(m.Headers["x-delivery-count"])
			select {
			case <-ctx.Done():
			case <-time.After(p.pause * time.Duration(min(tries, 10)+1)):
			}
		}
		return verdict
	}
	return rabbitmq.WorkDone
}

// fetch asks the member that ranks first, as an edge would, for the whole of a URL.
func (p *prefetcher) fetch(ctx context.Context, text string) (int, error) {
	u, err := url.Parse(text)
	if err != nil {
		return http.StatusBadRequest, err
	}
	members := p.members()
	if len(members) == 0 {
		return 0, errors.New("no shield is known")
	}
	host := u.Host
	first := rendezvous.Rank(strings.ToLower(host)+u.RequestURI(), rendezvous.Equal(members...))[0].Name
	u.Scheme, u.Host = "http", first
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return http.StatusBadRequest, err
	}
	request.Host = host
	request.Header.Set("User-Agent", "surgewall-prefetch")
	response, err := p.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, fmt.Errorf("read the response: %w", err)
	}
	return response.StatusCode, nil
}

// judge says what an answer means for the work. What the client is to blame for will not be better the next time.
func judge(code int, err error) rabbitmq.Verdict {
	switch {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code == http.StatusTooEarly:
		return rabbitmq.WorkFailed
	case code >= 400 && code < 500:
		return rabbitmq.WorkHopeless
	case err != nil || code >= 500:
		return rabbitmq.WorkFailed
	}
	return rabbitmq.WorkDone
}
