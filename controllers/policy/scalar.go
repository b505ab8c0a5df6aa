package policy

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// The problems that a value can have. They complete the sentence `key "value" …`.
var (
	errNotAllowed   = errors.New("is not an allowed value")
	errNotANumber   = errors.New("is not a number")
	errNotWhole     = errors.New("is not a whole number")
	errNotADuration = errors.New("is not a duration such as 90s, 5m or 1h30m")
	errNotAStep     = errors.New("is not a whole number or a percentage such as 20%")
	errNotATime     = errors.New("is not a time")
	errNotAHold     = errors.New("is not a number of edges with or without an end")
	errNotAName     = errors.New("is not a name of a Kubernetes object")
	errOutOfRange   = errors.New("is out of range")
)

const dnsNameAllowed = "lower-case letters, digits, '-' and '.', at most 253 characters, a letter or digit at both ends"

// parseFloat takes decimal notation only: strconv also knows hexadecimal,
// underscores, "inf" and "nan", and none of them is what an operator meant.
func parseFloat(v string) (float64, error) {
	if v == "" || strings.Trim(v, "0123456789.-+eE") != "" {
		return 0, errNotANumber
	}
	x, err := strconv.ParseFloat(v, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errNotANumber
	}
	if math.IsInf(x, 0) {
		return 0, errOutOfRange
	}
	return x, nil
}

func parseInt(v string) (int, error) {
	n, err := strconv.Atoi(v)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errOutOfRange
	case err != nil || v[0] == '+':
		return 0, errNotWhole
	}
	return n, nil
}

func parseTime(v string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return time.Time{}, errNotATime
	}
	if t = t.UTC(); t.Year() < 2000 || t.Year() > 2999 {
		return time.Time{}, errOutOfRange
	}
	return t, nil
}

func parseName(v string) (string, error) {
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	if v == "" || len(v) > 253 || !alnum(v[0]) || !alnum(v[len(v)-1]) {
		return "", errNotAName
	}
	for i := range len(v) {
		if c := v[i]; !alnum(c) && c != '-' && c != '.' {
			return "", errNotAName
		}
	}
	return v, nil
}

func formatInt(n int) string       { return strconv.Itoa(n) }
func formatFloat(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// FormatDuration leaves out the zero units that time.Duration prints: 5m, not 5m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
