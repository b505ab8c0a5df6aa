package config

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Bytes is a number of bytes that can be written with a binary unit: 64KiB, 512MiB, 2GiB.
type Bytes int64

var _ pflag.Value = (*Bytes)(nil)

var units = []struct {
	suffix string
	size   int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// Set parses a size. Decimal units are refused: the reader of "512M" cannot know whether 2.4% more was meant.
func (b *Bytes) Set(text string) error {
	for _, unit := range units {
		digits, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n > math.MaxInt64/uint64(unit.size) {
			break
		}
		*b = Bytes(int64(n) * unit.size)
		return nil
	}
	return errors.New("want a whole number of bytes, alone or with KiB, MiB, GiB or TiB")
}

// String writes the size in the largest unit that needs no fraction.
func (b *Bytes) String() string {
	for _, unit := range units[:4] {
		if *b != 0 && int64(*b)%unit.size == 0 {
			return strconv.FormatInt(int64(*b)/unit.size, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Type names the kind of value in the help.
func (b *Bytes) Type() string { return "size" }

const secretAnnotation = "surgewall_secret"

// Secret marks a flag whose value may hold a password: it is masked wherever settings are printed.
func Secret(fs *pflag.FlagSet, name string) {
	// The only error is an unknown flag, which is a mistake in the line above the call.
	if err := fs.SetAnnotation(name, secretAnnotation, []string{"true"}); err != nil {
		panic(err)
	}
}

// IsSecret reports whether the flag was marked by Secret.
func IsSecret(f *pflag.Flag) bool { return len(f.Annotations[secretAnnotation]) > 0 }

// Masked returns the value as it may be shown: a URL without its password, anything else as stars, nothing as nothing.
// A URL with an @ behind its host is stars too: a bare / ? or # in the password has ended the host too early, and the rest of the password
// stands where it is not looked for.
func Masked(value string) string {
	if value == "" {
		return ""
	}
	if u, err := url.Parse(value); err == nil && u.Scheme != "" && u.Host != "" && !strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		u.RawQuery, u.Fragment = "", ""
		return u.Redacted()
	}
	return "*****"
}
