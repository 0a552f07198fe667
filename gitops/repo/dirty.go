package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// MaxFileBytes is the largest file that is read from a commit, in bytes.
const MaxFileBytes = 8 << 20

// ErrTooLarge: a file in a commit is larger than [MaxFileBytes].
var ErrTooLarge = errors.New("file too large")

// Dirty reports that the file (relative to the root, slashes) is not as in the
// commit checked out: changed, staged, deleted or never committed. Line endings
// that git converts on checkout do not count.
func (r *Repo) Dirty(path string) (bool, error) {
	if !fs.ValidPath(path) || path == "." {
		return false, fmt.Errorf("%q is not the path of a file below %s", path, r.root)
	}
	tree, err := r.headTree()
	if err != nil {
		return false, err
	}
	committed, inHead := plumbing.ZeroHash, false
	if tree != nil {
		if committed, inHead, err = fileHash(tree, path); err != nil {
			return false, err
		}
	}
	content, onDisk, err := r.workingFile(path)
	if err != nil {
		return false, err
	}
	if !inHead || !onDisk {
		return inHead != onDisk, nil
	}
	if r.stagedOtherwise(path, committed) {
		return true, nil
	}
	same := plumbing.ComputeHash(plumbing.BlobObject, content) == committed
	if !same && r.convertsLineEndings() {
		unix := bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
		same = plumbing.ComputeHash(plumbing.BlobObject, unix) == committed
	}
	return !same, nil
}

// workingFile reads a file of the working tree without leaving it. The target
// of a symlink is its content, as in git.
func (r *Repo) workingFile(path string) ([]byte, bool, error) {
	root, err := os.OpenRoot(r.root)
	if err != nil {
		return nil, false, fmt.Errorf("open the working tree: %w", err)
	}
	defer root.Close()
	name := filepath.FromSlash(path)
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := root.Readlink(name)
		return []byte(target), err == nil, err
	case !info.Mode().IsRegular():
		return nil, false, fmt.Errorf("%s is not a file", path)
	case info.Size() > MaxFileBytes:
		return nil, false, fmt.Errorf("read %s: %w: %d bytes, at most %d are read", path, ErrTooLarge, info.Size(), MaxFileBytes)
	}
	content, err := root.ReadFile(name)
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", path, err)
	}
	return content, true, nil
}

// stagedOtherwise reports that the index holds another content. An index that
// cannot be read (a split or sparse one) decides nothing.
func (r *Repo) stagedOtherwise(path string, committed plumbing.Hash) bool {
	index, err := r.store.Index()
	if err != nil {
		return false
	}
	entry, err := index.Entry(path)
	return err == nil && entry.Hash != committed
}

// convertsLineEndings reports core.autocrlf. Where the repository does not say,
// a difference in line endings alone counts as none: the setting may stand in
// the user's own configuration.
func (r *Repo) convertsLineEndings() bool {
	cfg, err := r.store.Config()
	if err != nil {
		return false
	}
	return !strings.EqualFold(cfg.Raw.Section("core").Option("autocrlf"), "false")
}

// fileHash gives the blob of a file in a tree.
func fileHash(tree *object.Tree, path string) (plumbing.Hash, bool, error) {
	entry, err := tree.FindEntry(path)
	if errors.Is(err, object.ErrEntryNotFound) || errors.Is(err, object.ErrDirectoryNotFound) {
		return plumbing.ZeroHash, false, nil
	}
	if err != nil {
		return plumbing.ZeroHash, false, fmt.Errorf("read %s of the commit: %w", path, err)
	}
	if entry.Mode == filemode.Dir || entry.Mode == filemode.Submodule {
		return plumbing.ZeroHash, false, fmt.Errorf("%s is a directory of the commit", path)
	}
	return entry.Hash, true, nil
}

// errNotCloned: a partial clone (git clone --filter) left the content out.
var errNotCloned = errors.New("its content at that commit was not cloned (a partial clone): run git fetch --refetch --no-filter")

// readBlob reads at most MaxFileBytes.
func readBlob(store storer.EncodedObjectStorer, hash plumbing.Hash, path string) ([]byte, error) {
	blob, err := object.GetBlob(store, hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("read %s: %w", path, errNotCloned)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if blob.Size > MaxFileBytes {
		return nil, fmt.Errorf("read %s: %w: %d bytes, at most %d are read", path, ErrTooLarge, blob.Size, MaxFileBytes)
	}
	reader, err := blob.Reader()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer reader.Close()
	content, err := io.ReadAll(io.LimitReader(reader, MaxFileBytes))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return content, nil
}
