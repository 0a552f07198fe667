package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	// maxEntries bounds the files and directories looked at, of the commit and
	// of the working tree together.
	maxEntries = 1_000_000
	// maxOverlayBytes bounds the contents that an overlay holds.
	maxOverlayBytes = 256 << 20
	// maxDepth bounds directories within directories.
	maxDepth = 200
	// maxLinks bounds symlinks that lead to symlinks.
	maxLinks = 10
)

// ErrTooMuch: a commit or a working tree beyond what is compared.
var ErrTooMuch = errors.New("too much to compare")

// Overlay is what turns the working tree into the commit (a full hash, see
// [Repo.Resolve]): path (relative to the root, slashes) to content for each file
// that the commit has otherwise, and nil for each file of the working tree that
// it has not, whether ignored, untracked or added. Two commits are compared by
// the overlays of both.
//
// Files are told apart by their blob hash; a difference in line endings alone
// is none. A symlink that the working tree has not, or otherwise, stands for
// what it points to in the commit, and for nothing if that is outside. Left as
// the working tree has them: what lies in a submodule of the commit, files that
// a sparse checkout leaves out, and binary files and Git LFS pointers in the
// place of a file (encrypted repositories and LFS have other contents on disk
// than in Git). Binary files and those over [MaxFileBytes] that the working tree
// has not come empty, and so do pictures and the like that a partial clone left out.
// Paths that git would not check out are left out.
func (r *Repo) Overlay(ctx context.Context, commit string) (files map[string][]byte, err error) {
	store := r.packsOpen()
	defer func() { err = errors.Join(err, store.Close()) }()
	fail := func(err error) (map[string][]byte, error) {
		return nil, fmt.Errorf("compare %s with commit %.12s: %w", r.root, commit, err)
	}
	c, err := object.GetCommit(store, plumbing.NewHash(commit))
	if err != nil {
		return fail(err)
	}
	disk, err := os.OpenRoot(r.root)
	if err != nil {
		return fail(err)
	}
	defer disk.Close()
	o := &overlay{ctx: ctx, repo: r, store: store, files: map[string][]byte{}, trees: map[plumbing.Hash]*object.Tree{}}
	if o.root, err = o.tree(c.TreeHash, "."); err != nil {
		return fail(err)
	}
	if err := o.directory(disk, "", o.root, 0); err != nil {
		return fail(err)
	}
	if err := o.leaveOutSparse(); err != nil {
		return fail(err)
	}
	return o.files, nil
}

type overlay struct {
	ctx     context.Context
	repo    *Repo
	store   *filesystem.Storage
	root    *object.Tree
	trees   map[plumbing.Hash]*object.Tree
	files   map[string][]byte
	bytes   int
	entries int
	inLink  bool
	// absent are the files of the commit that the working tree has not.
	absent []leaf
}

// leaf is a file of the commit.
type leaf struct {
	path string
	hash plumbing.Hash
}

// tree reads each tree once, which keeps trees made of copies of each other cheap.
func (o *overlay) tree(hash plumbing.Hash, at string) (*object.Tree, error) {
	if known := o.trees[hash]; known != nil {
		return known, nil
	}
	tree, err := object.GetTree(o.store, hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("directory %s was not cloned (a partial clone): run git fetch --refetch --no-filter", at)
	}
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", at, err)
	}
	o.trees[hash] = tree
	return tree, nil
}

func (o *overlay) count(n int) error {
	if o.entries += n; o.entries > maxEntries {
		return fmt.Errorf("%w: more than %d files and directories", ErrTooMuch, maxEntries)
	}
	return o.ctx.Err()
}

// directory compares a directory of the working tree, nil when there is none,
// with one of the commit, nil likewise.
func (o *overlay) directory(disk *os.Root, prefix string, tree *object.Tree, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: more than %d directories within each other at %s", ErrTooMuch, maxDepth, prefix)
	}
	onDisk, err := list(disk, prefix)
	if err != nil {
		return err
	}
	d := &level{overlay: o, disk: disk, prefix: prefix, depth: depth}
	if tree != nil {
		if err := o.count(len(tree.Entries)); err != nil {
			return err
		}
		for i := range tree.Entries {
			e := &tree.Entries[i]
			if !checkedOut(e.Name) {
				continue
			}
			if err := d.entry(e, onDisk[e.Name]); err != nil {
				return err
			}
			delete(onDisk, e.Name)
		}
	}
	if err := o.count(len(onDisk)); err != nil {
		return err
	}
	return d.gone(onDisk)
}

// checkedOut reports whether git would make a file or directory of that name.
func checkedOut(name string) bool {
	return fs.ValidPath(name) && name != "." && !strings.ContainsAny(name, "/\\\x00") && !strings.EqualFold(name, gitDirName)
}

// list gives the entries of a directory but for .git.
func list(disk *os.Root, prefix string) (map[string]fs.DirEntry, error) {
	if disk == nil {
		return nil, nil
	}
	f, err := disk.Open(".")
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", cmp.Or(prefix, "."), err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", cmp.Or(prefix, "."), err)
	}
	out := make(map[string]fs.DirEntry, len(entries))
	for _, e := range entries {
		if e.Name() != gitDirName {
			out[e.Name()] = e
		}
	}
	return out, nil
}

// level is a directory with an entry of which something is done.
type level struct {
	*overlay
	disk   *os.Root
	prefix string
	depth  int
}

// gone notes what only the working tree has.
func (d *level) gone(onDisk map[string]fs.DirEntry) error {
	names := make([]string, 0, len(onDisk))
	for name := range onDisk {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !onDisk[name].IsDir() {
			d.files[path.Join(d.prefix, name)] = nil
		} else if err := d.descend(name, onDisk[name], nil); err != nil {
			return err
		}
	}
	return nil
}

// entry compares an entry of the commit with what has its place on disk, nil if
// nothing.
func (d *level) entry(e *object.TreeEntry, found fs.DirEntry) error {
	at := path.Join(d.prefix, e.Name)
	switch e.Mode {
	case filemode.Dir:
		sub, err := d.tree(e.Hash, at)
		if err != nil {
			return err
		}
		return d.descend(e.Name, found, sub)
	case filemode.Submodule:
		if found != nil && !found.IsDir() {
			d.files[at] = nil
		}
		return nil
	case filemode.Symlink:
		return d.symlink(e, found)
	}
	return d.file(leaf{at, e.Hash}, found)
}

// descend compares a directory below; sub is nil if the commit has none.
func (d *level) descend(name string, found fs.DirEntry, sub *object.Tree) error {
	at := path.Join(d.prefix, name)
	if found == nil || !found.IsDir() {
		if found != nil {
			d.files[at] = nil
		}
		return d.directory(nil, at, sub, d.depth+1)
	}
	below, err := d.disk.OpenRoot(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", at, err)
	}
	defer below.Close()
	return d.directory(below, at, sub, d.depth+1)
}
