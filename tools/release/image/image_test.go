package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// build makes a command of the root module as `make image` does.
func build(t *testing.T, command, arch string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), command+"-"+arch)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", "..", ".."), "-buildvcs=false", "-trimpath", "-ldflags", "-s -w -X main.version=v9.9.9", "-o", file, "./cmd/"+command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s for %s: %v\n%s", command, arch, err, out)
	}
	return file
}

func image(t *testing.T, index v1.ImageIndex, arch string) v1.Image {
	t.Helper()
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		if d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == arch {
			img, err := index.Image(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return img
		}
	}
	t.Fatalf("there is no image for linux/%s", arch)
	return nil
}

// unpack writes the root of an image to a folder, as a runtime would.
func unpack(t *testing.T, img v1.Image) string {
	t.Helper()
	root := t.TempDir()
	layers := mutate.Extract(img)
	defer layers.Close()
	for r := tar.NewReader(layers); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return root
		}
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(root, filepath.FromSlash(h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(at, h.FileInfo().Mode())
		case tar.TypeReg:
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(at, content, h.FileInfo().Mode())
			}
		default:
			t.Errorf("%s is of type %q", h.Name, h.Typeflag)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// inside runs the image's entry point with the unpacked root as its root, as the
// user that the image names, in namespaces of its own: there is nothing else to
// find for it.
func inside(t *testing.T, root string, cfg v1.Config, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), cfg.Entrypoint[0], append(cfg.Entrypoint[1:], args...)...)
	cmd.Env, cmd.Dir = cfg.Env, cfg.WorkingDir
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:      root,
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: owner, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: owner, HostID: os.Getgid(), Size: 1}},
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func config(t *testing.T, img v1.Image) v1.Config {
	t.Helper()
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Config
}

// The image runs from its own root, with nothing else in it, as its own user.
func TestRunsFromItsRoot(t *testing.T) {
	spec := Spec{Name: "remediate", Version: "v9.9.9", Created: time.Unix(1, 0).UTC(), Binaries: []Binary{
		{Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, File: build(t, "remediate", runtime.GOARCH)},
	}}
	index, err := spec.Index()
	if err != nil {
		t.Fatal(err)
	}
	img := image(t, index, runtime.GOARCH)
	root, cfg := unpack(t, img), config(t, img)
	if cfg.User != "65532:65532" {
		t.Errorf("it runs as %q", cfg.User)
	}
	out, err := inside(t, root, cfg, "version")
	if err != nil || !strings.Contains(out, "remediate v9.9.9") {
		t.Errorf("version: %v\n%s", err, out)
	}
	// What is embedded is there, and what is written goes where it may.
	out, err = inside(t, root, cfg, "demo", "--output-dir", "/data/out")
	if err != nil || !strings.Contains(out, "native-routing-cidr-excludes-pods") {
		t.Errorf("demo: %v\n%s", err, out)
	}
	if pages, err := os.ReadDir(filepath.Join(root, "data", "out")); err != nil || len(pages) == 0 {
		t.Errorf("it wrote nothing: %v", err)
	}
	out, err = inside(t, root, cfg, "no-such-command")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, "no-such-command") {
		t.Errorf("a wrong command: %v\n%s", err, out)
	}
	holdsOnly(t, root, "data/out")
	trusts(t, filepath.Join(root, "etc", "ssl", "certs", "ca-certificates.crt"))
}

// holdsOnly: no shell, no package manager, nothing that was forgotten.
func holdsOnly(t *testing.T, root, besides string) {
	t.Helper()
	want := map[string]bool{"etc/group": true, "etc/passwd": true, "etc/ssl/certs/ca-certificates.crt": true, "usr/local/bin/remediate": true}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, file)
		if err != nil || d.IsDir() || strings.HasPrefix(rel, besides) || strings.HasPrefix(rel, "tmp/") {
			return err
		}
		if !want[rel] {
			t.Errorf("%s is in the image", rel)
		}
		delete(want, rel)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("missing: %v, %v", want, err)
	}
}

// trusts: where Go looks for authorities there are some.
func trusts(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Error(err)
		}
		n++
	}
	if n < 80 {
		t.Errorf("%d authorities", n)
	}
}

