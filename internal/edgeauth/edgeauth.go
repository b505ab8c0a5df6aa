// Package edgeauth proves to a shield that a request was sent by an edge that holds the same key, in one header field.
//
// The field is an Item of RFC 9651: who sent the request, when, and an HMAC over both and over what is asked for:
//
//	Surgewall-Edge: "/sports/edge-7d9f-x2";created=1763880000;mac=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:
//
// It says nothing about the request's other fields and its body, and holds for as long as the shield tolerates clocks to differ: whoever
// reads the traffic between edge and shield can repeat a request in that time.
package edgeauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"time"
)

// Field is the name of the header field, in canonical form.
const Field = "Surgewall-Edge"

// RefusedStatus is the Cache-Status of a shield that refused a request because it proved nothing. No origin can send it as the only
// entry: a shield appends its own.
const RefusedStatus = "shield; detail=edge-auth"

// Request is the part of a request that the proof covers, byte for byte as on the connection.
type Request struct {
	Method string
	Host   string
	Target string // path and query
}

// Outgoing returns what is covered of a request that an http.Transport will send.
func Outgoing(r *http.Request) Request {
	method, host := r.Method, r.Host
	if method == "" {
		method = http.MethodGet
	}
	if host == "" {
		host = r.URL.Host
	}
	return Request{Method: method, Host: host, Target: r.URL.RequestURI()}
}

// Incoming returns what is covered of a request that an http.Server got.
func Incoming(r *http.Request) Request {
	return Request{Method: r.Method, Host: r.Host, Target: r.RequestURI}
}

// Verdict says what a request has proved.
type Verdict int

const (
	// Authenticated: an edge sent it.
	Authenticated Verdict = iota
	// Missing: it has no such field.
	Missing
	// Malformed: the field is not one that Sign writes, or there are several.
	Malformed
	// OutsideWindow: the field was made too long ago, or is from the future.
	OutsideWindow
	// Mismatch: made with another key, or for another request.
	Mismatch
)

var verdicts = [...]string{"authenticated", "missing", "malformed", "outside-window", "mismatch"}

// Verdicts returns all of them, in order.
func Verdicts() []Verdict {
	return []Verdict{Authenticated, Missing, Malformed, OutsideWindow, Mismatch}
}

// String is the verdict as a metric's label.
func (v Verdict) String() string { return verdicts[v] }

// Sign returns the field's value for a request that an edge sends now. The edge is its name on the bus, /<fleet>/<pod>; anything else
// makes a value that no shield accepts.
func (k *Keys) Sign(r Request, edge string, now time.Time) string {
	created := now.Unix()
	s := k.keys[0].Get().(*state)
	defer k.keys[0].Put(s)
	s.compute(r, edge, created)
	b := append(s.buf[:0], '"')
	b = append(append(b, edge...), afterEdge...)
	b = append(strconv.AppendInt(b, created, 10), afterCreated...)
	b = append(base64.StdEncoding.AppendEncode(b, s.sum), ':')
	s.buf = b
	return string(b)
}

// Verify judges the values of the field in a request that arrived now, and returns the edge's name if it is Authenticated. A clock may
// differ from ours by skew.
func (k *Keys) Verify(values []string, r Request, now time.Time, skew time.Duration) (edge string, v Verdict) {
	if len(values) == 0 {
		return "", Missing
	}
	if len(values) > 1 {
		return "", Malformed
	}
	f, ok := parse(values[0])
	if !ok {
		return "", Malformed
	}
	if d := now.Sub(time.Unix(f.created, 0)); d > skew || d < -skew {
		return "", OutsideWindow
	}
	for _, key := range k.keys {
		s := key.Get().(*state)
		s.compute(r, f.edge, f.created)
		same := hmac.Equal(s.sum, f.mac[:])
		key.Put(s)
		if same {
			return f.edge, Authenticated
		}
	}
	return "", Mismatch
}

// context keeps the key's MACs for anything else from being taken for these.
const context = "surgewall edge request 1"

// compute leaves the MAC in s.sum. Lengths before the parts keep the end of one from being read as the beginning of the next.
func (s *state) compute(r Request, edge string, created int64) {
	b := append(s.buf[:0], context...)
	for _, part := range [...]string{r.Method, r.Host, r.Target, edge} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(created))
	s.mac.Reset()
	_, _ = s.mac.Write(b) // never fails
	s.sum = s.mac.Sum(s.sum[:0])
	s.buf = b
}

// field is the header field, taken apart.
type field struct {
	edge    string
	created int64
	mac     [sha256.Size]byte
}

const (
	afterEdge    = `";created=`
	afterCreated = `;mac=:`
	maxEdge      = 200 // bytes: the longest fleet and the longest pod on the bus
	maxDigits    = 12
)

// parse reads exactly what Sign writes: of two spellings of one proof, a second one could get past whoever looks for the first.
func parse(s string) (f field, ok bool) {
	if len(s) == 0 || s[0] != '"' {
		return f, false
	}
	i := 1
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] >= '0' && s[i] <= '9' || s[i] == '-' || s[i] == '/') {
		i++
	}
	f.edge, s = s[1:i], s[i:]
	if len(f.edge) == 0 || len(f.edge) > maxEdge || len(s) < len(afterEdge) || s[:len(afterEdge)] != afterEdge {
		return f, false
	}
	s = s[len(afterEdge):]
	i = 0
	for i < len(s) && i < maxDigits && s[i] >= '0' && s[i] <= '9' {
		f.created = 10*f.created + int64(s[i]-'0')
		i++
	}
	if i == 0 || i > 1 && s[0] == '0' {
		return f, false
	}
	s = s[i:]
	const encoded = (sha256.Size + 2) / 3 * 4
	if len(s) != len(afterCreated)+encoded+1 || s[:len(afterCreated)] != afterCreated || s[len(s)-1] != ':' {
		return f, false
	}
	var text [encoded]byte
	copy(text[:], s[len(afterCreated):])
	var mac [encoded]byte // the decoder may write its padding's place too
	n, err := base64.StdEncoding.Strict().Decode(mac[:], text[:])
	copy(f.mac[:], mac[:])
	return f, err == nil && n == sha256.Size
}
