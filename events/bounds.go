package events

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

const (
	// MaxCount bounds every count and byte sum in an event. It is below 2^53, so that any JSON reader gets it exactly.
	MaxCount = 1 << 50
	// MaxWindowMS bounds the length of a window: one minute.
	MaxWindowMS = 60_000
	// MaxReplicas bounds every replica count.
	MaxReplicas = 100_000
)

// all returns the first error.
func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func count(field string, v uint64) error { return within(field, v, 0, MaxCount) }

func within[T int | int64 | uint64](field string, v, low, high T) error {
	if v < low || v > high {
		return fmt.Errorf("%s %d: %d to %d are allowed", field, v, low, high)
	}
	return nil
}

// number checks a float. JSON cannot carry NaN or infinity, but an encoder's caller can.
func number(field string, v, high float64) error {
	if math.IsNaN(v) || v < 0 || v > high {
		return fmt.Errorf("%s %v: 0 to %v are allowed", field, v, high)
	}
	return nil
}

// text checks a string that people read.
func text(field, v string, limit int) error {
	if len(v) > limit {
		return fmt.Errorf("%s has %d bytes, at most %d are allowed", field, len(v), limit)
	}
	if !printable(v) {
		return fmt.Errorf("%s %q: only printable UTF-8 is allowed", field, clip(v))
	}
	return nil
}

// printable is true for valid UTF-8 without control characters: such text can neither break a log line nor grow
// to more than twice its length when it is written as JSON.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func size(field string, v []byte, limit int) error {
	if len(v) > limit {
		return fmt.Errorf("%s has %d bytes, at most %d are allowed", field, len(v), limit)
	}
	return nil
}

// CleanText returns s cut to limit bytes, with '?' for what is not printable.
func CleanText(s string, limit int) string {
	if len(s) > limit {
		// Going back to the start of a character keeps the cut from making half of one.
		end := limit
		for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	if printable(s) {
		return s
	}
	// A broken byte becomes one '?': the result is never longer than the input.
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
