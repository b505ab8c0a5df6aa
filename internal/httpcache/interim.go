package httpcache

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"

	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// interim is a 1xx response on its way to a client (RFC 9110 section 15.2).
type interim struct {
	code   int
	header http.Header
}

// withInterim makes upstream responses with a 1xx status other than 100 and
// 101, which concern one hop, reach got. got runs on the transport's goroutine.
func withInterim(ctx context.Context, got func(interim)) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if code > http.StatusSwitchingProtocols {
				h := http.Header(maps.Clone(header))
				rfc9111.StripHopByHop(h)
				got(interim{code, h})
			}
			return nil
		},
	})
}

// offer hands an interim response to the opener, if it waits and has room;
// they are hints, and nobody waits for them.
func (f *flight) offer(i interim) {
	select {
	case f.interim <- i:
	default:
	}
}

// hints sends the opener what came before the header that is known by now: a
// select does not look at the one before the other.
func (x *exchange) hints(f *flight, rd *reader) {
	for rd.opener {
		select {
		case i := <-f.interim:
			sendInterim(x.w, x.r, i)
		default:
			return
		}
	}
}

// sendInterim sends i before the final header, with the fields of i alone.
// Those that handlers around this cache have set are for the final response,
// such as the Connection: close of a connection that is to end.
func sendInterim(w http.ResponseWriter, r *http.Request, i interim) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	h := w.Header()
	final := maps.Clone(h)
	clear(h)
	maps.Copy(h, i.header)
	w.WriteHeader(i.code)
	clear(h)
	maps.Copy(h, final)
}

// interimGate lets interim responses through until the final header is due:
// the transport may report one while the handler already goes on.
type interimGate struct {
	mu   sync.Mutex
	shut bool
	w    http.ResponseWriter // not the exchange: a hit's would go to the heap with it
	r    *http.Request
}

func (g *interimGate) pass(i interim) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		sendInterim(g.w, g.r, i)
	}
}

func (g *interimGate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}
