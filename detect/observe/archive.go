package observe

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Sysdump reads the archive that cilium sysdump writes (.zip), or a folder with
// its content, or such content as .tar, .tar.gz or .tgz. Of the YAML and JSON
// in it the same objects count as in [Dir]; logs and the agents' own dumps are
// passed over. Nothing is unpacked to where the archive says; its entries'
// unpacked sizes are bounded.
//
// File names are those of cilium-cli/sysdump/constants.go (Cilium 1.18), but only
// the objects within decide.
func Sysdump(ctx context.Context, path string) (*snapshot.Snapshot, error) {
	return readArchive(ctx, path, defaultLimits())
}

func readArchive(ctx context.Context, path string, lim limits) (*snapshot.Snapshot, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read sysdump: %w", err)
	}
	if info.IsDir() {
		return readDir(ctx, path, lim)
	}
	r := &reader{ctx: ctx, lim: lim, builder: newBuilder(path)}
	a := &archive{reader: r, left: lim.archive}
	if err := a.read(path); err != nil {
		return nil, fmt.Errorf("read sysdump %s: %w", path, err)
	}
	if len(r.builder.snap.ReadKinds) == 0 {
		return nil, fmt.Errorf("read sysdump %s: it holds no object that a snapshot is made of; is it a cilium sysdump?", path)
	}
	return r.builder.finish(), nil
}

type archive struct {
	reader  *reader
	left    int64 // bytes that may still be unpacked
	entries int
}

var errNoArchive = errors.New("neither a folder nor a .zip, .tar or .tar.gz archive")

// read tells the formats apart by their first bytes.
func (a *archive) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	head = head[:n]
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(string(head), "PK"):
		return a.zip(f)
	case strings.HasPrefix(string(head), "\x1f\x8b"):
		z, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		defer func() { _ = z.Close() }()
		return a.tar(z)
	case len(head) == 512 && string(head[257:262]) == "ustar":
		return a.tar(f)
	}
	return errNoArchive
}

func (a *archive) zip(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return err
	}
	slices.SortStableFunc(z.File, func(x, y *zip.File) int { return strings.Compare(x.Name, y.Name) })
	for _, entry := range z.File {
		wanted, err := a.wanted(entry.Name, entry.FileInfo().Mode().IsRegular())
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		// An entry may be opened more than once; what it costs counts each time.
		open := func() (io.ReadCloser, error) {
			body, err := entry.Open()
			if err != nil {
				return nil, err
			}
			return a.bounded(body), nil
		}
		if err := a.reader.file(entry.Name, open); err != nil {
			return err
		}
	}
	return nil
}

// tar holds each wanted entry in a temporary file while it is read, because it
// may need a second pass.
func (a *archive) tar(r io.Reader) error {
	dir, err := os.MkdirTemp("", "remediate-sysdump-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	spool := filepath.Join(dir, "entry")
	// What is skipped is unpacked too, so it counts towards the bound.
	t := tar.NewReader(a.bounded(io.NopCloser(r)))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		wanted, err := a.wanted(h.Name, h.Typeflag == tar.TypeReg)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		if err := a.spool(spool, t); err != nil {
			return inFile(h.Name, err)
		}
		open := func() (io.ReadCloser, error) { return os.Open(spool) }
		if err := a.reader.file(h.Name, open); err != nil {
			return err
		}
	}
}

func (a *archive) spool(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, a.reader.lim.entry+1))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil && n > a.reader.lim.entry {
		err = fmt.Errorf("more than %d bytes unpacked", a.reader.lim.entry)
	}
	return err
}

// notObjects are sysdump files that are YAML or JSON and hold no objects of
// ours, by the start of their name.
func notObjects(name string) bool {
	base := path.Base(name)
	for _, start := range []string{
		"hubble-", "cilium-spire-", "cilium-etcd-secrets", "cilium-helm-", "k8s-leases", "k8s-metrics",
		"aws-", "gatewayapi-", "clustermesh-",
	} {
		if strings.HasPrefix(base, start) {
			return true
		}
	}
	return false
}

func (a *archive) wanted(name string, regular bool) (bool, error) {
	if a.entries++; a.entries > a.reader.lim.files {
		return false, fmt.Errorf("more than %d entries", a.reader.lim.files)
	}
	if !filepath.IsLocal(filepath.FromSlash(strings.TrimSuffix(name, "/"))) {
		return false, fmt.Errorf("entry %q leads out of the archive", clip(name))
	}
	return regular && isObjectFile(name) && !notObjects(name), nil
}

// bounded counts what is unpacked against the bound on the whole archive.
func (a *archive) bounded(body io.ReadCloser) io.ReadCloser {
	return &boundedReader{ReadCloser: body, archive: a}
}

type boundedReader struct {
	io.ReadCloser
	archive *archive
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.archive.left <= 0 {
		return 0, fmt.Errorf("the archive unpacks to more than %d bytes", b.archive.reader.lim.archive)
	}
	n, err := b.ReadCloser.Read(p)
	b.archive.left -= int64(n)
	return n, err
}
