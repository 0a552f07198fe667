package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// entry is a file, or with a mode that ends in a directory bit a directory.
type entry struct {
	path    string
	mode    int64
	dir     bool
	owner   int
	content []byte
}

// owner is [user] as a number.
const owner = 65532

// surroundings are all that a program needs besides itself: the authorities that
// it trusts, a name for its user, and places to write for who mounts none.
func surroundings() []entry {
	out := parents("/etc/ssl/certs/ca-certificates.crt")
	return append(out,
		entry{path: "/etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/sbin/nologin\nremediate:x:" + user + ":" + user + ":remediate:" + home + ":/sbin/nologin\n")},
		entry{path: "/etc/group", mode: 0o644, content: []byte("root:x:0:\nremediate:x:" + user + ":\n")},
		entry{path: "/etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities()},
		entry{path: home, mode: 0o700, dir: true, owner: owner},
		entry{path: "/tmp", mode: 0o1777, dir: true},
	)
}

// authorities is Mozilla's list as PEM, from golang.org/x/crypto/x509roots. An
// authority that is trusted under conditions only is left out: PEM has no way to
// say them.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a Buffer takes all
		}
	}
	return b.Bytes()
}

// parents are the directories above a file.
func parents(file string) []entry {
	var out []entry
	for dir := path.Dir(file); dir != "/"; dir = path.Dir(dir) {
		out = append(out, entry{path: dir, mode: 0o755, dir: true})
	}
	return out
}

// archive is the entries as a tar, sorted, all of one time.
func archive(entries []entry, at time.Time) ([]byte, error) {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: strings.TrimPrefix(e.path, "/"), Mode: e.mode, Size: int64(len(e.content)),
			ModTime: at, Uid: e.owner, Gid: e.owner, Format: tar.FormatPAX,
		}
		if e.dir {
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("archive %s: %w", e.path, err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("archive %s: %w", e.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return b.Bytes(), nil
}

// fits says why a binary cannot run from an empty root on a platform.
func fits(content []byte, p v1.Platform) error {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("is no ELF binary: %w", err)
	}
	want, known := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[p.Architecture]
	if p.OS != "linux" || !known {
		return fmt.Errorf("%s is not built for: linux/amd64 and linux/arm64 are", p)
	}
	if f.Machine != want {
		return fmt.Errorf("is built for %s, not for %s", f.Machine, p)
	}
	for _, prog := range f.Progs {
		if prog.Type == elf.PT_INTERP {
			return fmt.Errorf("is linked dynamically, and an empty root has no linker: build it with CGO_ENABLED=0")
		}
	}
	return nil
}
