package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// brokerUser is the user and group of the broker: what the official image has too, so that one chart fits both.
const brokerUser = 999

//go:embed entrypoint.sh
var entrypoint []byte

// brokerPackages: the certificates are for a broker that checks its clients' certificates.
var brokerPackages = []string{"rabbitmq-server", "ca-certificates"}

// unwanted are trees that nobody reads in a container: a fifth of the size.
var unwanted = []string{"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*"}

// broker is the layer of the RabbitMQ image: a minimal Debian with its own package. Making it takes a minute and the network, so it is kept
// under a hash of everything that decides it but the packages' versions; --refresh takes today's.
func broker(ctx context.Context, o options) (v1.Layer, error) {
	sources, err := debianSources(ctx, o.suite, o.mirror)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	fmt.Fprintf(h, "1 %q %q %q %s %d %d\n", sources, brokerPackages, unwanted, o.arch, o.epoch, brokerUser)
	h.Write(entrypoint)
	kept := filepath.Join(o.cache, fmt.Sprintf("rabbitmq-%x.tar.gz", h.Sum(nil)[:8]))
	if _, err := os.Stat(kept); err == nil && !o.refresh {
		return tarball.LayerFromFile(kept)
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache directory: %w", err)
	}
	dir, err := os.MkdirTemp(o.cache, "rabbitmq-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	raw := filepath.Join(dir, "root.tar")
	err = step("making RabbitMQ's root file system from Debian packages", func() (string, error) { return "", bootstrap(ctx, o, sources, raw) })
	if err != nil {
		return nil, err
	}
	err = step("packing RabbitMQ's root file system", func() (string, error) { return "", pack(raw, filepath.Join(dir, "layer.tar.gz"), o.epoch) })
	if err != nil {
		return nil, err
	}
	if err := os.Rename(filepath.Join(dir, "layer.tar.gz"), kept); err != nil {
		return nil, err
	}
	return tarball.LayerFromFile(kept)
}

// bootstrap runs mmdebstrap. The user exists before the package wants it: the package would take the next free number, which moves.
func bootstrap(ctx context.Context, o options, sources []string, out string) error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return errors.New("mmdebstrap is missing: apt-get install --no-install-recommends mmdebstrap")
	}
	user := fmt.Sprintf("rabbitmq:x:%d:%d:RabbitMQ:/var/lib/rabbitmq:/usr/sbin/nologin", brokerUser, brokerUser)
	args := []string{
		"--quiet", "--variant=minbase", "--include=" + strings.Join(brokerPackages, ","),
		fmt.Sprintf(`--essential-hook=echo %s >>"$1/etc/passwd"; echo rabbitmq:x:%d: >>"$1/etc/group"`, user, brokerUser),
	}
	for _, tree := range unwanted {
		args = append(args, "--dpkgopt=path-exclude="+tree)
	}
	// The suite is empty: the sources on standard input name theirs.
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, "", out, "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(sources, "\n") + "\n")
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", o.epoch))
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap with %q: %w\n%s", sources, err, tail(output, 4096))
	}
	return nil
}

// pack turns the root file system into a packed layer.
func pack(raw, out string, e epoch) error {
	f, err := os.Open(raw)
	if err != nil {
		return err
	}
	defer f.Close()
	entries, err := readRoot(f)
	if err != nil {
		return fmt.Errorf("read the root file system: %w", err)
	}
	entries = append(entries, content("usr/local/bin/entrypoint", 0o755, entrypoint))
	layer, err := layerOf(entries, e)
	if err != nil {
		return err
	}
	packed, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer packed.Close()
	w, err := os.Create(out)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, packed); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

func tail(output []byte, n int) []byte { return output[max(0, len(output)-n):] }
