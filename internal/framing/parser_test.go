package framing

import (
	"strings"
	"testing"
)

// verdict is what a parser made of a whole stream.
type verdict struct {
	reason   Reason
	accepted int    // bytes that it handed on
	messages uint64 // complete ones
	ends     []int  // where they ended; only read says
	inHead   bool
}

// read gives a parser the stream in pieces of the sizes that next returns.
func read(stream string, maxHead int, http2 bool, next func() int) verdict {
	p := NewParser(maxHead, http2)
	v := verdict{}
	for at := 0; at < len(stream); {
		n := min(max(next(), 1), len(stream)-at)
		accepted, reason := p.Parse([]byte(stream[at : at+n]))
		v.accepted += accepted
		if n == 1 && p.messages > uint64(len(v.ends)) {
			v.ends = append(v.ends, at+1)
		}
		if reason != Accepted {
			v.reason = reason
			break
		}
		at += n
	}
	v.messages, v.inHead = p.messages, p.InHead()
	return v
}

func inOne(stream string) verdict {
	return read(stream, 1<<10, true, func() int { return len(stream) })
}
func byteByByte(stream string) verdict { return read(stream, 1<<10, true, func() int { return 1 }) }

const (
	get     = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	post    = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	upload  = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	chunks  = "5\r\nhello\r\n0\r\n\r\n"
	h1Start = "GET / HTTP/1.1\r\n"
)

