package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// CommitOptions describe a commit on top of [Worktree.Head].
type CommitOptions struct {
	// Files are whole contents by path. They must exist, as regular files; their
	// modes stay.
	Files   map[string][]byte
	Message string
	// Author is also the committer.
	Author Identity
	// When is the time of author and committer; Git keeps whole seconds.
	When time.Time
	// Signer signs; nil leaves it unsigned.
	Signer git.Signer
}

// ErrNoChange: the files are so already.
var ErrNoChange = errors.New("nothing changes")

// Commit makes a commit that no branch points to yet. It is [ErrNoChange] when
// the tree would be the parent's. The folder of files is left as it is: the
// commit is made of the parent's tree and o.Files alone, so that nothing else
// gets into it.
func (w *Worktree) Commit(o CommitOptions) (Commit, error) {
	if err := o.check(); err != nil {
		return Commit{}, err
	}
	parent := plumbing.NewHash(w.head.Tree)
	tree, err := w.rewrite(parent, "", o.Files)
	if err != nil {
		return Commit{}, fmt.Errorf("commit: %w", err)
	}
	if tree == parent {
		return Commit{}, ErrNoChange
	}
	made, err := w.store(o, tree)
	if err != nil {
		return Commit{}, fmt.Errorf("commit: %w", err)
	}
	return describe(made), nil
}

func (o CommitOptions) check() error {
	if err := o.Author.check(); err != nil {
		return err
	}
	if strings.TrimSpace(o.Message) == "" || strings.ContainsRune(o.Message, 0) {
		return errors.New("commit: the message is empty or holds a zero byte")
	}
	if o.When.IsZero() {
		return errors.New("commit: the time is missing")
	}
	for name := range o.Files {
		if !fs.ValidPath(name) || name == "." {
			return fmt.Errorf("commit: %q is not a path inside the repository", name)
		}
	}
	return nil
}

// check refuses what git would cut out of a name without a word.
func (i Identity) check() error {
	if strings.TrimSpace(i.Name) == "" || strings.TrimSpace(i.Email) == "" {
		return errors.New("commit: the author needs a name and an email")
	}
	for _, s := range []string{i.Name, i.Email} {
		if strings.ContainsAny(s, "<>\n\r\x00") {
			return fmt.Errorf("commit: %q cannot stand in an author: leave out <, > and line breaks", s)
		}
	}
	return nil
}

// rewrite stores a tree with other files in it, and gives its hash. The paths of
// files are below that tree, which is at the folder at.
func (w *Worktree) rewrite(tree plumbing.Hash, at string, files map[string][]byte) (plumbing.Hash, error) {
	old, err := object.GetTree(w.repo.Storer, tree)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	entries := slices.Clone(old.Entries)
	for first, below := range byFolder(files) {
		name := path.Join(at, first)
		i := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == first })
		if i < 0 {
			return plumbing.ZeroHash, fmt.Errorf("%s is not in the repository", name)
		}
		hash, err := w.replace(entries[i], name, below)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		entries[i].Hash = hash
	}
	if slices.Equal(entries, old.Entries) {
		return tree, nil
	}
	return w.encode(&object.Tree{Entries: entries})
}

// replace gives the new hash of one entry of a tree: of a file, whose content
// stands under "", or of a folder.
func (w *Worktree) replace(e object.TreeEntry, name string, below map[string][]byte) (plumbing.Hash, error) {
	content, isFile := below[""]
	switch {
	case isFile && len(below) > 1:
		return plumbing.ZeroHash, fmt.Errorf("%s is to be a file and a folder", name)
	case !isFile && e.Mode == filemode.Dir:
		return w.rewrite(e.Hash, name, below)
	case isFile && (e.Mode == filemode.Regular || e.Mode == filemode.Executable || e.Mode == filemode.Deprecated):
		return writeBlob(w.repo.Storer, content)
	}
	kinds := map[filemode.FileMode]string{
		filemode.Dir: "folder", filemode.Symlink: "symbolic link", filemode.Submodule: "submodule",
	}
	kind := kinds[e.Mode]
	if kind == "" {
		kind = "file"
	}
	return plumbing.ZeroHash, fmt.Errorf("%s is a %s in the repository: only regular files are changed", name, kind)
}

// byFolder groups paths by their first part; a path without another one is "".
func byFolder(files map[string][]byte) map[string]map[string][]byte {
	out := map[string]map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		first, rest, _ := strings.Cut(name, "/")
		if out[first] == nil {
			out[first] = map[string][]byte{}
		}
		out[first][rest] = files[name]
	}
	return out
}

func (w *Worktree) encode(from object.Object) (plumbing.Hash, error) {
	o := w.repo.Storer.NewEncodedObject()
	if err := from.Encode(o); err != nil {
		return plumbing.ZeroHash, err
	}
	return w.repo.Storer.SetEncodedObject(o)
}

// store signs and stores the commit of a tree.
func (w *Worktree) store(o CommitOptions, tree plumbing.Hash) (*object.Commit, error) {
	who := object.Signature{Name: strings.TrimSpace(o.Author.Name), Email: strings.TrimSpace(o.Author.Email), When: o.When}
	c := &object.Commit{
		Author: who, Committer: who, TreeHash: tree,
		Message:      strings.TrimRight(o.Message, "\n") + "\n",
		ParentHashes: []plumbing.Hash{plumbing.NewHash(w.head.Hash)},
	}
	if o.Signer != nil {
		signature, err := w.sign(c, o.Signer)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		c.PGPSignature = signature
	}
	hash, err := w.encode(c)
	if err != nil {
		return nil, err
	}
	return w.repo.CommitObject(hash)
}

func (w *Worktree) sign(c *object.Commit, signer git.Signer) (string, error) {
	o := w.repo.Storer.NewEncodedObject()
	if err := c.EncodeWithoutSignature(o); err != nil {
		return "", err
	}
	text, err := o.Reader()
	if err != nil {
		return "", err
	}
	defer closeQuietly(text)
	signature, err := signer.Sign(text)
	return string(signature), err
}
