package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// fallbackSuite is the release that is built where this machine is not Debian and none is named.
const fallbackSuite = "bookworm"

// indexFormat asks apt for one line per package index: where it is, of what release and part, and who made it.
const indexFormat = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN) $(LABEL)"

// An index is one package index that apt knows.
type index struct{ uri, codename, component, origin, label string }

// debianSources are the lines of sources.list that the image is made from: this machine's own mirror, whatever it is, so that what works for
// apt works here.
func debianSources(ctx context.Context, suite, mirror string) ([]string, error) {
	if mirror != "" {
		if suite == "" {
			suite = fallbackSuite
		}
		return []string{fmt.Sprintf("deb %s %s main", mirror, suite)}, nil
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", indexFormat, "Created-By: Packages").Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt for its mirrors (name one with --mirror): %w", err)
	}
	return chooseSources(parseIndexes(string(out)), suite)
}

func parseIndexes(text string) []index {
	var list []index
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 5 {
			list = append(list, index{f[0], f[1], f[2], f[3], f[4]})
		}
	}
	return list
}

// chooseSources picks the main component of Debian's own indexes: release, updates and security as this machine has them. For another release
// than this machine's it keeps the mirrors and exchanges the name.
func chooseSources(all []index, suite string) ([]string, error) {
	var lines []string
	here := ""
	for _, i := range all {
		if i.origin != "Debian" || i.component != "main" {
			continue
		}
		release, pocket, _ := strings.Cut(i.codename, "-")
		if pocket != "" && pocket != "updates" && pocket != "security" {
			continue
		}
		if pocket == "" && here == "" {
			here = release
		}
		if suite != "" {
			release = suite
		}
		if pocket != "" {
			release += "-" + pocket
		}
		if line := fmt.Sprintf("deb %s %s main", i.uri, release); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if here == "" {
		return nil, errors.New("apt on this machine has no Debian release among its sources (or was never updated): name a mirror with --mirror")
	}
	return lines, nil
}
