package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func testOptions(t *testing.T) options {
	return options{root: "../..", out: t.TempDir(), tag: "test", version: "v0.0.0-test", arch: runtime.GOARCH}
}

// self is a target whose program is this one: it builds in any state of the tree.
func self(t *testing.T, o options) (target, v1.Image) {
	t.Helper()
	layer, err := programs(t.Context(), o, []program{{"image", "./hack/image"}})
	if err != nil {
		t.Fatal(err)
	}
	tgt := target{name: "self", description: "a test", config: targets[0].config}
	image, err := assemble(o, tgt, layer)
	if err != nil {
		t.Fatal(err)
	}
	return tgt, image
}

func TestSameInputsGiveTheSameDigest(t *testing.T) {
	if testing.Short() {
		t.Skip("links a binary twice")
	}
	o := testOptions(t)
	var digests []v1.Hash
	var bodies [][]byte
	for _, file := range []string{"one.tar", "two.tar"} {
		tgt, image := self(t, o)
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(o.out, file)
		if _, err := write(image, tgt.name, o.tag, path); err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		digests, bodies = append(digests, digest), append(bodies, body)
	}
	if digests[0] != digests[1] {
		t.Errorf("two builds gave %s and %s", digests[0], digests[1])
	}
	if !bytes.Equal(bodies[0], bodies[1]) {
		t.Error("two builds gave different tar files")
	}
	o.epoch = 86400
	_, image := self(t, o)
	if other, err := image.Digest(); err != nil || other == digests[0] {
		t.Errorf("SOURCE_DATE_EPOCH did not reach the image: %s, %v", other, err)
	}
}

// TestTheVersionReachesTheBinary: the linker takes a -X for a variable that does not exist without a word.
func TestTheVersionReachesTheBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("links a binary")
	}
	o := testOptions(t)
	binary := filepath.Join(o.out, "surgectl")
	if err := compile(t.Context(), o, program{"surgectl", "./cmd/surgectl"}, binary); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "version").Output() //nolint:gosec // just built
	if got := strings.TrimSpace(string(out)); err != nil || got != o.version {
		t.Errorf("surgectl version says %q, %v; want %q", got, err, o.version)
	}
	// The other two places that pass the version name the same variable.
	for _, file := range []string{"Dockerfile", "Makefile"} {
		text, err := os.ReadFile(filepath.Join(o.root, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(versionVariable+"=")) {
			t.Errorf("%s does not set %s", file, versionVariable)
		}
	}
}

func TestImageSaysWhatContainerdAndKubernetesAsk(t *testing.T) {
	if testing.Short() {
		t.Skip("links a binary")
	}
	o := testOptions(t)
	o.epoch = 1_700_000_000
	tgt, image := self(t, o)
	path := filepath.Join(o.out, "self.tar")
	if _, err := write(image, tgt.name, o.tag, path); err != nil {
		t.Fatal(err)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		t.Fatal(err)
	}
	if got := manifest[0].RepoTags; len(got) != 1 || got[0] != "surgewall/self:test" {
		t.Errorf("the archive names its image %q", got)
	}
	read, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := read.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH {
		t.Errorf("platform is %s/%s: containerd would find no match", config.OS, config.Architecture)
	}
	if config.Config.User != "65532" {
		t.Errorf("user is %q: Kubernetes can hold only a number against runAsNonRoot", config.Config.User)
	}
	if !config.Created.Equal(time.Unix(1_700_000_000, 0)) {
		t.Errorf("created at %s", config.Created)
	}
	layers, err := read.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v: want one", len(layers), err)
	}
	body, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var found []string
	for r := tar.NewReader(body); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(config.Created.Time) {
			t.Errorf("%s is of %s", h.Name, h.ModTime)
		}
		found = append(found, h.Name)
	}
	want := []string{"etc/", "etc/group", "etc/passwd", "etc/ssl/", "etc/ssl/certs/", "etc/ssl/certs/ca-certificates.crt", "image", "tmp/"}
	if !slices.Equal(found, want) {
		t.Errorf("the layer holds %q, want %q", found, want)
	}
}

