package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
)

// secretOrVolatile are files of a bootstrapped root that must not be in an image: what identifies one machine, what the runtime mounts
// over, and what differs from one run to the next.
var secretOrVolatile = []string{
	"var/lib/rabbitmq/.erlang.cookie", // a shared secret; the broker makes its own at the first start
	"etc/machine-id",
	"etc/hostname", "etc/hosts", "etc/resolv.conf",
	"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-",
	"var/cache/ldconfig/aux-cache",
	"var/lib/dbus/machine-id",
}

// emptied are directories that stay without what is in them. /dev belongs to the runtime, and a device node needs a right that the one who
// unpacks may not have.
var emptied = []string{"dev/", "proc/", "sys/", "run/", "tmp/", "var/log/", "var/cache/apt/", "var/cache/debconf/", "var/lib/apt/lists/"}

// readRoot lists the entries of a root file system that go into an image. Their content is read from the file when the layer is written.
func readRoot(file *os.File) ([]entry, error) {
	var entries []entry
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		path := strings.TrimPrefix(header.Name, "./")
		if path == "" || leftOut(path, header.Typeflag) {
			continue
		}
		item := entry{Header: tar.Header{
			Typeflag: header.Typeflag, Name: path, Linkname: header.Linkname, Mode: header.Mode, Size: header.Size, Uid: header.Uid, Gid: header.Gid,
		}}
		if header.Typeflag == tar.TypeLink {
			item.Linkname = strings.TrimPrefix(header.Linkname, "./")
		}
		if header.Typeflag == tar.TypeReg {
			// The tar reader stops exactly where the content begins.
			offset, err := file.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			item.open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.NewSectionReader(file, offset, header.Size)), nil
			}
		}
		entries = append(entries, item)
	}
}

func leftOut(path string, kind byte) bool {
	if kind == tar.TypeChar || kind == tar.TypeBlock || kind == tar.TypeFifo {
		return true
	}
	if slices.Contains(secretOrVolatile, path) {
		return true
	}
	return slices.ContainsFunc(emptied, func(dir string) bool { return strings.HasPrefix(path, dir) && path != dir })
}
