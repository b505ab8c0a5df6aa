package events

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// quick reads a body in the one form in which this package writes it: no space, fields in their order and known by their exact names, no escape.
// What a controller hears is nearly all of that form, and encoding/json takes several times as long for it. Whatever else comes, valid JSON or
// not, fails here and is read by encoding/json from its beginning, so that quick decides nothing about what is accepted; FuzzQuick holds both to
// one result.
//
// Once it has failed it stays so, and what it returns means nothing.
type quick struct {
	data   []byte
	at     int // what was read
	failed bool
}

// quickBody is a body that can be read so. Where the result is false, it holds anything.
type quickBody interface{ quick(data []byte) bool }

// is takes exactly this text.
func (q *quick) is(text string) {
	if !q.maybe(text) {
		q.failed = true
	}
}

// maybe takes this text if it is what comes next.
func (q *quick) maybe(text string) bool {
	end := q.at + len(text)
	if end > len(q.data) || string(q.data[q.at:end]) != text {
		return false
	}
	q.at = end
	return true
}

// digits takes a whole number without sign. One of more than eighteen digits may fit into its type, or not.
func (q *quick) digits() (n uint64) {
	from := q.at
	for ; q.at < len(q.data) && '0' <= q.data[q.at] && q.data[q.at] <= '9'; q.at++ {
		n = n*10 + uint64(q.data[q.at]-'0')
	}
	if length := q.at - from; length == 0 || length > 18 || length > 1 && q.data[from] == '0' {
		q.failed = true
	}
	return n
}

// count takes a field that is a whole number.
func (q *quick) count(name string, into *uint64) {
	q.is(name)
	*into = q.digits()
}

// maybeCount is count for a field that is left out where it is zero.
func (q *quick) maybeCount(name string, into *uint64) {
	if q.maybe(name) {
		*into = q.digits()
	}
}

// number takes a number with or without decimals. An exponent, which few of ours have, is left to the other reader.
func (q *quick) number() float64 {
	from := q.at
	whole := q.digits()
	if !q.maybe(".") && whole < 1<<53 { // of a larger one the nearest float64 is for strconv to find
		return float64(whole)
	}
	decimals := q.at
	for q.at < len(q.data) && '0' <= q.data[q.at] && q.data[q.at] <= '9' {
		q.at++
	}
	x, err := strconv.ParseFloat(string(q.data[from:q.at]), 64)
	if q.at == decimals || err != nil {
		q.failed = true
	}
	return x
}

// text takes a string after its first quotation mark, and returns where it begins and ends.
func (q *quick) text() (from, to int) {
	from = q.at
	length := bytes.IndexByte(q.data[from:], '"')
	if length < 0 {
		q.failed = true
		return from, from
	}
	to = from + length
	q.at = to + 1
	text := q.data[from:to]
	for _, c := range text {
		if c == '\\' || c < ' ' {
			q.failed = true
		}
	}
	q.failed = q.failed || !utf8.Valid(text) // the other reader mends it
	return from, to
}

// bytes takes base64 after its first quotation mark.
func (q *quick) bytes() []byte {
	from, to := q.text()
	b := make([]byte, base64.StdEncoding.DecodedLen(to-from))
	n, err := base64.StdEncoding.Decode(b, q.data[from:to])
	if err != nil {
		q.failed = true
	}
	return b[:n]
}

// end takes the end of the body, and reports whether all of it was as it is written.
func (q *quick) end() bool {
	q.is("}")
	return !q.failed && q.at == len(q.data)
}
