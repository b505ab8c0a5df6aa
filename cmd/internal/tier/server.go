package tier

import (
	"net"
	"net/http"

	"github.com/rs/zerolog"

	"github.com/surgewall/surgewall/cmd/internal/boot"
	"github.com/surgewall/surgewall/config"
	"github.com/surgewall/surgewall/internal/framing"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// Server returns the server of a tier as the settings describe it, with a guard on the bytes of its connections; it has yet to be registered.
func Server(s config.Serving, handler http.Handler, metrics *Metrics, logger zerolog.Logger) *boot.Server {
	return &boot.Server{
		Name: "content", Setting: "listen", Address: s.Listen, Handler: handler,
		DrainDelay: s.DrainDelay, DrainTimeout: s.DrainTimeout,
		ReadHeaderTimeout: s.ReadHeaderTimeout, IdleTimeout: s.IdleTimeout, MaxHeaderBytes: int(s.MaxHeader),
		Wrap: func(inner net.Listener) net.Listener {
			return framing.Listen(inner, framing.Options{MaxHead: int(s.MaxHeader), HTTP2: true, OnRefusal: metrics.Refuse, Logger: logger})
		},
	}
}

// Rules returns the caching rules that the settings ask for.
func Rules(c config.Caching) rfc9111.Rules {
	return rfc9111.Rules{DefaultLifetime: c.DefaultTTL, Heuristics: c.HeuristicFreshness, ShareSetCookie: c.ShareSetCookie}
}
