package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// residentFiles are the KiB of pages of files that this process has in memory.
func residentFiles(t *testing.T) (kib int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("NOT TESTED: the memory of a process is told by /proc/self/status, of Linux: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "RssFile: %d kB", &kib)
	}
	return kib
}

// What is dropped is what nobody needs again soon; what runs comes back by itself.
func TestPagesThatOnlyTheStartNeededAreDropped(t *testing.T) {
	before := residentFiles(t)
	if err := dropProgramPages(); err != nil {
		t.Fatal(err)
	}
	if after := residentFiles(t); after >= before {
		t.Errorf("%d KiB of files are in memory, before there were %d", after, before)
	}
}
