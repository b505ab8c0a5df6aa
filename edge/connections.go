package edge

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Connections close client connections that have reached their age, after a response: a balancer that spreads connections, as a
// Kubernetes Service does, gives a new edge load only as fast as clients connect anew. It is safe for concurrent use.
type Connections struct {
	maxAge time.Duration
	now    func() time.Time
}

// NewConnections returns Connections with this mean age; zero is without limit. Each connection's age is drawn from 0.5 to 1.5 times the
// mean: connections that began together, as in a spike they do, must not come back together.
func NewConnections(maxAge time.Duration) *Connections {
	return &Connections{maxAge: maxAge, now: time.Now}
}

type deadlineKey struct{}

// Context is http.Server's ConnContext: it draws the age of a new connection.
func (c *Connections) Context(ctx context.Context, _ net.Conn) context.Context {
	if c.maxAge <= 0 {
		return ctx
	}
	age := time.Duration((0.5 + rand.Float64()) * float64(c.maxAge))
	return context.WithValue(ctx, deadlineKey{}, c.now().Add(age))
}

// Handler asks the client to leave with the first response after the age of its connection.
func (c *Connections) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if deadline, ok := r.Context().Value(deadlineKey{}).(time.Time); ok && c.now().After(deadline) {
			// net/http closes an HTTP/1.1 connection after this response, and sends GOAWAY on an HTTP/2 one.
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
