package framing

// requestLine reads method SP request-target SP HTTP-version CRLF, each space a single one: RFC 9112, 3.
func (p *Parser) requestLine(b []byte) (int, Reason) {
	for i := 0; i < len(b); {
		c := b[i]
		switch p.state {
		case atStart:
			switch {
			case c == 'P' && p.http2 && p.messages == 0:
				p.state, p.match = atPreface, 0
			case c == '\r' && p.head.post:
				// net/http takes line ends after the body of a POST, for old clients. One is enough; it frames nothing.
				p.state = atEmptyLF
				i++
			case c == '\r' || c == '\n':
				return i, EmptyLine
			default:
				p.state = atMethodFirst
			}
		case atPreface:
			if c == preface[p.match] {
				i++
				if p.match++; p.match == len(preface) {
					p.state = atHTTP2
					return i, Accepted
				}
				continue
			}
			if p.match > len("PRI") {
				return i, Preface
			}
			p.remember([]byte(preface)[:p.match])
			p.state = atMethod
		case atEmptyLF:
			if c != '\n' {
				return i, BareCR
			}
			p.state = atMethodFirst
			i++
		case atMethodFirst:
			if !token[c] {
				return i, wrongByte(c, RequestLine)
			}
			p.state = atMethod
		case atMethod:
			j := i
			for j < len(b) && token[b[j]] {
				j++
			}
			if j == len(b) {
				p.remember(b[i:])
				return j, Accepted
			}
			if b[j] != ' ' {
				return j, wrongByte(b[j], RequestLine)
			}
			p.head.post = string(p.whole(b[i:j])) == "POST"
			p.state = atTargetFirst
			i = j + 1
		case atTargetFirst:
			if c == ' ' {
				return i, RequestLine
			}
			p.state = atTarget
		case atTarget:
			i += skipTarget(b[i:])
			if i == len(b) {
				break
			}
			if b[i] != ' ' {
				return i, wrongByte(b[i], RequestLine)
			}
			p.state, p.match = atVersion, 0
			i++
			if http11 := "HTTP/1.1\r\n"; len(b)-i >= len(http11) && string(b[i:i+len(http11)]) == http11 {
				// What nearly all say, in one step; the result is that of the steps below.
				p.state, p.left, p.head.http10 = atFirstLine, 1, false
				n, reason := p.fields(b[i+len(http11):])
				return i + len(http11) + n, reason
			}
		case atVersion:
			if reason := p.version(c); reason != Accepted {
				return i, reason
			}
			i++
		case atRequestLF:
			if c != '\n' {
				return i, BareCR
			}
			p.state = atFirstLine
			n, reason := p.fields(b[i+1:])
			return i + 1 + n, reason
		}
	}
	return len(b), Accepted
}

// version reads one byte of HTTP-version CR. A higher minor version than 1 is read as 1.1, as RFC 9110, 2.5 wants and net/http does.
func (p *Parser) version(c byte) Reason {
	const literal = "HTTP/1.1\r" // 1 stands for any digit
	wanted := c == literal[p.match]
	switch p.match {
	case len("HTTP/"):
		wanted = c >= '0' && c <= '9'
		p.left = int64(c - '0')
	case len("HTTP/1."):
		wanted = c >= '0' && c <= '9'
		p.head.http10 = c == '0'
	case len("HTTP/1.1"):
		p.state = atRequestLF
	}
	if !wanted {
		return wrongByte(c, RequestLine)
	}
	if p.match++; p.match == len(literal) && p.left != 1 {
		return Version
	}
	return Accepted
}
