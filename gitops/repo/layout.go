package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage"
)

// ErrNotEmpty: the directory for a new repository holds something.
var ErrNotEmpty = errors.New("the directory is not empty: choose another or empty it")

const layoutBranch = "main"

// Author of the commits that [Layout] makes.
type Author struct{ Name, Email string }

// Step is one commit.
type Step struct {
	Message string
	// Date of author and committer.
	Date time.Time
	// Files is the whole tree: path (slashes) to content. A file of the step
	// before that is missing here is deleted.
	Files map[string][]byte
}

// Layout makes a Git repository in dir, which must be empty or absent: one
// commit per step on the branch main, and the last one checked out. The same
// steps give the same hashes.
func Layout(dir string, author Author, steps []Step) error {
	if err := checkEmpty(dir); err != nil {
		return fmt.Errorf("lay out a repository in %s: %w", dir, err)
	}
	for _, s := range steps {
		if err := checkFiles(s.Files); err != nil {
			return fmt.Errorf("lay out a repository in %s: commit %q: %w", dir, s.Message, err)
		}
	}
	if err := layout(dir, author, steps); err != nil {
		return fmt.Errorf("lay out a repository in %s: %w", dir, err)
	}
	return nil
}

func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return ErrNotEmpty
	}
	return nil
}

// checkFiles refuses paths that lead out of the tree or into .git, and a file
// in the place of a directory.
func checkFiles(files map[string][]byte) error {
	for _, name := range sortedNames(files) {
		if !fs.ValidPath(name) || name == "." || strings.Contains(name, `\`) {
			return fmt.Errorf("%q is not a path inside a repository", name)
		}
		for _, seg := range strings.Split(name, "/") {
			if strings.EqualFold(seg, gitDirName) {
				return fmt.Errorf("%q is not a path inside a repository", name)
			}
		}
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := files[d]; ok {
				return fmt.Errorf("%q is a file and a directory", d)
			}
		}
	}
	return nil
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func layout(dir string, author Author, steps []Step) error {
	r, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{
		InitOptions: git.InitOptions{DefaultBranch: plumbing.NewBranchReferenceName(layoutBranch)},
	})
	if err != nil {
		return err
	}
	var parents []plumbing.Hash
	for _, s := range steps {
		hash, err := writeCommit(r.Storer, author, s, parents)
		if err != nil {
			return err
		}
		parents = []plumbing.Hash{hash}
	}
	if len(parents) == 0 {
		return nil
	}
	ref := plumbing.NewHashReference(plumbing.NewBranchReferenceName(layoutBranch), parents[0])
	if err := r.Storer.SetReference(ref); err != nil {
		return err
	}
	tree, err := r.Worktree()
	if err != nil {
		return err
	}
	return tree.Reset(&git.ResetOptions{Commit: parents[0], Mode: git.HardReset})
}

func writeCommit(store storage.Storer, author Author, s Step, parents []plumbing.Hash) (plumbing.Hash, error) {
	tree, err := writeTree(store, s.Files)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	who := object.Signature{Name: author.Name, Email: author.Email, When: s.Date}
	return writeObject(store, &object.Commit{
		Author: who, Committer: who, Message: s.Message, TreeHash: tree, ParentHashes: parents,
	})
}

// writeTree writes the files, whose paths are relative to the tree, and the
// trees below it.
func writeTree(store storage.Storer, files map[string][]byte) (plumbing.Hash, error) {
	tree := &object.Tree{}
	below := map[string]map[string][]byte{}
	for _, name := range sortedNames(files) {
		first, rest, nested := strings.Cut(name, "/")
		if nested {
			if below[first] == nil {
				below[first] = map[string][]byte{}
			}
			below[first][rest] = files[name]
			continue
		}
		hash, err := writeBlob(store, files[name])
		if err != nil {
			return hash, err
		}
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: hash})
	}
	for name, inside := range below {
		hash, err := writeTree(store, inside)
		if err != nil {
			return hash, err
		}
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: hash})
	}
	// Git sorts a directory as if its name ended in a slash.
	slices.SortFunc(tree.Entries, func(a, b object.TreeEntry) int {
		return strings.Compare(sortName(a), sortName(b))
	})
	return writeObject(store, tree)
}

func sortName(e object.TreeEntry) string {
	if e.Mode == filemode.Dir {
		return e.Name + "/"
	}
	return e.Name
}

func writeBlob(store storage.Storer, content []byte) (plumbing.Hash, error) {
	o := store.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	w, err := o.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := w.Write(content); err != nil {
		return plumbing.ZeroHash, err
	}
	if err := w.Close(); err != nil {
		return plumbing.ZeroHash, err
	}
	return store.SetEncodedObject(o)
}

func writeObject(store storage.Storer, o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	encoded := store.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, err
	}
	return store.SetEncodedObject(encoded)
}
