// Package testleak fails the tests of a package that leave goroutines behind.
//
// It gives them more time to end than goleak does by itself, which is half a second: on a busy machine connections that were closed take longer, and a
// package that fails so names no test that could be tried again.
package testleak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines may take to end.
const patience = 20 * time.Second

// Main runs the tests and returns the exit code: not 0 where goroutines are left.
func Main(m *testing.M) int { return Check(m.Run()) }

// Check returns the exit code of tests that have run, and another than 0 where goroutines of good ones are left.
func Check(code int) int {
	if code != 0 {
		return code
	}
	if err := Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Find tells of goroutines that are left, once they have had their time.
func Find(options ...goleak.Option) error { return find(patience, options...) }

func find(limit time.Duration, options ...goleak.Option) (err error) {
	for end := time.Now().Add(limit); ; {
		if err = goleak.Find(options...); err == nil || time.Now().After(end) {
			return err
		}
	}
}
