package config

import (
	"errors"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
)

// AMQP says how to reach the message broker. With neither a URL nor a host there is no broker.
type AMQP struct {
	URL          string // amqp:// or amqps:// with user, password and virtual host; secret, as it may hold a password
	Host         string // name or address, in place of a URL
	Port         int    // default 5672, or 5671 with a CA file
	VHost        string // virtual host; default /
	Username     string
	PasswordFile string // read again on each connection, so that a password can be rotated
	CAFile       string // PEM bundle; non-empty means TLS
	// CertFile and KeyFile are our own certificate, read again on each connection. Without a password it says who we are.
	CertFile, KeyFile string
}

// NewAMQP returns the defaults: no broker.
func NewAMQP() AMQP { return AMQP{VHost: "/"} }

// Configured reports whether there is a broker to connect to.
func (a *AMQP) Configured() bool { return a.URL != "" || a.Host != "" }

// Bind declares the settings as flags.
func (a *AMQP) Bind(fs *pflag.FlagSet) {
	fs.StringVar(&a.URL, "amqp-url", a.URL, "`URL` of the message broker: amqp[s]://user:password@host[:port]/vhost; none when empty")
	fs.StringVar(&a.Host, "amqp-host", a.Host, "`host` of the message broker, in place of a URL")
	fs.IntVar(&a.Port, "amqp-port", a.Port, "`port` of the message broker; 0 is 5672, or 5671 with TLS")
	fs.StringVar(&a.VHost, "amqp-vhost", a.VHost, "virtual `host` on the message broker")
	fs.StringVar(&a.Username, "amqp-username", a.Username, "`user` at the message broker")
	fs.StringVar(&a.PasswordFile, "amqp-password-file", a.PasswordFile, "`file` with the password of that user, read on each connection")
	fs.StringVar(&a.CAFile, "amqp-ca-file", a.CAFile, "PEM `file` with the authorities to trust; switches TLS on")
	fs.StringVar(&a.CertFile, "amqp-cert-file", a.CertFile, "PEM `file` with our certificate, read on each connection; without a password the broker takes the user from it")
	fs.StringVar(&a.KeyFile, "amqp-key-file", a.KeyFile, "PEM `file` with the key of that certificate")
	Secret(fs, "amqp-url")
}

// Validate reports every setting that is not allowed. It never repeats the URL, which may hold a password.
func (a *AMQP) Validate() error {
	var errs []error
	if a.URL != "" {
		u, err := url.Parse(a.URL)
		switch {
		case err != nil || (u.Scheme != "amqp" && u.Scheme != "amqps") || u.Hostname() == "":
			errs = append(errs, &Error{"amqp-url", Masked(a.URL), "amqp[s]://user:password@host[:port]/vhost"})
		case strings.Contains(u.EscapedPath()+u.RawQuery+u.Fragment, "@"):
			errs = append(errs, &Error{"amqp-url", Masked(a.URL), "amqp[s]://user:password@host[:port]/vhost with / ? # and @ of the password and the vhost percent-encoded"})
		}
		if a.Host != "" {
			errs = append(errs, &Error{"amqp-host", a.Host, "nothing beside amqp-url"})
		}
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		errs = append(errs, &Error{"amqp-cert-file", a.CertFile, "amqp-cert-file and amqp-key-file, or neither"})
	}
	if a.CertFile != "" && a.CAFile == "" && !strings.HasPrefix(a.URL, "amqps:") {
		errs = append(errs, &Error{"amqp-cert-file", a.CertFile, "nothing without TLS: amqp-ca-file or an amqp-url with amqps"})
	}
	if a.CertFile != "" && a.URL == "" && a.Username == "" {
		errs = append(errs, &Error{"amqp-username", "", "the user that the certificate names, since each message says who sent it"})
	}
	if a.Host != "" && a.URL == "" && a.CertFile == "" && (a.Username == "") != (a.PasswordFile == "") {
		errs = append(errs, &Error{"amqp-username", a.Username, "amqp-username and amqp-password-file, or neither"})
	}
	errs = append(errs, within("amqp-port", int64(a.Port), 0, 65535))
	return errors.Join(errs...)
}
