package framing

import "net/http"

// A Reason says why a request was refused. Its text is a stable lower-case word with hyphens, fit for the value of a label.
type Reason uint8

// The sections are those of RFC 9112, unless another document is named.
const (
	Accepted Reason = iota

	RequestLine         // 3: a part is missing, empty, or apart by more than one space
	Version             // 2.3: well formed, but not HTTP/1.x
	EmptyLine           // 2.2: an empty line before the request line
	Preface             // RFC 9113, 3.4: method PRI, without the rest of the preface
	ControlByte         // RFC 9110, 5.5: NUL, DEL or another control byte
	BareLF              // 2.2: LF without CR
	BareCR              // 2.2: CR without LF
	LeadingWhitespace   // 2.2: whitespace between the request line and the first field
	ObsFold             // 5.2: a field line that goes on in the next line
	FieldName           // 5: no name, no colon, or a byte that no token has
	WhitespaceAfterName // 5.1: whitespace between name and colon
	HeadTooLarge        // RFC 6585, 5: longer than the limit
	HostMissing         // 3.2
	HostRepeated        // 3.2
	LengthInvalid       // RFC 9110, 8.6: not 1*DIGIT, or above 2^63-1
	LengthRepeated      // 6.3: more than one Content-Length, even of the same value
	LengthAndEncoding   // 6.1: Content-Length together with Transfer-Encoding
	EncodingInvalid     // 6.3: Transfer-Encoding whose final coding is not chunked, or chunked twice
	EncodingUnknown     // 6.1: a transfer coding before the final chunked
	EncodingRepeated    // 6.1: more than one Transfer-Encoding field
	EncodingInHTTP10    // 6.1: Transfer-Encoding in an HTTP/1.0 request
	ChunkSize           // 7.1: not 1*16HEXDIG, or above 2^63-1
	ChunkLineTooLong    // 7.1.1: an excessive chunk extension
	ChunkEnd            // 7.1: no CRLF after the data of a chunk
	TrailerTooLarge     // 7.1.2
	TrailerField        // RFC 9110, 6.5.1: a field in the trailers that would have framed or routed the message
	reasons             // how many there are
)

var reasonNames = [reasons]string{
	"accepted", "request-line", "version", "empty-line", "preface", "control-byte", "bare-lf", "bare-cr", "leading-whitespace",
	"obs-fold", "field-name", "whitespace-after-name", "head-too-large", "host-missing", "host-repeated", "length-invalid",
	"length-repeated", "length-and-encoding", "encoding-invalid", "encoding-unknown", "encoding-repeated", "encoding-in-http10",
	"chunk-size", "chunk-line-too-long", "chunk-end", "trailer-too-large", "trailer-field",
}

// Reasons returns every reason to refuse a request, for a metric that shows each from the start.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := Accepted + 1; r < reasons; r++ {
		all = append(all, r)
	}
	return all
}

func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Status returns the status code of the answer to a request refused for r, zero for Accepted.
func (r Reason) Status() int {
	switch r {
	case Accepted:
		return 0
	case Version:
		return http.StatusHTTPVersionNotSupported
	case HeadTooLarge:
		return http.StatusRequestHeaderFieldsTooLarge
	case EncodingUnknown:
		return http.StatusNotImplemented
	default:
		return http.StatusBadRequest
	}
}
