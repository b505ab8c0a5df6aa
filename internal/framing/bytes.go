package framing

import (
	"encoding/binary"
	"math/bits"
)

// token holds the bytes of a token: RFC 9110, 5.6.2.
var token = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

const each = 0x0101010101010101 // multiplied by a byte: that byte eight times

// skipText returns the index of the first byte that is no text of a field value: below 0x20, or DEL. Horizontal tab is for the caller.
func skipText(b []byte) int { return skipAbove(b, 0x20) }

// skipTarget returns the index of the first byte that is no part of a request target: below 0x21, or DEL. Bytes above 0x7F frame
// nothing, and clients do send them; they are left to whoever reads the target.
func skipTarget(b []byte) int { return skipAbove(b, 0x21) }

// skipAbove looks at eight bytes at once. In x-below*each a byte borrows from the next higher one only if it is itself below, so the
// lowest byte that is marked is marked rightly, and it is the only one asked for.
func skipAbove(b []byte, below uint64) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		y := x ^ 0x7F*each
		if marked := ((x-below*each)&^x | (y-each)&^y) & (0x80 * each); marked != 0 {
			return i + bits.TrailingZeros64(marked)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; uint64(c) < below || c == 0x7F {
			return i
		}
	}
	return i
}

// wrongByte names what is wrong with a byte that may not stand where it does.
func wrongByte(c byte, otherwise Reason) Reason {
	switch {
	case c == '\n':
		return BareLF
	case c < 0x20 && c != '\t' && c != '\r', c == 0x7F:
		return ControlByte
	default:
		return otherwise
	}
}

// equalFold reports whether name is lower, in any case. lower consists of a-z and hyphens.
func equalFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
