package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// file compares a file of the commit with what has its place on disk.
func (d *level) file(f leaf, found fs.DirEntry) error {
	switch {
	case found == nil:
		d.absent = append(d.absent, f)
		return nil
	case found.IsDir():
		if err := d.descend(found.Name(), found, nil); err != nil {
			return err
		}
		return d.take(f)
	case !found.Type().IsRegular():
		return d.take(f)
	}
	content, err := readRegular(d.disk, found.Name())
	switch {
	case errors.Is(err, ErrTooLarge):
		return d.large(f)
	case err != nil:
		return fmt.Errorf("read %s: %w", f.path, err)
	case plumbing.ComputeHash(plumbing.BlobObject, content) == f.hash:
		return nil
	}
	return d.changed(f, content)
}

// changed takes the content of the commit in place of another one on disk.
func (d *level) changed(f leaf, content []byte) error {
	was, err := readBlob(d.store, f.hash, f.path)
	switch {
	case errors.Is(err, ErrTooLarge):
		return d.put(f.path, []byte{})
	case errors.Is(err, errNotCloned) && media(f.path):
		return nil
	case err != nil:
		return err
	case opaque(was), bytes.Equal(unixLines(was), unixLines(content)):
		return nil
	}
	return d.put(f.path, was)
}

// large is for a file on disk that is not read. If the one of the commit is not
// read either, nothing can tell them apart.
func (d *level) large(f leaf) error {
	if size, err := d.store.EncodedObjectSize(f.hash); err == nil && size > MaxFileBytes {
		return nil
	}
	return d.take(f)
}

// take takes a file of the commit that the working tree has not.
func (o *overlay) take(f leaf) error {
	content, err := readBlob(o.store, f.hash, f.path)
	if errors.Is(err, ErrTooLarge) || errors.Is(err, errNotCloned) && media(f.path) || err == nil && opaque(content) {
		content, err = []byte{}, nil
	}
	if err != nil {
		return err
	}
	return o.put(f.path, content)
}

// put notes a content; it is never nil.
func (o *overlay) put(at string, content []byte) error {
	if o.bytes += len(content); o.bytes > maxOverlayBytes {
		return fmt.Errorf("%w: the files that differ hold more than %d MiB", ErrTooMuch, maxOverlayBytes>>20)
	}
	if content == nil {
		content = []byte{}
	}
	o.files[at] = content
	return nil
}

// leaveOutSparse takes the files that the working tree has not, but for those
// that a sparse checkout leaves out.
func (o *overlay) leaveOutSparse() error {
	if len(o.absent) == 0 {
		return nil
	}
	sparse := map[string]bool{}
	// An index that cannot be read decides nothing.
	if index, err := o.store.Index(); err == nil {
		for _, e := range index.Entries {
			sparse[e.Name] = e.SkipWorktree
		}
	}
	for _, f := range o.absent {
		if sparse[f.path] {
			continue
		}
		if err := o.take(f); err != nil {
			return err
		}
	}
	return nil
}

// symlink compares a symlink of the commit.
func (d *level) symlink(e *object.TreeEntry, found fs.DirEntry) error {
	at := path.Join(d.prefix, e.Name)
	target, err := readBlob(d.store, e.Hash, at)
	if err != nil {
		return err
	}
	if found != nil && found.Type()&fs.ModeSymlink != 0 {
		if is, err := d.disk.Readlink(found.Name()); err == nil && is == string(target) {
			return nil
		}
	}
	end, err := d.target(d.prefix, string(target))
	if err != nil {
		return err
	}
	if end == nil {
		return d.drop(at, found)
	}
	if end.Mode == filemode.Dir {
		// A link to a directory that holds the link would never end.
		if d.inLink {
			return d.drop(at, found)
		}
		d.inLink = true
		defer func() { d.inLink = false }()
	}
	standsIn := *end
	standsIn.Name = e.Name
	return d.entry(&standsIn, found)
}

// drop notes that nothing is at a place where something may be on disk.
func (d *level) drop(at string, found fs.DirEntry) error {
	switch {
	case found == nil:
		return nil
	case found.IsDir():
		return d.descend(found.Name(), found, nil)
	}
	d.files[at] = nil
	return nil
}

// target is the file or directory of the commit that a symlink in dir leads to,
// nil if there is none, or after too many links.
func (o *overlay) target(dir, link string) (*object.TreeEntry, error) {
	for range maxLinks {
		if link == "" || path.IsAbs(link) {
			return nil, nil
		}
		at := path.Join(dir, link)
		if !fs.ValidPath(at) || at == "." {
			return nil, nil
		}
		e, err := o.root.FindEntry(at)
		if err != nil || e.Mode == filemode.Submodule {
			return nil, nil
		}
		if e.Mode != filemode.Symlink {
			return e, nil
		}
		content, err := readBlob(o.store, e.Hash, at)
		if err != nil {
			return nil, err
		}
		dir, link = path.Dir(at), string(content)
	}
	return nil, nil
}

// readRegular reads a file of at most MaxFileBytes.
func readRegular(dir *os.Root, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() > MaxFileBytes:
		return nil, ErrTooLarge
	}
	return io.ReadAll(io.LimitReader(f, info.Size()))
}

// media reports names of pictures, sound and print, which hold no values: what
// a partial clone (git clone --filter=blob:limit=…) leaves out first.
func media(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".webp", ".svg", ".ico", ".bmp", ".pdf", ".mp3", ".mp4", ".mov", ".webm", ".ttf", ".woff", ".woff2":
		return true
	}
	return false
}

// lfsPointer is how a pointer file of Git LFS begins.
// (github.com/git-lfs/git-lfs, docs/spec.md)
var lfsPointer = []byte("version https://git-lfs.github.com/spec/")

// opaque reports contents that say nothing here: binary ones, told by a NUL
// byte in the first 8,000 as git does, and pointers to them.
func opaque(content []byte) bool {
	return bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0 || bytes.HasPrefix(content, lfsPointer)
}

func unixLines(content []byte) []byte {
	return bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
}
