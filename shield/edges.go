package shield

import (
	"net/http"

	"github.com/surgewall/surgewall/internal/edgeauth"
	"github.com/surgewall/surgewall/internal/httpcache/rfc9111"
)

// An edge is asked for by its clients what they may ask for, and asks a shield for more: its Cache-Control may send a request on to the
// origin. Options.Authenticate tells edges from everybody else, who must not be able to do the same to the origin.

// refusedStranger has the status that edges know as edgeauth.RefusedStatus.
var refusedStranger = &refusal{http.StatusForbidden, "edge-auth", "only edges of this installation are served"}

// admit says which edge a request is from, none for everybody else's, and whether it is answered at all. What only an edge may ask for is
// taken out of a request that is not from one.
func (s *Shield) admit(r *http.Request) (edge string, no *refusal) {
	if s.o.Authenticate == nil {
		return "", nil
	}
	edge, ok := s.o.Authenticate(r)
	switch {
	case ok:
		return edge, nil
	case s.o.EdgesOnly:
		return "", refusedStranger
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		rfc9111.OrdinaryRequest(r.Header)
	}
	// Not only for what is forwarded: nothing behind may take it for a proof.
	delete(r.Header, edgeauth.Field)
	return "", nil
}
