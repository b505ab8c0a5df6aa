package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A program is a main package and the name of its binary at the root of the image.
type program struct{ name, pkg string }

func commands(names []string) []program {
	var list []program
	for _, name := range names {
		list = append(list, program{name, "./cmd/" + name})
	}
	return list
}

// programs is a layer of static binaries and the little that they need around them: trust anchors, a user with a name, a /tmp.
func programs(ctx context.Context, o options, list []program) (v1.Layer, error) {
	dir, err := os.MkdirTemp("", "surgewall-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var entries []entry
	for _, p := range list {
		out := filepath.Join(dir, p.name)
		err := step("compiling "+p.name, func() (string, error) { return "", compile(ctx, o, p, out) })
		if err != nil {
			return nil, err
		}
		binary, err := fromFile(p.name, 0o755, out)
		if err != nil {
			return nil, err
		}
		entries = append(entries, binary)
	}
	around, err := surroundings()
	if err != nil {
		return nil, err
	}
	return layerOf(append(entries, around...), o.epoch)
}

// versionVariable is what the binaries say of themselves.
const versionVariable = "github.com/surgewall/surgewall/cmd/internal/boot.version"

// compile leaves out the stamp of version control, which says whether the tree was clean: the version is passed in and is the same for a
// checkout and for an archive of it.
func compile(ctx context.Context, o options, p program, out string) error {
	ldflags := "-s -w -X " + versionVariable + "=" + o.version
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", out, p.pkg)
	cmd.Dir = o.root
	// The compiler allocates much and lives for seconds: half as many collections save a fifth of its time. The caller's own value wins.
	cmd.Env = append(append([]string{"GOGC=200"}, os.Environ()...), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+o.arch)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", p.pkg, err, bytes.TrimSpace(output))
	}
	return nil
}

// surroundings are the files beside the binaries.
func surroundings() ([]entry, error) {
	bundle, err := trustAnchors()
	if err != nil {
		return nil, err
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/:/sbin/nologin\n", nonroot, nonroot)
	group := fmt.Sprintf("root:x:0:\nnonroot:x:%d:\n", nonroot)
	return []entry{
		directory("etc", 0o755),
		content("etc/passwd", 0o644, []byte(passwd)),
		content("etc/group", 0o644, []byte(group)),
		directory("etc/ssl", 0o755),
		directory("etc/ssl/certs", 0o755),
		content("etc/ssl/certs/ca-certificates.crt", 0o644, bundle),
		directory("tmp", 0o1777),
	}, nil
}

// trustAnchors reads the certificate bundle of this machine, from where the common distributions keep it.
func trustAnchors() ([]byte, error) {
	for _, path := range []string{
		"/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Alpine
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
		"/etc/ssl/ca-bundle.pem",             // openSUSE
		"/etc/ssl/cert.pem",                  // BSD, macOS
	} {
		body, err := os.ReadFile(path)
		if err == nil {
			return body, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("read the trust anchors: %w", err)
		}
	}
	return nil, errors.New("no certificate bundle on this machine: install the package ca-certificates")
}

func goEnv(ctx context.Context, key string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", key).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", key, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// describe is the version of the checkout, or dev where there is none.
func describe(ctx context.Context, root string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", root, "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "dev"
	}
	return strings.TrimSpace(string(out))
}
