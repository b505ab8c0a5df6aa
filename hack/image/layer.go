package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// An entry is one file, directory or link of a layer; Name is without a leading slash, a directory's ends in one.
type entry struct {
	tar.Header
	open func() (io.ReadCloser, error) // nil when there is no content
}

func directory(path string, mode int64) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode}}
}

func content(path string, mode int64, body []byte) entry {
	return entry{
		Header: tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(body))},
		open:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
}

func fromFile(path string, mode int64, source string) (entry, error) {
	info, err := os.Stat(source)
	if err != nil {
		return entry{}, err
	}
	return entry{
		Header: tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: info.Size()},
		open:   func() (io.ReadCloser, error) { return os.Open(source) },
	}, nil
}

// writeTar writes the entries sorted by name with the epoch as their only time. A parent sorts before its children, because its name is a
// prefix of theirs. Hard links come last: their target has to be there, and it may sort after them.
func writeTar(w io.Writer, entries []entry, e epoch) error {
	rank := func(h tar.Header) int {
		if h.Typeflag == tar.TypeLink {
			return 1
		}
		return 0
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(rank(a.Header), rank(b.Header)), cmp.Compare(a.Name, b.Name))
	})
	out := tar.NewWriter(w)
	for _, item := range entries {
		header := item.Header
		header.ModTime, header.Format = e.time(), tar.FormatPAX
		if err := out.WriteHeader(&header); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
		if item.open == nil {
			continue
		}
		if err := copyFrom(out, item.open); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
	return out.Close()
}

func copyFrom(w io.Writer, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// layerOf keeps the packed layer in memory: it is asked for its digest, its size and its bytes, and packing takes seconds each time.
func layerOf(entries []entry, e epoch) (v1.Layer, error) {
	var buffer bytes.Buffer
	if err := writeTar(&buffer, entries, e); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	body := buffer.Bytes()
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return tarball.LayerFromOpener(open, tarball.WithCompressionLevel(1), tarball.WithCompressedCaching)
}
