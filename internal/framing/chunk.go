package framing

import "math"

// chunk reads the line before the data of a chunk, or the CRLF after it: RFC 9112, 7.1. Extensions may hold any text, which nobody
// reads; that no byte of theirs ends a line is what matters.
func (p *Parser) chunk(b []byte) (int, Reason) {
	for i := 0; i < len(b); {
		c := b[i]
		switch p.state {
		case atChunkFirst:
			p.state, p.match, p.left = atChunkSize, 0, 0
		case atChunkSize:
			digit, isHex := hexDigit(c)
			switch {
			case isHex:
				// net/http reads 16 digits, leading zeros among them.
				if p.match++; p.match > 16 || p.left > math.MaxInt64>>4 {
					return i, ChunkSize
				}
				p.left = p.left<<4 | digit
			case p.match > 0 && c == ';':
				p.state = atChunkExtension
			case p.match > 0 && c == '\r':
				p.state = atChunkLF
			default:
				return i, wrongByte(c, ChunkSize)
			}
			i++
		case atChunkExtension:
			i += skipText(b[i:])
			if i == len(b) {
				break
			}
			switch b[i] {
			case '\t':
			case '\r':
				p.state = atChunkLF
			default:
				return i, wrongByte(b[i], ControlByte)
			}
			i++
		case atChunkLF:
			if c != '\n' {
				return i, BareCR
			}
			if p.left > 0 {
				p.state = atChunkData
			} else {
				p.state, p.trailer = atFirstLine, true
			}
			return i + 1, Accepted
		case atChunkDataCR:
			if c != '\r' {
				return i, wrongByte(c, ChunkEnd)
			}
			p.state = atChunkDataLF
			i++
		case atChunkDataLF:
			if c != '\n' {
				return i, ChunkEnd
			}
			p.state = atChunkFirst
			return i + 1, Accepted
		}
	}
	return len(b), Accepted
}

func hexDigit(c byte) (int64, bool) {
	switch {
	case c >= '0' && c <= '9':
		return int64(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int64(c|0x20-'a') + 10, true
	}
	return 0, false
}
