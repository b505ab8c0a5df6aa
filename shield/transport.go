package shield

import (
	"crypto/tls"
	"net"
	"net/http"
	"syscall"
	"time"
)

// TransportOptions say how connections to an origin server are made.
type TransportOptions struct {
	// ServerName is the host that certificates have to be for. Empty means the host of each request's URL.
	ServerName            string
	ConnectTimeout        time.Duration // to one address
	ResponseHeaderTimeout time.Duration // from the request to the head of its response
	// Control is asked about each address, after its name was resolved and before it is connected to; an error keeps the connection from
	// being made. Nil connects anywhere.
	Control func(network, address string, c syscall.RawConn) error
	// Resolver looks names up. Nil is the system's.
	Resolver *net.Resolver
}

// NewTransport returns a transport for OriginOptions: HTTP/1.1, without proxy, compression or redirects.
func NewTransport(o TransportOptions) *http.Transport {
	dialer := &net.Dialer{
		Timeout: o.ConnectTimeout, Control: o.Control, Resolver: o.Resolver,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	transport := &http.Transport{
		// No Proxy: one from the environment would connect on our behalf, past Control.
		DialContext:           untilCloseDial(dialer.DialContext),
		TLSHandshakeTimeout:   2 * o.ConnectTimeout,
		ResponseHeaderTimeout: o.ResponseHeaderTimeout,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       60 * time.Second,
		DisableCompression:    true,
		WriteBufferSize:       16 << 10,
		ReadBufferSize:        64 << 10,
	}
	if o.ServerName != "" {
		transport.TLSClientConfig = &tls.Config{ServerName: o.ServerName, MinVersion: tls.VersionTLS12}
	}
	return transport
}
