package edgeauth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"
)

// Bounds on a file of keys. An HMAC key of fewer bytes than its hash weakens it (RFC 2104 section 3); more than four keys are a mistake, as
// each costs an HMAC for whatever does not match.
const (
	MinKey  = 32  // bytes
	MaxKey  = 512 // bytes
	MaxKeys = 4
	// MaxText bounds the whole file.
	MaxText = 4 << 10
)

// Keys sign with the first of them and accept all. They are safe for concurrent use.
type Keys struct{ keys []*sync.Pool }

// state is what one computation needs; making an HMAC anew would hash the key each time.
type state struct {
	mac hash.Hash
	buf []byte
	sum []byte
}

// ParseKeys reads a file of keys: one per line, the first signs, all are accepted. Lines are trimmed, empty ones and those that begin with #
// are skipped. Its errors name the line, never what is in it.
func ParseKeys(text []byte) (*Keys, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the keys have more than %d bytes", MaxText)
	}
	k := &Keys{}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		key := bytes.TrimSpace(line)
		if len(key) == 0 || key[0] == '#' {
			continue
		}
		if len(key) < MinKey || len(key) > MaxKey {
			return nil, fmt.Errorf("line %d has %d bytes: want a key of %d to %d", number, len(key), MinKey, MaxKey)
		}
		if bytes.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return nil, fmt.Errorf("line %d: want a key of printable ASCII without spaces", number)
		}
		if len(k.keys) == MaxKeys {
			return nil, fmt.Errorf("line %d: want at most %d keys", number, MaxKeys)
		}
		key = bytes.Clone(key)
		k.keys = append(k.keys, &sync.Pool{New: func() any { return &state{mac: hmac.New(sha256.New, key)} }})
	}
	if len(k.keys) == 0 {
		return nil, fmt.Errorf("there is no key: want one per line, %d to %d bytes each", MinKey, MaxKey)
	}
	return k, nil
}

// Len returns how many keys there are: at least one.
func (k *Keys) Len() int { return len(k.keys) }
