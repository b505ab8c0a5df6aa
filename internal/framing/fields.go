package framing

import "math"

// valuePart is where in OWS value OWS the next byte stands.
type valuePart uint8

const (
	beforeValue valuePart = iota
	inValue
	afterValue
)

// coding follows the list of transfer codings.
type coding struct {
	match   int8 // how many bytes of "chunked" the current one has, noMatch if it is another
	others  bool // a coding other than chunked came before the current one
	chunked bool // chunked came before the current one
}

const (
	chunked = "chunked"
	noMatch = -1
)

// fields reads field lines up to and including the empty line that ends them, of a head or of trailers: RFC 9112, 5 and 7.1.2.
func (p *Parser) fields(b []byte) (int, Reason) {
	for i := 0; i < len(b); {
		c := b[i]
		switch p.state {
		case atFirstLine, atLine:
			switch {
			case token[c]:
				p.state = atName
			case c == '\r':
				p.state = atEndLF
				i++
			case c != ' ' && c != '\t':
				return i, wrongByte(c, FieldName)
			case p.state == atFirstLine:
				return i, LeadingWhitespace
			default:
				return i, ObsFold
			}
		case atName:
			j := i
			for j < len(b) && token[b[j]] {
				j++
			}
			if j == len(b) {
				p.remember(b[i:])
				return j, Accepted
			}
			if b[j] == ' ' || b[j] == '\t' {
				return j, WhitespaceAfterName
			}
			if b[j] != ':' {
				return j, wrongByte(b[j], FieldName)
			}
			p.state = atValue
			if reason := p.field(p.whole(b[i:j])); reason != Accepted {
				return j, reason
			}
			i = j + 1
		case atValue:
			i += skipText(b[i:])
			if i == len(b) {
				break
			}
			switch b[i] {
			case '\t':
			case '\r':
				p.state = atValueLF
				if i+1 < len(b) && b[i+1] == '\n' { // the step below, at once
					p.state = atLine
					i++
				}
			default:
				return i, wrongByte(b[i], ControlByte)
			}
			i++
		case atLength:
			if reason := p.lengthByte(c); reason != Accepted {
				return i, reason
			}
			i++
		case atEncoding:
			if reason := p.encodingByte(c); reason != Accepted {
				return i, reason
			}
			i++
		case atValueLF:
			if c != '\n' {
				return i, BareCR
			}
			p.state = atLine
			i++
		case atEndLF:
			if c != '\n' {
				return i, BareCR
			}
			if reason := p.endOfFields(); reason != Accepted {
				return i, reason
			}
			return i + 1, Accepted
		}
	}
	return len(b), Accepted
}

// field takes note of a name, and decides how its value is read.
func (p *Parser) field(name []byte) Reason {
	h := &p.head
	var is state
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			is = atValue
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			is = atLength
		}
	case len("transfer-encoding"):
		if equalFold(name, "transfer-encoding") {
			is = atEncoding
		}
	}
	switch {
	case is == 0:
		return Accepted
	case p.trailer:
		return TrailerField
	case is == atValue && h.host:
		return HostRepeated
	case is == atValue:
		h.host = true
	case is == atEncoding && h.http10:
		return EncodingInHTTP10
	case is == atEncoding && h.length, is == atLength && h.encoding:
		return LengthAndEncoding
	case is == atLength && h.length:
		return LengthRepeated
	case is == atEncoding && h.encoding:
		return EncodingRepeated
	case is == atLength:
		h.length = true
		p.left = 0
	default:
		h.encoding = true
	}
	p.state, h.value = is, beforeValue
	return Accepted
}

// lengthByte reads one byte of OWS 1*DIGIT OWS CR.
func (p *Parser) lengthByte(c byte) Reason {
	part := &p.head.value
	switch {
	case c >= '0' && c <= '9' && *part != afterValue:
		*part = inValue
		digit := int64(c - '0')
		if p.left > (math.MaxInt64-digit)/10 {
			return LengthInvalid
		}
		p.left = p.left*10 + digit
	case c == ' ' || c == '\t':
		if *part == inValue {
			*part = afterValue
		}
	case c == '\r' && *part != beforeValue:
		p.state = atValueLF
	default:
		return wrongByte(c, LengthInvalid)
	}
	return Accepted
}

// encodingByte reads one byte of a list of codings, which has to be "chunked" alone.
func (p *Parser) encodingByte(c byte) Reason {
	part, list := &p.head.value, &p.head.coding
	switch {
	case c == ' ' || c == '\t':
		if *part == inValue {
			*part = afterValue
		}
	case c == ',':
		list.chunked = list.chunked || list.match == int8(len(chunked))
		list.others = list.others || list.match == noMatch
		list.match, *part = 0, beforeValue
	case c == '\r':
		p.state = atValueLF
		switch {
		case list.match != int8(len(chunked)) || list.chunked:
			return EncodingInvalid
		case list.others:
			return EncodingUnknown
		}
	case c < 0x20 || c == 0x7F:
		return wrongByte(c, ControlByte)
	default:
		if *part == afterValue || list.match == noMatch || int(list.match) == len(chunked) || c|0x20 != chunked[list.match] {
			list.match = noMatch
		} else {
			list.match++
		}
		*part = inValue
	}
	return Accepted
}

// endOfFields decides what follows the empty line.
func (p *Parser) endOfFields() Reason {
	switch h := &p.head; {
	case p.trailer:
		p.endOfMessage()
	case !h.host && !h.http10:
		return HostMissing
	case h.encoding:
		p.state = atChunkFirst
	case h.length && p.left > 0:
		p.state = atBody
	default:
		p.endOfMessage()
	}
	return Accepted
}
