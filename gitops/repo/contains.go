package repo

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Contains says whether a commit is a revision's own or one of those that it
// builds on; both are full hashes. Known is false when this clone lacks one of
// them, or the history between them.
func (r *Repo) Contains(revision, commit string) (holds, known bool, err error) {
	if !plumbing.IsHash(revision) || !plumbing.IsHash(commit) {
		return false, false, nil
	}
	base, ok, cut, err := r.mergeBase(plumbing.NewHash(revision), plumbing.NewHash(commit))
	if err != nil {
		return false, false, fmt.Errorf("see whether %.12s builds on %.12s: %w", revision, commit, err)
	}
	if ok && base.String() == commit {
		return true, true, nil
	}
	return false, !cut, nil
}

// CommitTime is when a commit was made, as its committer's clock has it: on the
// first parent's line of a branch, when it was merged.
func (r *Repo) CommitTime(commit string) (at time.Time, err error) {
	store := r.packsOpen()
	defer func() { err = errors.Join(err, store.Close()) }()
	c, err := object.GetCommit(store, plumbing.NewHash(commit))
	if err != nil {
		return time.Time{}, fmt.Errorf("read commit %.12s: %w", commit, err)
	}
	return c.Committer.When.UTC(), nil
}
