package repo

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Submodules are the paths (relative to the root, slashes, sorted) at which
// other repositories are tied in: those of the index, or where that cannot be
// read, of the commit checked out. Their files are not part of this repository.
func (r *Repo) Submodules() ([]string, error) {
	index, err := r.store.Index()
	if err != nil {
		return r.committedSubmodules()
	}
	var out []string
	for _, e := range index.Entries {
		if e.Mode == filemode.Submodule {
			out = append(out, e.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (r *Repo) committedSubmodules() ([]string, error) {
	tree, err := r.headTree()
	if err != nil || tree == nil {
		return nil, err
	}
	walker := object.NewTreeWalker(tree, true, nil)
	defer walker.Close()
	var out []string
	for n := 0; ; n++ {
		name, entry, err := walker.Next()
		switch {
		case errors.Is(err, io.EOF):
			slices.Sort(out)
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("list the submodules of %s: %w", r.root, err)
		case n > maxEntries:
			return nil, fmt.Errorf("list the submodules of %s: %w: more than %d files and directories", r.root, ErrTooMuch, maxEntries)
		case entry.Mode == filemode.Submodule:
			out = append(out, name)
		}
	}
}
