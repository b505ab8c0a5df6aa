package framing

// A state says what the next byte of the stream is expected to be.
type state uint8

const (
	atStart       state = iota // nothing of the next head has been read
	atPreface                  // matching the preface of HTTP/2
	atEmptyLF                  // after the CR of an empty line that is let pass before a request line
	atMethodFirst              // after that line
	atMethod
	atTargetFirst
	atTarget
	atVersion
	atRequestLF
	atFirstLine // the first field line, or the end
	atLine      // another field line, or the end
	atName
	atValue
	atLength   // the value of Content-Length
	atEncoding // the value of Transfer-Encoding
	atValueLF
	atEndLF

	atChunkFirst
	atChunkSize
	atChunkExtension
	atChunkLF
	atChunkDataCR
	atChunkDataLF

	atBody      // Content-Length
	atChunkData // until the end of the chunk
	atHTTP2     // after the preface: for good
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // RFC 9113, 3.4

const (
	// maxChunkLine bounds a chunk size with its extensions. net/http reads up to 4 KiB; nobody is known to send any extension.
	maxChunkLine = 256
	// maxTrailer is a little less than net/http can read, whose trailers have to fit the connection's buffer of 4 KiB: what is too long
	// is then refused, and counted, here.
	maxTrailer = 4000
)

// A Parser follows one direction of an HTTP/1.x connection, from client to server, and judges every byte that frames a request. Heads,
// bodies and trailers may arrive in pieces of any size: the verdict is a function of the bytes alone. A Parser keeps no bytes but the
// first few of a name; it never allocates. The zero value is of no use: NewParser. It is not safe for concurrent use.
type Parser struct {
	maxHead int
	http2   bool

	state   state
	trailer bool // the field lines are trailers
	refused Reason

	used     int    // bytes of the head, the chunk line or the trailers so far
	match    int    // how far a literal, or the digits of a chunk size, have come
	left     int64  // bytes of the body or of the chunk to come; while they are read, the length
	messages uint64 // complete ones

	word    [18]byte // the start of a name that was cut by the end of a piece
	wordLen int

	head head
}

// head is what has been seen of the current head.
type head struct {
	http10, post, host bool
	length, encoding   bool
	value              valuePart
	coding             coding
}

// NewParser returns a parser at the start of a connection. maxHead bounds a request's head in bytes, request line, fields and line ends
// included. http2 lets the preface of HTTP/2 pass, and everything after it unread.
func NewParser(maxHead int, http2 bool) Parser {
	return Parser{maxHead: maxHead, http2: http2}
}

// Parse judges the next piece of the stream. It returns how many of its bytes may be handed on, which is all of them unless there is
// a reason not to: then it is those before the head that is refused if that began in this piece, else those before the byte
// that broke it. Every later call hands on nothing, for the same reason.
//
// The LF that completes a head is never handed on before the whole head has been found in order; see Hold for the one exception.
func (p *Parser) Parse(b []byte) (accepted int, reason Reason) {
	if p.refused != Accepted {
		return 0, p.refused
	}
	began := -1 // where in b the current head began
	for i := 0; i < len(b); {
		switch p.state {
		case atHTTP2:
			return len(b), Accepted
		case atBody, atChunkData:
			n := min(p.left, int64(len(b)-i))
			p.left -= n
			i += int(n)
			if p.left == 0 {
				p.endOfData()
			}
			continue
		case atStart:
			began = i
		}
		limit, tooLong := p.limit()
		window := b[i:]
		if room := limit - p.used; room == 0 {
			p.refused = tooLong
		} else {
			n := 0
			n, p.refused = p.section(window[:min(room, len(window))])
			p.used += n
			i += n
		}
		if p.refused != Accepted {
			if began >= 0 {
				i = began
			}
			return i, p.refused
		}
		switch p.state {
		case atStart, atBody, atChunkFirst:
			p.used, began = 0, -1
		case atChunkData, atFirstLine:
			if p.trailer || p.state == atChunkData {
				p.used = 0
			}
		}
	}
	return len(b), Accepted
}

// InHead reports whether the next byte belongs to a head: the request that was refused, if one was, never began for the reader.
func (p *Parser) InHead() bool { return p.state <= atEndLF && !p.trailer }

// HTTP2 reports whether the preface has passed.
func (p *Parser) HTTP2() bool { return p.state == atHTTP2 }

// Hold reports that the last bytes must not be handed on before the next ones have been judged: so much of the preface has come that it
// would be a complete head of HTTP/1.x, in which net/http finds a request of method PRI, and it may yet be refused.
func (p *Parser) Hold() bool { return p.state == atPreface && p.match >= len("PRI * HTTP/2.0\r\n\r\n") }

func (p *Parser) limit() (int, Reason) {
	switch {
	case p.state >= atChunkFirst:
		return maxChunkLine, ChunkLineTooLong
	case p.trailer:
		return maxTrailer, TrailerTooLarge
	default:
		return p.maxHead, HeadTooLarge
	}
}

// section reads on to the end of b or of the section: the head, a chunk's line, the end of its data, or the trailers.
func (p *Parser) section(b []byte) (int, Reason) {
	switch {
	case p.state >= atChunkFirst:
		return p.chunk(b)
	case p.state < atFirstLine:
		return p.requestLine(b)
	default:
		return p.fields(b)
	}
}

func (p *Parser) endOfData() {
	if p.state == atChunkData {
		p.state = atChunkDataCR
		return
	}
	p.endOfMessage()
}

func (p *Parser) endOfMessage() {
	p.messages++
	p.state, p.trailer = atStart, false
	p.head = head{post: p.head.post}
}

// remember keeps the start of a word that goes on in the next piece. What exceeds the buffer is longer than any word that matters.
func (p *Parser) remember(part []byte) {
	p.wordLen += copy(p.word[p.wordLen:], part)
}

// whole returns the word that ends with tail.
func (p *Parser) whole(tail []byte) []byte {
	if p.wordLen == 0 {
		return tail
	}
	p.remember(tail)
	word := p.word[:p.wordLen]
	p.wordLen = 0
	return word
}
