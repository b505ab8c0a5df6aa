package rfc9111

import (
	"net/http"
	"net/textproto"
	"strings"
)

// hopByHop are the fields that concern one connection (RFC 9110 section 7.6.1)
// or one hop's proxy (section 11.7), and our own that tells the next tier how far
// content updates were followed: nobody else may send it, and none may store it.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Transfer-Encoding", "Upgrade", "Trailer",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info", "Surgewall-Content-Offset",
	"Surgewall-Edge"} // the proof of one hop that an edge sent a request: neither a client's nor an origin's business

// StripHopByHop removes from h the fields that concern one hop only, those
// that Connection names included.
func StripHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = trimOWS(name); name != "" && !endToEnd[textproto.CanonicalMIMEHeaderKey(name)] {
				delete(h, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// endToEnd are fields that Connection cannot remove: a client that could would
// take away what the request is judged by.
var endToEnd = map[string]bool{"Host": true, "Content-Length": true, "Authorization": true, "Cache-Control": true, "Cdn-Loop": true, "Set-Cookie": true, "Vary": true}
