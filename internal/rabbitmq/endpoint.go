package rabbitmq

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// endpoint is where to connect and as whom. No error and no log of this package holds a password, nor any part of a URL that may hold one.
type endpoint struct {
	host     string
	address  string
	vhost    string
	username string
	// password is the URL's; a password file goes before it.
	password string
	tls      bool
	// external says that the certificate says who we are.
	external bool
}

// resolve turns the options into an endpoint.
func (o Options) resolve() (endpoint, error) {
	e := endpoint{host: o.Host, vhost: orElse(o.VHost, "/"), username: o.Username, tls: o.TLS.Enabled}
	port := o.Port
	if o.URL != "" {
		if o.Host != "" || o.Port != 0 || o.VHost != "" {
			return endpoint{}, errors.New("AMQP URL and host, port or vhost are both set: set one of them")
		}
		fromURL, urlPort, err := parseURL(o.URL)
		if err != nil {
			return endpoint{}, err
		}
		if o.Username != "" && fromURL.username != "" && o.Username != fromURL.username {
			return endpoint{}, fmt.Errorf("AMQP username %q contradicts the URL's %q", o.Username, fromURL.username)
		}
		fromURL.username = orElse(fromURL.username, o.Username)
		fromURL.tls = fromURL.tls || o.TLS.Enabled
		e, port = fromURL, urlPort
	}
	if e.host == "" {
		return endpoint{}, errors.New("AMQP host is empty")
	}
	if port < 0 || port > 65535 {
		return endpoint{}, fmt.Errorf("AMQP port %d: 1 to 65535 are allowed", port)
	}
	if port == 0 {
		port = 5672
		if e.tls {
			port = 5671
		}
	}
	e.address = net.JoinHostPort(e.host, strconv.Itoa(port))
	if (o.TLS.CertFile == "") != (o.TLS.KeyFile == "") {
		return endpoint{}, errors.New("AMQP certificate file and key file go together: set both or none")
	}
	if !e.tls && (o.TLS.CAFile != "" || o.TLS.CertFile != "") {
		return endpoint{}, errors.New("AMQP certificate files are set but TLS is not: use amqps or enable TLS")
	}
	e.external = o.TLS.CertFile != "" && o.PasswordFile == "" && e.password == ""
	switch {
	case e.external && e.username == "":
		return endpoint{}, errors.New("AMQP username is empty: it must repeat the certificate's, since each message names its sender")
	case !e.external && e.username == "":
		e.username = "guest"
		if o.PasswordFile == "" {
			e.password = "guest"
		}
	case !e.external && o.PasswordFile == "" && e.password == "":
		return endpoint{}, fmt.Errorf("AMQP user %q has no password: set a password file", e.username)
	}
	return e, nil
}

// parseURL reads an AMQP URL. The parser's own errors quote what they could not read, which may be a piece of the password: none gets out.
func parseURL(raw string) (endpoint, int, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, 0, errors.New("AMQP URL cannot be read: it is amqp[s]://user:password@host:port/vhost, " +
			"where reserved characters of the password are percent-encoded; a password file needs no encoding")
	}
	if u.Scheme != "amqp" && u.Scheme != "amqps" {
		return endpoint{}, 0, errors.New("AMQP URL starts with neither amqp:// nor amqps://")
	}
	// A password such as 12/rest makes a host and a port of what was meant as user and password; the @ that should have ended it remains.
	if strings.Contains(u.EscapedPath()+u.RawQuery+u.Fragment, "@") {
		return endpoint{}, 0, errors.New("AMQP URL has an @ behind the host: percent-encode / (%2F), ? (%3F), # (%23) and @ (%40) in the password and the vhost; " +
			"a password file needs no encoding")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return endpoint{}, 0, errors.New("AMQP URL has a query or a fragment: use the separate settings, and percent-encode ? and # in the password")
	}
	e := endpoint{host: u.Hostname(), tls: u.Scheme == "amqps", username: u.User.Username()}
	e.password, _ = u.User.Password()
	port := 0
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port == 0 {
			return endpoint{}, 0, errors.New("AMQP URL has a port outside 1 to 65535")
		}
	}
	// No path at all is the default virtual host "/"; a path of "/" alone would be the one with the empty name, which nobody has.
	e.vhost = "/"
	if path := strings.TrimPrefix(u.EscapedPath(), "/"); path != "" {
		if e.vhost, err = url.PathUnescape(path); err != nil {
			return endpoint{}, 0, errors.New("AMQP URL has a vhost that is not percent-encoded")
		}
		if strings.Contains(path, "/") {
			return endpoint{}, 0, errors.New("AMQP URL has a vhost with a bare slash: write it as %2F")
		}
	}
	return e, port, nil
}

// secret returns the password as it is now.
func (e endpoint) secret(passwordFile string) (string, error) {
	if passwordFile == "" {
		return e.password, nil
	}
	content, err := os.ReadFile(passwordFile)
	if err != nil {
		return "", fmt.Errorf("read AMQP password file: %w", err)
	}
	password := strings.TrimSpace(string(content))
	if password == "" {
		return "", fmt.Errorf("AMQP password file %s is empty", passwordFile)
	}
	return password, nil
}
