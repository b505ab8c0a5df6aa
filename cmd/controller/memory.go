package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rs/zerolog"
)

// settled is when the start is over: the caches are filled, the first decisions made.
const settled = 15 * time.Second

// giveBack returns what only the start needed, once: the heap that the first lists of the API server took, and those pages of the
// program that nobody but the initialisation of the Kubernetes libraries has read. They are three quarters of what a controller of a
// small cluster has in memory. What is needed again comes from the page cache.
func giveBack(ctx context.Context, logger zerolog.Logger) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settled):
	}
	debug.FreeOSMemory()
	if err := dropProgramPages(); err != nil {
		logger.Debug().Err(err).Msg("the pages of the program stay in memory")
	}
	<-ctx.Done()
	return ctx.Err()
}

// dropProgramPages takes the pages of the program that cannot have been written to out of this process.
func dropProgramPages() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("read the mappings: %w", err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uintptr
		var access string
		line := lines.Text()
		if n, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); err != nil || n != 3 || !strings.HasSuffix(line, " "+program) {
			continue
		}
		if strings.Contains(access, "w") || !strings.HasSuffix(access, "p") {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("drop the pages at %x: %w", from, errno)
		}
	}
	return nil
}
