package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Limit says how far back [Repo.History] looks. The zero value is the default.
type Limit struct {
	// Commits read at most; 0 means 2,000.
	Commits int
	// Since is the age of the oldest commit read, counted from the commit
	// checked out, not from now; 0 means 365 days.
	Since time.Duration
}

const (
	defaultCommits = 2000
	defaultSince   = 365 * 24 * time.Hour
)

func (l Limit) orDefault() Limit {
	if l.Commits <= 0 {
		l.Commits = defaultCommits
	}
	if l.Since <= 0 {
		l.Since = defaultSince
	}
	return l
}

// Version is a commit in which one of the files asked for changed.
type Version struct {
	// Commit is the full hash.
	Commit string
	// Date is when it was committed, in RFC 3339 and UTC.
	Date string
	// Subject is the first line of the message.
	Subject string
	// Changed are the files that differ from the first parent, sorted.
	Changed []string
	// Read gives the content of any file at that commit, and whether it was
	// there. Files over MaxFileBytes are an error.
	Read func(file string) ([]byte, bool, error)
	// ReadBefore is Read for the commit before; nothing is there before the
	// first commit, or where a shallow clone ends.
	ReadBefore func(file string) ([]byte, bool, error)
}

// History lists the commits in which one of the files (relative to the root,
// slashes) differs from the first parent, newest first. It follows first
// parents only: those are the states that the branch had, and that Flux could
// apply; what happened on a branch shows in its merge.
//
// The note is empty when the whole history was read, and otherwise says where
// and why it ends. A shallow clone is no error; its oldest commit counts as the
// one that brought the files. Trees are compared by hash, so that commits that
// do not touch the files' directories cost little.
func (r *Repo) History(ctx context.Context, files []string, limit Limit) (versions []Version, note string, err error) {
	head, err := r.Head()
	if err != nil || head == "" {
		return nil, "", err
	}
	paths, err := newPaths(files)
	if err != nil {
		return nil, "", err
	}
	store := r.packsOpen()
	defer func() { err = errors.Join(err, store.Close()) }()
	w := &walk{r, store, paths}
	at, err := w.state(plumbing.NewHash(head))
	if err != nil {
		return nil, "", err
	}
	limit = limit.orDefault()
	oldest := at.commit.Committer.When.Add(-limit.Since)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		before, cut, err := w.parent(at)
		if err != nil {
			return nil, "", err
		}
		if changed := paths.changed(at, before); len(changed) > 0 {
			versions = append(versions, r.version(at, before, changed))
		}
		switch {
		case before == nil:
			return versions, cut, nil
		case n >= limit.Commits:
			return versions, fmt.Sprintf("only the newest %d commits were read", limit.Commits), nil
		case before.commit.Committer.When.Before(oldest):
			return versions, "commits before " + oldest.UTC().Format(time.DateOnly) + " were not read", nil
		}
		at = before
	}
}

// packsOpen is a store for one long walk, to be closed after it: opening a pack
// for every object would take half of the time.
func (r *Repo) packsOpen() *filesystem.Storage {
	return filesystem.NewStorageWithOptions(r.files, cache.NewObjectLRUDefault(),
		filesystem.Options{KeepDescriptors: true, AlternatesFS: alternates()})
}

// walk goes back through the commits.
type walk struct {
	repo  *Repo
	store *filesystem.Storage
	paths *paths
}

// state is a commit with the blobs of the files asked for, zero where absent.
type state struct {
	commit *object.Commit
	blobs  []plumbing.Hash
}

func (w *walk) state(hash plumbing.Hash) (*state, error) {
	commit, err := object.GetCommit(w.store, hash)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", hash, err)
	}
	blobs, err := w.paths.root.blobs(w.store, commit.TreeHash)
	if err != nil {
		return nil, fmt.Errorf("read the tree of commit %s: %w", hash, err)
	}
	return &state{commit, blobs}, nil
}

// parent gives the state before, or nil and, where a parent exists but is not
// in this clone, a note.
func (w *walk) parent(at *state) (*state, string, error) {
	if len(at.commit.ParentHashes) == 0 && !w.repo.shallow[at.commit.Hash] {
		return nil, "", nil
	}
	cut := fmt.Sprintf("the clone is shallow: its history begins with commit %s (git fetch --unshallow gets the rest)", at.commit.Hash.String()[:12])
	if w.repo.shallow[at.commit.Hash] {
		return nil, cut, nil
	}
	before, err := w.state(at.commit.ParentHashes[0])
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Sprintf("the commit before %s is not in this clone", at.commit.Hash.String()[:12]), nil
	}
	return before, "", err
}

