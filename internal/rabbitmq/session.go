package rabbitmq

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// session is one connection and all that hangs on it. Its notification channels have room for one, are registered once and are read
// until they close: an unread one stalls the client's reader.
type session struct {
	conn *amqp.Connection
	// user is who we are on this connection.
	user    string
	closed  chan *amqp.Error
	blocked chan amqp.Blocking
}

// dialer opens sessions.
type dialer struct {
	options  Options
	endpoint endpoint
}

func (d dialer) open(ctx context.Context) (*session, error) {
	password, err := d.endpoint.secret(d.options.PasswordFile)
	if err != nil {
		return nil, err
	}
	var secure *tls.Config
	if d.endpoint.tls {
		if secure, err = d.options.TLS.load(d.endpoint.host); err != nil {
			return nil, err
		}
	}
	dialCtx, cancel := context.WithTimeout(ctx, d.options.DialTimeout)
	defer cancel()
	conn, err := d.options.DialContext(dialCtx, "tcp", d.endpoint.address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	// The deadline covers the handshakes; the client lifts it when they are done.
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial: %w", err)
	}
	uncancel := context.AfterFunc(ctx, func() { conn.Close() })
	defer uncancel()
	transport := conn
	if secure != nil {
		encrypted := tls.Client(conn, secure)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		transport = encrypted
	}
	config := amqp.Config{
		Vhost: d.endpoint.vhost, Heartbeat: d.options.Heartbeat, Locale: "en_US",
		ChannelMax: 64, FrameSize: 128 << 10,
		Properties: amqp.Table{"product": "surgewall", "connection_name": d.options.Name},
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: d.endpoint.username, Password: password}},
		Recovery:   nil, // see the package's comment
	}
	if d.endpoint.external {
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	link, err := amqp.Open(transport, config)
	if err != nil {
		// The client leaves the transport open after some failures.
		conn.Close()
		return nil, fmt.Errorf("log in as %q to vhost %q: %w", d.endpoint.username, d.endpoint.vhost, err)
	}
	return &session{
		conn: link, user: d.endpoint.username,
		closed:  link.NotifyClose(make(chan *amqp.Error, 1)),
		blocked: link.NotifyBlocked(make(chan amqp.Blocking, 1)),
	}, nil
}

// hangUpWith closes the connection when ctx is done, until the result is called. Calls that wait for the broker's answer know no context.
func (s *session) hangUpWith(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { _ = s.conn.CloseDeadline(time.Now().Add(closeTimeout)) })
}

// close says goodbye within the timeout, frees every call that is stuck on the connection, and reads the notifications to their end.
// It returns why the connection was lost, nil if it was not.
func (s *session) close(timeout time.Duration) *amqp.Error {
	_ = s.conn.CloseDeadline(time.Now().Add(timeout)) // closed it is in any case
	for range s.blocked {
	}
	return last(s.closed)
}

// last reads a closing notification to its end.
func last(closed <-chan *amqp.Error) (reason *amqp.Error) {
	for e := range closed {
		reason = e
	}
	return reason
}

// lost explains the end of a session: what the broker said about the channel goes before what it said about the connection, and both before
// what a call on it returned.
func lost(channel, connection *amqp.Error, err error) error {
	switch {
	case channel != nil:
		return fmt.Errorf("channel closed: %w", channel)
	case connection != nil:
		return fmt.Errorf("connection closed: %w", connection)
	}
	return err
}

// load reads the certificates as they are now.
func (t TLS) load(host string) (*tls.Config, error) {
	// The client library does not set a minimum. Every supported broker speaks 1.3.
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: orElse(t.ServerName, host)}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read AMQP CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("AMQP CA file %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read AMQP certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
