package testleak

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestWhoEndsLateIsNoLeakAndWhoStaysIsOne(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	go func() { time.Sleep(1500 * time.Millisecond) }() // longer than goleak waits
	if err := Find(ignore); err != nil {
		t.Error(err)
	}
	stay, gone := make(chan struct{}), make(chan struct{})
	go func() { defer close(gone); <-stay }()
	if err := find(time.Millisecond, ignore); err == nil {
		t.Error("a goroutine that stays is not found")
	}
	if Check(3) != 3 {
		t.Error("the code of failed tests is lost")
	}
	close(stay)
	<-gone
}