func TestInOrder(t *testing.T) {
	for _, c := range []struct {
		section, stream string
		messages        uint64
	}{
		{"RFC 9112, 3", get, 1},
		{"RFC 9112, 9.3.2: pipelined", get + post + upload + chunks + get, 4},
		{"RFC 9112, 3.2.2: absolute form", "GET http://a/?q HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"RFC 9112, 3.2.3: authority form", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 1},
		{"RFC 9112, 3.2.4: asterisk form", "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", 1},
		{"RFC 9112, 3.2: no Host before HTTP/1.1", "GET / HTTP/1.0\r\n\r\n", 1},
		{"RFC 9110, 2.5: a later minor version is 1.1", "GET / HTTP/1.9\r\nHost: a\r\n\r\n", 1},
		{"RFC 9110, 9.1: any token is a method", "M-SEARCH!#$%&'*+-.^_`|~ / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"methods that begin like the preface", "PUT / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"methods that begin like the preface", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"methods that begin like the preface", "PRIX / HTTP/1.1\r\nHost: a\r\n\r\n", 1},
		{"RFC 9112, 5: no whitespace is wanted", "GET / HTTP/1.1\r\nhost:a\r\nx:\r\n\r\n", 1},
		{"RFC 9112, 5.1: whitespace around a value", "GET / HTTP/1.1\r\nHOST: \t a \t \r\nX-Tab: a\tb\r\n\r\n", 1},
		{"RFC 9110, 5.5: obs-text", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\nX: \xff\x80\r\n\r\n", 1},
		{"RFC 9110, 8.6: whitespace, leading zeros", "POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: \t0000000000000000000000005 \t\r\n\r\nhello", 1},
		{"RFC 9110, 8.6: zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + get, 2},
		{"RFC 9110, 8.6: the largest", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\nhello", 0},
		{"RFC 9112, 6.3: a body that looks like requests", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n \x00" + get, 2},
		{"RFC 9112, 7: names of codings have no case", "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:\tChUnKeD \r\n\r\n" + chunks, 1},
		{"RFC 9112, 7.1: hexadecimal in both cases", upload + "0A\r\n0123456789\r\n00a\r\n0123456789\r\n000\r\n\r\n", 1},
		{"RFC 9112, 7.1.1: extensions", upload + "5;a;b=c ; d=\"e;f\xe4\t\"\r\nhello\r\n0;last\r\n\r\n", 1},
		{"RFC 9112, 7.1.2: trailers", upload + "0\r\nDigest: x\r\nY:\r\n\r\n" + get, 2},
		{"RFC 9112, 2.2: one empty line after a POST, as net/http", post + "\r\n" + get, 2},
		{"RFC 9113, 3.4: the preface, and nothing after it is read", preface + "\x00\x00\x00\x04\x00 \n\n", 0},
		{"a Transfer-Encoding of another name", "GET / HTTP/1.1\r\nHost: a\r\nX-Transfer-Encoding: gzip\r\nTransfer-Encodings: x\r\nTE: trailers\r\n\r\n", 1},
		{"the limit itself", h1Start + "Host: a\r\nX: " + strings.Repeat("x", 1024-len(h1Start+"Host: a\r\nX: \r\n\r\n")) + "\r\n\r\n", 1},
	} {
		t.Run(c.section, func(t *testing.T) {
			for how, v := range map[string]verdict{"in one": inOne(c.stream), "byte by byte": byteByByte(c.stream)} {
				if v.reason != Accepted || v.messages != c.messages || v.accepted != len(c.stream) {
					t.Errorf("%s: %q: %s after %d of %d bytes, %d messages, want %d", how, c.stream, v.reason, v.accepted, len(c.stream), v.messages, c.messages)
				}
			}
		})
	}
}

// refusals is the corpus of smuggling: each is a stream in which two readers could see different requests, or one that no reader can trust.
var refusals = []struct {
	section, stream string
	reason          Reason
	accepted        int // bytes handed on when the stream comes in one piece
}{
	{"RFC 9112, 6.1: both lengths, CL.TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", LengthAndEncoding, 0},
	{"RFC 9112, 6.1: both lengths, TE.CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n", LengthAndEncoding, 0},
	{"RFC 9112, 6.1: both lengths, after good ones", get + post + "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n", LengthAndEncoding, len(get + post)},
	{"RFC 9112, 6.1: TE.TE, unknown first", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.1: TE.TE, unknown last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", EncodingRepeated, 0},
	{"RFC 9112, 6.1: chunked and chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", EncodingRepeated, 0},
	{"RFC 9112, 6.1: gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", EncodingUnknown, 0},
	{"RFC 9112, 6.3: chunked is not final", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: no chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: empty", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: chunkedx", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedx\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: chunk ed", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunk ed\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: quoted", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 6.3: vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", ControlByte, 0},
	{"RFC 9112, 6.1: in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", EncodingInHTTP10, 0},
	{"RFC 9112, 6.3: lengths that differ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", LengthRepeated, 0},
	{"RFC 9112, 6.3: lengths that agree", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", LengthRepeated, 0},
	{"RFC 9112, 6.3: a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", LengthInvalid, 0},
	{"RFC 9110, 8.6: signed", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", LengthInvalid, 0},
	{"RFC 9110, 8.6: negative", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", LengthInvalid, 0},
	{"RFC 9110, 8.6: hexadecimal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", LengthInvalid, 0},
	{"RFC 9110, 8.6: underscore", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", LengthInvalid, 0},
	{"RFC 9110, 8.6: two numbers", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 6\r\n\r\n", LengthInvalid, 0},
	{"RFC 9110, 8.6: empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", LengthInvalid, 0},
	{"RFC 9110, 8.6: too large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", LengthInvalid, 0},
	{"RFC 9112, 2.2: bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", BareLF, 0},
	{"RFC 9112, 2.2: bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BareLF, 0},
	{"RFC 9112, 2.2: bare LF in a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\n\r\n", BareLF, 0},
	{"RFC 9112, 2.2: bare LF in a coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\n\r\n", BareLF, 0},
	{"RFC 9112, 2.2: bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", BareLF, 0},
	{"RFC 9112, 2.2: bare LF in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\n: y\r\n\r\n", BareLF, 0},
	{"RFC 9112, 2.2: bare LF in the target", "GET /\nHTTP/1.1\r\nHost: a\r\n\r\n", BareLF, 0},
	{"RFC 9112, 2.2: bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", BareCR, 0},
	{"RFC 9112, 2.2: bare CR at the end", "GET / HTTP/1.1\r\nHost: a\r\n\rGET", BareCR, 0},
	{"RFC 9112, 2.2: bare CR after the version", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BareCR, 0},
	{"RFC 9112, 2.2: CR before a name", "GET / HTTP/1.1\r\n\rHost: a\r\n\r\n", BareCR, 0},
	{"RFC 9112, 2.2: an empty line first", "\r\n" + get, EmptyLine, 0},
	{"RFC 9112, 2.2: an empty line after a GET", get + "\r\n" + get, EmptyLine, len(get)},
	{"RFC 9112, 2.2: two empty lines after a POST", post + "\r\n\r\n" + get, RequestLine, len(post)},
	{"RFC 9112, 2.2: LF after a POST", post + "\n" + get, EmptyLine, len(post)},
	{"RFC 9112, 2.2: whitespace before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", LeadingWhitespace, 0},
	{"RFC 9112, 5.2: obs-fold, space", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", ObsFold, 0},
	{"RFC 9112, 5.2: obs-fold, tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n", EncodingInvalid, 0},
	{"RFC 9112, 5.2: obs-fold, hides a length", "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tContent-Length: 5\r\n\r\nhello", ObsFold, 0},
	{"RFC 9112, 5.1: space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", WhitespaceAfterName, 0},
	{"RFC 9112, 5.1: tab before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n", WhitespaceAfterName, 0},
	{"RFC 9112, 5: no name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", FieldName, 0},
	{"RFC 9112, 5: no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", FieldName, 0},
	{"RFC 9112, 5: not a token", "GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n", FieldName, 0},
	{"RFC 9112, 5: obs-text in a name", "GET / HTTP/1.1\r\nHost: a\r\nTransfer\xadEncoding: chunked\r\n\r\n", FieldName, 0},
	{"RFC 9110, 5.5: NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: y\r\n\r\n", ControlByte, 0},
	{"RFC 9110, 5.5: NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: y\x00\r\n\r\n", ControlByte, 0},
	{"RFC 9110, 5.5: DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: y\x7f\r\n\r\n", ControlByte, 0},
	{"RFC 9112, 3: NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", ControlByte, 0},
	{"RFC 9112, 3: NUL first", "\x00GET / HTTP/1.1\r\nHost: a\r\n\r\n", ControlByte, 0},
	{"RFC 9112, 3: TLS where HTTP is spoken", "\x16\x03\x01\x02\x00\x01\x00", ControlByte, 0},
	{"RFC 9112, 3: a space first", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: two spaces after the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: a space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: a tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: a tab after the target", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: no version", "GET /\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: only a method", "GET\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 3: a method that is no token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 2.3: lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 2.3: two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", RequestLine, 0},
	{"RFC 9112, 2.3: HTTP/2 in text", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version, 0},
	{"RFC 9112, 2.3: HTTP/0.9 in words", "GET / HTTP/0.9\r\n\r\n", Version, 0},
	{"RFC 9112, 3.2: no Host", "GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", HostMissing, 0},
	{"RFC 9112, 3.2: no Host with CONNECT", "CONNECT a:1 HTTP/1.1\r\n\r\n", HostMissing, 0},
	{"RFC 9112, 3.2: two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", HostRepeated, 0},
	{"RFC 9112, 3.2: two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HostRepeated, 0},
	{"RFC 6585, 5: one byte above the limit", h1Start + "Host: a\r\nX: " + strings.Repeat("x", 1025-len(h1Start+"Host: a\r\nX: \r\n\r\n")) + "\r\n\r\n", HeadTooLarge, 0},
	{"RFC 6585, 5: a target without end", "GET /" + strings.Repeat("a", 2000), HeadTooLarge, 0},
	{"RFC 9113, 3.4: half a preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Preface, 0},
	{"RFC 9113, 3.4: a preface with another target", "PRI / HTTP/1.1\r\nHost: a\r\n\r\n", Preface, 0},
	{"RFC 9113, 3.4: a preface after a request", get + preface, Version, len(get)},

	{"RFC 9112, 7.1: no size", upload + "\r\nhello\r\n0\r\n\r\n", ChunkSize, len(upload)},
	{"RFC 9112, 7.1: 0x", upload + "0x5\r\nhello\r\n0\r\n\r\n", ChunkSize, len(upload + "0")},
	{"RFC 9112, 7.1: signed", upload + "+5\r\nhello\r\n0\r\n\r\n", ChunkSize, len(upload)},
	{"RFC 9112, 7.1: space before", upload + " 5\r\nhello\r\n0\r\n\r\n", ChunkSize, len(upload)},
	{"RFC 9112, 7.1: space after", upload + "5 \r\nhello\r\n0\r\n\r\n", ChunkSize, len(upload + "5")},
	{"RFC 9112, 7.1: only an extension", upload + ";a\r\nhello\r\n0\r\n\r\n", ChunkSize, len(upload)},
	{"RFC 9112, 7.1: 2^63", upload + "8000000000000000\r\nhello", ChunkSize, len(upload + "800000000000000")},
	{"RFC 9112, 7.1: 2^64+5", upload + "10000000000000005\r\nhello\r\n0\r\n\r\n", ChunkSize, len(upload + "1000000000000000")},
	{"RFC 9112, 7.1: zeros without end", upload + strings.Repeat("0", 17) + "\r\n\r\n", ChunkSize, len(upload) + 16},
	{"RFC 9112, 7.1: bare LF after the size", upload + "5\nhello\r\n0\r\n\r\n", BareLF, len(upload + "5")},
	{"RFC 9112, 7.1: bare CR after the size", upload + "5\rhello\r\n0\r\n\r\n", BareCR, len(upload + "5\r")},
	{"RFC 9112, 7.1.1: bare LF in an extension", upload + "5;a\nhello\r\n0\r\n\r\n", BareLF, len(upload + "5;a")},
	{"RFC 9112, 7.1.1: bare LF in a quoted extension", upload + "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", BareLF, len(upload + "5;a=\"")},
	{"RFC 9112, 7.1.1: NUL in an extension", upload + "5;\x00\r\nhello\r\n0\r\n\r\n", ControlByte, len(upload + "5;")},
	{"RFC 9112, 7.1.1: an excessive extension", upload + "5;" + strings.Repeat("a", 300) + "\r\nhello\r\n0\r\n\r\n", ChunkLineTooLong, len(upload) + maxChunkLine},
	{"RFC 9112, 7.1: data longer than its size", upload + "5\r\nhello!\r\n0\r\n\r\n", ChunkEnd, len(upload + "5\r\nhello")},
	{"RFC 9112, 7.1: data shorter than its size", upload + "7\r\nhello\r\n0\r\n\r\n", ChunkEnd, len(upload + "7\r\nhello\r\n")},
	{"RFC 9112, 7.1: bare LF after the data", upload + "5\r\nhello\n0\r\n\r\n", BareLF, len(upload + "5\r\nhello")},
	{"RFC 9112, 7.1: bare CR after the data", upload + "5\r\nhello\r0\r\n\r\n", ChunkEnd, len(upload + "5\r\nhello\r")},
	{"RFC 9112, 7.1.2: bare LF at the end of the trailers", upload + "0\r\n\n", BareLF, len(upload + "0\r\n")},
	{"RFC 9112, 7.1.2: obs-fold in trailers", upload + "0\r\nA: b\r\n c\r\n\r\n", ObsFold, len(upload + "0\r\nA: b\r\n")},
	{"RFC 9112, 7.1.2: bare LF in a trailer", upload + "0\r\nA: b\n\r\n", BareLF, len(upload + "0\r\nA: b")},
	{"RFC 9112, 7.1.2: a request where trailers should be", upload + "0\r\n" + get, WhitespaceAfterName, len(upload + "0\r\nGET")},
	{"RFC 9112, 7.1.2: trailers without end", upload + "0\r\nA: " + strings.Repeat("b", 5000), TrailerTooLarge, len(upload+"0\r\n") + maxTrailer},
	{"RFC 9110, 6.5.1: a length in the trailers", upload + "0\r\nContent-Length: 5\r\n\r\n", TrailerField, len(upload + "0\r\nContent-Length")},
	{"RFC 9110, 6.5.1: a coding in the trailers", upload + "0\r\nTransfer-Encoding: chunked\r\n\r\n", TrailerField, len(upload + "0\r\nTransfer-Encoding")},
	{"RFC 9110, 6.5.1: a Host in the trailers", upload + "0\r\nHost: a\r\n\r\n", TrailerField, len(upload + "0\r\nHost")},
}

func TestRefused(t *testing.T) {
	seen := map[Reason]bool{}
	for _, c := range refusals {
		seen[c.reason] = true
		t.Run(c.section, func(t *testing.T) {
			one, each := inOne(c.stream), byteByByte(c.stream)
			if one.reason != c.reason || one.accepted != c.accepted {
				t.Errorf("%q: %s after %d bytes, want %s after %d", c.stream, one.reason, one.accepted, c.reason, c.accepted)
			}
			if each.reason != one.reason || each.messages != one.messages || each.inHead != one.inHead || each.accepted < one.accepted {
				t.Errorf("%q: byte by byte %+v, in one %+v", c.stream, each, one)
			}
		})
	}
	for _, r := range Reasons() {
		if !seen[r] {
			t.Errorf("nothing in the corpus is refused for %s", r)
		}
	}
}

func TestAVerdictStays(t *testing.T) {
	p := NewParser(1<<10, false)
	if _, reason := p.Parse([]byte("GET / HTTP/1.1\n")); reason != BareLF {
		t.Fatalf("refused for %s", reason)
	}
	if n, reason := p.Parse([]byte(get)); n != 0 || reason != BareLF {
		t.Errorf("%d bytes of a good request were handed on after a refusal: %s", n, reason)
	}
}

func TestPrefaceOnlyWhereWanted(t *testing.T) {
	if v := read(preface, 1<<10, false, func() int { return 64 }); v.reason != Version {
		t.Errorf("the preface of HTTP/2 where it is not spoken: %s", v.reason)
	}
}

func TestReasonsHaveNamesAndStatus(t *testing.T) {
	names := map[string]bool{}
	for _, r := range Reasons() {
		names[r.String()] = true
		if r.Status() < 400 {
			t.Errorf("%s is answered %d", r, r.Status())
		}
	}
	if len(names) != len(Reasons()) || names[""] || Reason(200).String() != "unknown" {
		t.Errorf("names %v", names)
	}
	for r, status := range map[Reason]int{EncodingUnknown: 501, HeadTooLarge: 431, Version: 505, LengthAndEncoding: 400, Accepted: 0} {
		if r.Status() != status {
			t.Errorf("%s is answered %d, want %d", r, r.Status(), status)
		}
	}
}

// TestSkipping compares eight bytes at once with one at a time, each byte at each place.
func TestSkipping(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				b := []byte(strings.Repeat("\xffa", length)[:length])
				b[at] = byte(c)
				text, target := length, length
				if c < 0x20 || c == 0x7F {
					text = at
				}
				if c < 0x21 || c == 0x7F {
					target = at
				}
				if skipText(b) != text || skipTarget(b) != target {
					t.Fatalf("%q: %d, want %d; %d, want %d", b, skipText(b), text, skipTarget(b), target)
				}
			}
		}
	}
}

func TestParsingDoesNotAllocate(t *testing.T) {
	stream := []byte(get + post + upload + chunks)
	p := NewParser(1<<10, true)
	if allocs := testing.AllocsPerRun(100, func() {
		for i := range stream {
			if _, reason := p.Parse(stream[i : i+1]); reason != Accepted {
				t.Fatal(reason)
			}
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