func TestDockerfileHasTheSameBinaries(t *testing.T) {
	body, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile(`\./cmd/([a-z]+)`).FindAllSubmatch(body, -1) {
		found = append(found, string(match[1]))
	}
	if !slices.Equal(found, binaries) {
		t.Errorf("the Dockerfile builds %q, hack/image %q", found, binaries)
	}
	config := targets[0].config
	for _, line := range []string{"USER " + config.User, `CMD ["` + strings.Join(config.Cmd, `", "`) + `"]`, "ENV " + config.Env[0]} {
		if !strings.Contains(string(body), "\n"+line+"\n") {
			t.Errorf("the Dockerfile lacks the line %q of hack/image", line)
		}
	}
}

func TestEpoch(t *testing.T) {
	for text, want := range map[string]epoch{"": 0, "0": 0, "1700000000": 1_700_000_000} {
		if got, err := epochFrom(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "now", "1.5"} {
		if _, err := epochFrom(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: error %v does not name it", text, err)
		}
	}
}

func TestSourcesAreThisMachinesOwn(t *testing.T) {
	const apt = `http://mirror.example/debian/ bookworm main Debian Debian
http://mirror.example/debian/ bookworm contrib Debian Debian
http://mirror.example/debian/ bookworm-updates main Debian Debian
http://mirror.example/debian/ bookworm-backports main Debian Debian
http://mirror.example/debian-security/ bookworm-security main Debian Debian-Security
https://elsewhere.example/apt/ stable main Vendor Vendor
`
	tests := []struct {
		suite string
		want  []string
	}{
		{"", []string{
			"deb http://mirror.example/debian/ bookworm main",
			"deb http://mirror.example/debian/ bookworm-updates main",
			"deb http://mirror.example/debian-security/ bookworm-security main",
		}},
		{"trixie", []string{
			"deb http://mirror.example/debian/ trixie main",
			"deb http://mirror.example/debian/ trixie-updates main",
			"deb http://mirror.example/debian-security/ trixie-security main",
		}},
	}
	for _, test := range tests {
		got, err := chooseSources(parseIndexes(apt), test.suite)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("suite %q: %q, %v", test.suite, got, err)
		}
	}
	if _, err := chooseSources(parseIndexes("https://elsewhere.example/apt/ stable main Vendor Vendor\n"), ""); err == nil {
		t.Error("a machine without Debian's sources should be told to name a mirror")
	}
}

func TestRootKeepsNoSecretAndNothingOfOneMachine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./"},
		{Typeflag: tar.TypeDir, Name: "./dev/"},
		{Typeflag: tar.TypeChar, Name: "./dev/null"},
		{Typeflag: tar.TypeReg, Name: "./etc/machine-id", Size: 4},
		{Typeflag: tar.TypeReg, Name: "./usr/bin/perl", Size: 4, Mode: 0o755},
		{Typeflag: tar.TypeLink, Name: "./usr/bin/a-link", Linkname: "./usr/bin/perl"},
		{Typeflag: tar.TypeReg, Name: "./var/lib/rabbitmq/.erlang.cookie", Size: 4},
		{Typeflag: tar.TypeReg, Name: "./var/log/dpkg.log", Size: 4},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, "body")
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	entries, err := readRoot(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeTar(&out, entries, 0); err != nil {
		t.Fatal(err)
	}
	var found []string
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		body, _ := io.ReadAll(r)
		found = append(found, h.Name+" "+h.Linkname+" "+string(body))
	}
	want := []string{"dev/  ", "usr/bin/perl  body", "usr/bin/a-link usr/bin/perl "}
	if !slices.Equal(found, want) {
		t.Errorf("the layer holds %q, want %q: links after their targets, content whole", found, want)
	}
}

func TestUnknownImageIsNamed(t *testing.T) {
	if _, err := wanted([]string{"surgewal"}); err == nil || !strings.Contains(err.Error(), `"surgewal"`) {
		t.Errorf("error %v does not name what was asked", err)
	}
	if list, err := wanted([]string{"all"}); err != nil || len(list) != len(targets) {
		t.Errorf("all gives %d images, %v", len(list), err)
	}
}
