package config

import (
	"errors"
	"time"

	"github.com/spf13/pflag"
)

// Content says how a replica follows content updates. Without a message broker there are none.
type Content struct {
	ContentPolicy       string        // when out of touch with the updates: serve, revalidate or bypass; default revalidate
	ContentDisconnected time.Duration // how long that may last before the policy rules; default 30 s
	ContentSources      []string      // base URLs of replicas or controllers that are asked for what is missing
}

func newContent() Content {
	return Content{ContentPolicy: "revalidate", ContentDisconnected: 30 * time.Second}
}

// Bind declares the settings as flags.
func (c *Content) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&c.ContentPolicy, "content-policy", c.ContentPolicy,
		"what to do when out of touch with content updates: `policy` serve, revalidate or bypass")
	fs.DurationVar(&c.ContentDisconnected, "content-disconnected-after", c.ContentDisconnected, "`time` out of touch with content updates after which the policy rules")
	fs.StringSliceVar(&c.ContentSources, "content-source", c.ContentSources,
		"base `URL` of a controller or a shield that is asked for content updates when the broker cannot be reached; may be repeated")
}

// Validate reports every setting that is not allowed.
func (c *Content) Validate() error {
	errs := []error{
		oneOf("content-policy", c.ContentPolicy, "serve", "revalidate", "bypass"),
		between("content-disconnected-after", c.ContentDisconnected, time.Second, 24*time.Hour),
	}
	for _, source := range c.ContentSources {
		errs = append(errs, serverURL("content-source", source, "http", "https"))
	}
	return errors.Join(errs...)
}
