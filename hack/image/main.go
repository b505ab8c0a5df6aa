// Command image builds the container images of this repository without a container engine.
//
//	hack/image/build [--out dist/images] [--tag dev] surgewall|demo-origin|rabbitmq|all
//
// Each image is an empty one plus one layer, written as a tar file that `kind load image-archive`, `docker load` and `ctr images import`
// take. Entries are sorted and times fixed (SOURCE_DATE_EPOCH, or 1970), so the same inputs give the same digest.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// options are what the command line and the environment decide.
type options struct {
	root    string // the repository
	out     string // where the tar files go
	tag     string
	cache   string // where the RabbitMQ layer is kept between runs
	suite   string // Debian release of the RabbitMQ image; empty: the one of this machine
	mirror  string // Debian mirror; empty: the one of this machine's apt
	refresh bool   // make the RabbitMQ layer anew
	version string // what the binaries say of themselves
	arch    string // GOARCH of the images
	epoch   epoch
}

func run(ctx context.Context, args []string) error {
	var o options
	var dir string
	fs := pflag.NewFlagSet("image", pflag.ContinueOnError)
	fs.StringVar(&o.out, "out", "dist/images", "directory for the tar files")
	fs.StringVar(&o.tag, "tag", "dev", "tag of the images")
	fs.StringVar(&o.suite, "suite", "", "Debian release of the RabbitMQ image, such as bookworm (3.10) or trixie (4.0); default: this machine's, else bookworm")
	fs.StringVar(&o.mirror, "mirror", "", "Debian mirror of the RabbitMQ image; default: the one in this machine's apt sources")
	fs.BoolVar(&o.refresh, "refresh", false, "make the RabbitMQ layer anew, with today's packages")
	fs.StringVar(&o.version, "version", "", "version compiled into the binaries; default: git describe")
	fs.StringVar(&dir, "dir", ".", "directory that --out is relative to")
	fs.StringVar(&o.root, "root", ".", "the repository")
	fs.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: hack/image/build [flags] %s|all\n%s", strings.Join(names(), "|"), fs.FlagUsages())
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if !filepath.IsAbs(o.out) {
		o.out = filepath.Join(dir, o.out)
	}
	wanted, err := wanted(fs.Args())
	if err != nil {
		return err
	}
	if o.epoch, err = epochFrom(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	if o.cache, err = cacheDir(); err != nil {
		return err
	}
	if o.arch, err = goEnv(ctx, "GOARCH"); err != nil {
		return err
	}
	if o.version == "" {
		o.version = describe(ctx, o.root)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the output directory: %w", err)
	}
	for _, target := range wanted {
		if err := build(ctx, o, target); err != nil {
			return fmt.Errorf("%s: %w", target.name, err)
		}
	}
	return nil
}

func wanted(args []string) ([]target, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("name an image: %s or all", strings.Join(names(), ", "))
	}
	var list []target
	for _, arg := range args {
		found := false
		for _, t := range targets {
			if arg == t.name || arg == "all" {
				list, found = append(list, t), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no image is called %q: %s or all", arg, strings.Join(names(), ", "))
		}
	}
	return list, nil
}

// cacheDir is where what takes long to make is kept, outside the tree: the same place that the scripts under hack use.
func cacheDir() (string, error) {
	if dir := os.Getenv("SURGEWALL_CACHE"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "surgewall"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory (set SURGEWALL_CACHE): %w", err)
	}
	return filepath.Join(home, ".cache", "surgewall"), nil
}