func (r *Repo) version(at, before *state, changed []string) Version {
	subject, _, _ := strings.Cut(strings.TrimSpace(at.commit.Message), "\n")
	v := Version{
		Commit:  at.commit.Hash.String(),
		Date:    at.commit.Committer.When.UTC().Format(time.RFC3339),
		Subject: strings.TrimSpace(subject),
		Changed: changed,
		Read:    r.reader(at.commit.TreeHash),
	}
	if before != nil {
		v.ReadBefore = r.reader(before.commit.TreeHash)
	} else {
		v.ReadBefore = func(string) ([]byte, bool, error) { return nil, false, nil }
	}
	return v
}

func (r *Repo) reader(hash plumbing.Hash) func(string) ([]byte, bool, error) {
	return func(file string) ([]byte, bool, error) {
		tree, err := object.GetTree(r.store, hash)
		if err != nil {
			return nil, false, fmt.Errorf("read tree %s: %w", hash, err)
		}
		hash, ok, err := fileHash(tree, file)
		if err != nil || !ok {
			return nil, false, err
		}
		content, err := readBlob(r.store, hash, file)
		return content, err == nil, err
	}
}

// paths are the files asked for as a tree of directories.
type paths struct {
	files []string
	root  *dir
}

// dir remembers for each version of itself which blobs it holds.
type dir struct {
	files int // how many are asked for in all
	names []string
	file  map[string]int // name to index in paths.files
	sub   map[string]*dir
	known map[plumbing.Hash][]plumbing.Hash
}

func newDir(files int) *dir {
	return &dir{files: files, file: map[string]int{}, sub: map[string]*dir{}, known: map[plumbing.Hash][]plumbing.Hash{}}
}

func newPaths(files []string) (*paths, error) {
	p := &paths{files: slices.Compact(slices.Sorted(slices.Values(files)))}
	p.root = newDir(len(p.files))
	for i, f := range p.files {
		if !fs.ValidPath(f) || f == "." {
			return nil, fmt.Errorf("%q is not the path of a file in the repository", f)
		}
		segs := strings.Split(f, "/")
		d := p.root
		for _, seg := range segs[:len(segs)-1] {
			if d.sub[seg] == nil {
				d.sub[seg] = newDir(len(p.files))
				d.names = append(d.names, seg)
			}
			d = d.sub[seg]
		}
		last := segs[len(segs)-1]
		d.file[last] = i
		d.names = append(d.names, last)
	}
	return p, nil
}

// changed lists the files whose blob differs.
func (p *paths) changed(at, before *state) []string {
	var out []string
	for i, f := range p.files {
		was := plumbing.ZeroHash
		if before != nil {
			was = before.blobs[i]
		}
		if at.blobs[i] != was {
			out = append(out, f)
		}
	}
	return out
}

// blobs of the files below d in the tree of that hash.
func (d *dir) blobs(store *filesystem.Storage, hash plumbing.Hash) ([]plumbing.Hash, error) {
	if known, ok := d.known[hash]; ok {
		return known, nil
	}
	tree, err := object.GetTree(store, hash)
	if err != nil {
		return nil, err
	}
	out := make([]plumbing.Hash, d.files)
	for i := range tree.Entries {
		if err := d.take(store, &tree.Entries[i], out); err != nil {
			return nil, err
		}
	}
	d.known[hash] = out
	return out, nil
}

// take notes the entry's blobs if it is asked for or holds what is.
func (d *dir) take(store *filesystem.Storage, e *object.TreeEntry, out []plumbing.Hash) error {
	if i, ok := d.file[e.Name]; ok && e.Mode != filemode.Dir && e.Mode != filemode.Submodule {
		out[i] = e.Hash
	}
	sub := d.sub[e.Name]
	if sub == nil || e.Mode != filemode.Dir {
		return nil
	}
	below, err := sub.blobs(store, e.Hash)
	if err != nil {
		return err
	}
	for i, h := range below {
		if !h.IsZero() {
			out[i] = h
		}
	}
	return nil
}
