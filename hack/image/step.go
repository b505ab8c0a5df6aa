package main

import (
	"fmt"
	"os"
	"time"
)

// step runs f and says on standard error how long it has been at it, every ten seconds, and what came out with the time that it took.
func step(text string, f func() (string, error)) error {
	began := time.Now()
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(10 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(os.Stderr, "  %s … %d s\n", text, int(time.Since(began).Seconds()))
			}
		}
	}()
	result, err := f()
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if result != "" {
		fmt.Fprintf(os.Stderr, "  %s (%.1f s): %s\n", text, time.Since(began).Seconds(), result)
	} else if spent := time.Since(began); spent > 2*time.Second {
		fmt.Fprintf(os.Stderr, "  %s: %.1f s\n", text, spent.Seconds())
	}
	return nil
}