func probes(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, arch := range []string{"amd64", "arm64"} {
		out = append(out, "--binary=linux/"+arch+"="+build(t, "remediate-probe", arch))
	}
	return out
}

// The same binaries give the same bytes, whenever and wherever.
func TestReproducible(t *testing.T) {
	binaries := probes(t)
	var layouts [2]map[string]string
	var digests [2]string
	for i := range layouts {
		dir := filepath.Join(t.TempDir(), "layout")
		var out bytes.Buffer
		args := append([]string{"--name=remediate-probe", "--version=v1", "--created=1700000000", "--out=" + dir}, binaries...)
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatal(err)
		}
		layouts[i], digests[i] = files(t, dir), out.String()
	}
	if digests[0] != digests[1] || len(layouts[0]) != len(layouts[1]) {
		t.Fatalf("%s and %s, %d and %d files", digests[0], digests[1], len(layouts[0]), len(layouts[1]))
	}
	for name, content := range layouts[0] {
		if layouts[1][name] != content {
			t.Errorf("%s differs", name)
		}
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		out[strings.TrimPrefix(file, dir)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The layout and what a registry gets are one valid image for both platforms.
func TestForBothPlatforms(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	dir := filepath.Join(t.TempDir(), "layout")
	ref := strings.TrimPrefix(server.URL, "http://") + "/remediate-dev/remediate-probe:v1"
	args := append([]string{"--bare", "--name=remediate-probe", "--version=v1", "--revision=abc", "--created=1700000000", "--out=" + dir, "--push=" + ref}, probes(t)...)
	var digest bytes.Buffer
	if err := run(t.Context(), args, &digest); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Index(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := pushed.Digest()
	if err != nil || got.String() != strings.TrimSpace(digest.String()) {
		t.Errorf("pushed %s, said %s, %v", got, digest.String(), err)
	}
	if err := validate.Index(pushed); err != nil {
		t.Error(err)
	}
	l, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(l); err != nil {
		t.Error(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		img := image(t, pushed, arch)
		cfg, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Architecture != arch || cfg.OS != "linux" || cfg.Created.Unix() != 1700000000 || cfg.Config.Entrypoint[0] != "/remediate-probe" {
			t.Errorf("%s: %+v", arch, cfg)
		}
		if cfg.Config.Labels["org.opencontainers.image.revision"] != "abc" || cfg.Config.Labels["org.opencontainers.image.version"] != "v1" {
			t.Errorf("labels %v", cfg.Config.Labels)
		}
	}
	img := image(t, pushed, runtime.GOARCH)
	out, err := inside(t, unpack(t, img), config(t, img), "--help")
	if !strings.Contains(out, "--members") && !strings.Contains(out, "-members") {
		t.Errorf("the probe: %v\n%s", err, out)
	}
}

// Everything in the root is root's but what the user writes, and has one time.
func TestOwners(t *testing.T) {
	text, err := archive(surroundings(), time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[h.Name] = h.Mode
		if want := map[bool]int{true: owner}[h.Name == "data/"]; h.Uid != want || h.Gid != want || h.ModTime.Unix() != 1700000000 {
			t.Errorf("%s: %d:%d at %s", h.Name, h.Uid, h.Gid, h.ModTime)
		}
	}
	if modes["tmp/"] != 0o1777 || modes["data/"] != 0o700 || modes["etc/passwd"] != 0o644 {
		t.Errorf("modes %v", modes)
	}
}

func TestRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	amd64 := build(t, "remediate-probe", "amd64")
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	there := t.TempDir()
	for want, args := range map[string][]string{
		"no --binary":         {},
		"not OS/ARCH=FILE":    {"--binary=" + amd64},
		"is not built for":    {"--binary=linux/riscv64=" + amd64},
		"not for linux/arm64": {"--binary=linux/arm64=" + amd64},
		"is no ELF":           {"--binary=linux/amd64=" + text},
		"dynamically":         {"--binary=linux/" + runtime.GOARCH + "=" + shell},
		"no such file":        {"--binary=linux/amd64=" + text + "x"},
		"no number":           {"--created=yesterday", "--binary=linux/amd64=" + amd64},
		"is there already":    {"--out=" + there, "--binary=linux/amd64=" + amd64},
		"--push":              {"--push=no tag", "--binary=linux/amd64=" + amd64},
	} {
		if err := run(context.Background(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}
