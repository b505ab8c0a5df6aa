package tier

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/events"
	"github.com/surgewall/surgewall/internal/content"
	"github.com/surgewall/surgewall/internal/httpcache"
	"github.com/surgewall/surgewall/internal/rabbitmq"
	"github.com/surgewall/surgewall/internal/telemetry"
)

// Purger is a tier that holds content.
type Purger interface {
	Purge(httpcache.PurgeRequest) (httpcache.Purged, error)
	Bypass(on bool)
}

// Content keeps the cache of this replica in step with content updates. Its replica is made before the tier, which serves by it, so the tier comes
// later, and before the start.
type Content struct {
	*content.Replica
	tier Purger
}

// ContentOptions say who follows.
type ContentOptions struct {
	Settings         config.Content
	AMQP             config.AMQP
	Role, Fleet, Pod string
	Publisher        *Publisher
	// Sources are asked beside those of the settings, by Transport. Both optional.
	Sources   func() []string
	Transport http.RoundTripper
}

// NewContent returns a Content that follows whenever the process runs, and nil without a broker.
func NewContent(o ContentOptions, runners *boot.Runners, registry *telemetry.Registry, logger zerolog.Logger) (*Content, error) {
	if !o.AMQP.Configured() {
		return nil, nil
	}
	c := new(Content)
	var stream *rabbitmq.StreamConsumer
	c.Replica = content.NewReplica(content.Options{
		Cache: c, Policy: content.Policy(o.Settings.ContentPolicy), DisconnectedAfter: o.Settings.ContentDisconnected,
		Resubscribe: func() { stream.Resubscribe() }, NoLog: func() bool { return stream.Absent() }, Transport: o.Transport,
		Sources: func() []string {
			sources := o.Settings.ContentSources
			if o.Sources != nil {
				sources = append(o.Sources(), sources...)
			}
			return sources
		},
		Logger: logger,
	})
	var err error
	if stream, err = boot.Follow(o.AMQP, o.Role+" "+o.Fleet+"/"+o.Pod+" follows", c.Replica, registry, runners, logger); err != nil {
		return nil, err
	}
	reporter := content.Reporter{
		Replica: c.Replica, Role: o.Role, Fleet: o.Fleet, Pod: o.Pod, BootID: NewBootID(), Publisher: o.Publisher, Logger: logger,
	}
	runners.Go("content reporter", reporter.Run)
	return c, nil
}

// Bind says what the updates are applied to.
func (c *Content) Bind(tier Purger) {
	if c != nil {
		c.tier = tier
	}
}

// Apply purges what the event names.
func (c *Content) Apply(e events.Content) error {
	mode := httpcache.PurgeHard
	if e.Action == events.ContentSoft {
		mode = httpcache.PurgeSoft
	}
	if e.Scope == events.ScopeAll {
		_, err := c.tier.Purge(httpcache.PurgeRequest{Scope: httpcache.PurgeEverything, Mode: mode})
		return err
	}
	var errs []error
	for _, value := range e.Values {
		if _, err := c.tier.Purge(httpcache.PurgeRequest{Scope: httpcache.PurgeScope(e.Scope), Value: value, Host: e.Host, Mode: mode}); err != nil {
			errs = append(errs, fmt.Errorf("%s %q: %w", e.Scope, value, err))
		}
	}
	return errors.Join(errs...)
}

// Distrust makes everything that is stored be validated before its next use.
func (c *Content) Distrust() {
	// Nothing in this request can be wrong.
	_, _ = c.tier.Purge(httpcache.PurgeRequest{Scope: httpcache.PurgeEverything, Mode: httpcache.PurgeInvalidate})
}

// Bypass makes requests pass the cache by.
func (c *Content) Bypass(on bool) { c.tier.Bypass(on) }
