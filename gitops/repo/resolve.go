package repo

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// ErrNoRevision: a name that leads to no commit of this clone.
var ErrNoRevision = errors.New("no such revision")

// wholeHistory is what to do about a shallow clone.
const wholeHistory = "the clone is shallow; get the whole history with fetch-depth: 0 (actions/checkout), GIT_DEPTH: 0 (GitLab CI) or git fetch --unshallow"

// Resolve gives the full hash of the commit that a revision names, as git
// rev-parse does: HEAD, a branch, a tag, a remote-tracking branch, a full or
// abbreviated hash (4 digits at least), any of them with ~N, ^N and ^{commit}
// behind it, and NAME@{upstream}. A name without a local branch is looked for
// among the remote-tracking branches too, origin first. What needs a reflog
// (NAME@{1}) or a search (:/text) is refused.
func (r *Repo) Resolve(rev string) (string, error) {
	name, steps := splitRevision(rev)
	hash, err := r.lookup(name)
	if err == nil {
		hash, err = r.follow(hash, steps)
	}
	if err != nil {
		return "", fmt.Errorf("revision %q of %s: %w", rev, r.root, err)
	}
	return hash.String(), nil
}

var (
	revisionStep = regexp.MustCompile(`^(?:~([0-9]{0,6})|\^\{(?:commit)?\}|\^([0-9]{0,6}))`)
	upstreamName = regexp.MustCompile(`(?i)^(.*)@\{u(?:pstream)?\}$`)
	hexDigits    = regexp.MustCompile(`^[0-9a-fA-F]{4,40}$`)
	specialRef   = regexp.MustCompile(`^[A-Z]+_HEAD$`)
)

// splitRevision separates the name from ~N and ^N.
func splitRevision(rev string) (name, steps string) {
	if i := strings.IndexAny(rev, "~^"); i >= 0 {
		return rev[:i], rev[i:]
	}
	return rev, ""
}

// lookup finds the commit of a name without steps.
func (r *Repo) lookup(name string) (plumbing.Hash, error) {
	if plumbing.IsHash(name) {
		return r.commitOf(plumbing.NewHash(name))
	}
	if m := upstreamName.FindStringSubmatch(name); m != nil {
		return r.upstream(m[1])
	}
	if name == "@" {
		name = "HEAD"
	}
	for _, ref := range r.candidates(name) {
		hash, err := r.reference(ref)
		if !errors.Is(err, plumbing.ErrReferenceNotFound) {
			return hash, err
		}
	}
	if hexDigits.MatchString(name) {
		return r.abbreviated(strings.ToLower(name))
	}
	return plumbing.ZeroHash, r.unknown()
}

// unknown says why a revision may be missing.
func (r *Repo) unknown() error {
	if r.Shallow() {
		return fmt.Errorf("%w: %s", ErrNoRevision, wholeHistory)
	}
	return fmt.Errorf("%w: check the name, or git fetch it first", ErrNoRevision)
}

// candidates are the references that a name can mean, in git's order, and then
// the branches of that name at the remotes.
func (r *Repo) candidates(name string) []plumbing.ReferenceName {
	if name == "HEAD" || specialRef.MatchString(name) {
		return []plumbing.ReferenceName{plumbing.ReferenceName(name)}
	}
	var out []plumbing.ReferenceName
	forms := []string{"refs/%s", "refs/tags/%s", "refs/heads/%s", "refs/remotes/%s", "refs/remotes/%s/HEAD"}
	if strings.HasPrefix(name, "refs/") {
		forms = append([]string{"%s"}, forms...)
	}
	for _, remote := range r.remotes() {
		forms = append(forms, "refs/remotes/"+strings.ReplaceAll(remote, "%", "%%")+"/%s")
	}
	for _, form := range forms {
		ref := plumbing.ReferenceName(fmt.Sprintf(form, name))
		if ref.Validate() == nil {
			out = append(out, ref)
		}
	}
	return out
}

// remotes are the names of the remotes: origin, upstream, then the others.
func (r *Repo) remotes() []string {
	cfg, err := r.store.Config()
	if err != nil {
		return nil
	}
	rank := func(name string) int {
		return slices.Index([]string{"upstream", "origin"}, name)
	}
	var out []string
	for name := range cfg.Remotes {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int {
		if d := rank(b) - rank(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return out
}

// reference gives the commit of a reference, following symbolic ones.
func (r *Repo) reference(name plumbing.ReferenceName) (plumbing.Hash, error) {
	ref, err := storer.ResolveReference(r.store, name)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return r.commitOf(ref.Hash())
}

// upstream is the commit of the branch that a branch follows, as its
// configuration says; the empty name is the branch checked out.
func (r *Repo) upstream(branch string) (plumbing.Hash, error) {
	if branch == "" || branch == "HEAD" || branch == "@" {
		head, err := r.store.Reference(plumbing.HEAD)
		if err != nil || head.Type() != plumbing.SymbolicReference {
			return plumbing.ZeroHash, fmt.Errorf("%w: no branch is checked out that could have an upstream", ErrNoRevision)
		}
		branch = head.Target().Short()
	}
	cfg, err := r.store.Config()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	b := cfg.Branches[branch]
	if b == nil || b.Remote == "" || b.Merge == "" {
		return plumbing.ZeroHash, fmt.Errorf("%w: branch %q has no upstream: set one with git branch --set-upstream-to", ErrNoRevision, branch)
	}
	target := b.Merge
	if remote := cfg.Remotes[b.Remote]; b.Remote != "." && remote != nil {
		for _, spec := range remote.Fetch {
			if spec.Match(b.Merge) {
				target = spec.Dst(b.Merge)
				break
			}
		}
	}
	hash, err := r.reference(target)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return hash, fmt.Errorf("%w: %s, the upstream of branch %q, was not fetched", ErrNoRevision, target, branch)
	}
	return hash, err
}

// abbreviated finds the one commit whose hash begins so.
func (r *Repo) abbreviated(prefix string) (plumbing.Hash, error) {
	whole := plumbing.NewHash(prefix + strings.Repeat("0", 40-len(prefix)))
	hashes, err := r.hashesWithPrefix(whole[:len(prefix)/2])
	if err != nil {
		return plumbing.ZeroHash, err
	}
	var found []plumbing.Hash
	for _, h := range hashes {
		if !strings.HasPrefix(h.String(), prefix) {
			continue
		}
		if commit, err := r.commitOf(h); err == nil && !slices.Contains(found, commit) {
			found = append(found, commit)
		}
	}
	switch len(found) {
	case 0:
		return plumbing.ZeroHash, r.unknown()
	case 1:
		return found[0], nil
	}
	return plumbing.ZeroHash, fmt.Errorf("%w: %d commits begin so, give more digits", ErrNoRevision, len(found))
}

// hashesWithPrefix looks among the objects of the clone and of those that it
// borrows from (git clone --shared, --reference), which go-git leaves out.
func (r *Repo) hashesWithPrefix(prefix []byte) ([]plumbing.Hash, error) {
	hashes, err := r.store.HashesWithPrefix(prefix)
	if err != nil {
		return nil, err
	}
	lenders, err := dotgit.NewWithOptions(r.files, dotgit.Options{AlternatesFS: alternates()}).Alternates()
	if err != nil {
		return hashes, nil // it borrows from none
	}
	for _, l := range lenders {
		more, err := filesystem.NewObjectStorage(l, cache.NewObjectLRUDefault()).HashesWithPrefix(prefix)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, more...)
	}
	return hashes, nil
}

// maxTags bounds a chain of tags that point to tags.
const maxTags = 10

// commitOf follows tags to their commit.
func (r *Repo) commitOf(hash plumbing.Hash) (plumbing.Hash, error) {
	for range maxTags {
		o, err := r.store.EncodedObject(plumbing.AnyObject, hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return plumbing.ZeroHash, fmt.Errorf("commit %s: %w", hash, r.unknown())
		}
		if err != nil {
			return plumbing.ZeroHash, fmt.Errorf("read object %s: %w", hash, err)
		}
		switch o.Type() {
		case plumbing.CommitObject:
			return hash, nil
		case plumbing.TagObject:
			tag, err := object.DecodeTag(r.store, o)
			if err != nil {
				return plumbing.ZeroHash, fmt.Errorf("read tag %s: %w", hash, err)
			}
			hash = tag.Target
		default:
			return plumbing.ZeroHash, fmt.Errorf("%w: %s is a %s, not a commit", ErrNoRevision, hash, o.Type())
		}
	}
	return plumbing.ZeroHash, fmt.Errorf("%w: more than %d tags of tags", ErrNoRevision, maxTags)
}

// follow walks the steps behind a name.
func (r *Repo) follow(hash plumbing.Hash, steps string) (plumbing.Hash, error) {
	for steps != "" {
		m := revisionStep.FindStringSubmatch(steps)
		if m == nil {
			return hash, fmt.Errorf("%w: %q is not understood: give ~N, ^N or a commit", ErrNoRevision, steps)
		}
		var err error
		if m[0][0] == '~' {
			hash, err = r.ancestor(hash, atoi(m[1]))
		} else if !strings.HasSuffix(m[0], "}") {
			hash, err = r.nthParent(hash, atoi(m[2]))
		}
		if err != nil {
			return hash, err
		}
		steps = steps[len(m[0]):]
	}
	return hash, nil
}

// atoi of at most six digits; none mean 1.
func atoi(digits string) int {
	if n, err := strconv.Atoi(digits); err == nil {
		return n
	}
	return 1
}

func (r *Repo) ancestor(hash plumbing.Hash, generations int) (plumbing.Hash, error) {
	for range generations {
		var err error
		if hash, err = r.nthParent(hash, 1); err != nil {
			return hash, err
		}
	}
	return hash, nil
}

// nthParent counts from 1; the 0th is the commit itself.
func (r *Repo) nthParent(hash plumbing.Hash, n int) (plumbing.Hash, error) {
	if n == 0 {
		return hash, nil
	}
	commit, err := object.GetCommit(r.store, hash)
	if err != nil {
		return hash, fmt.Errorf("read commit %s: %w", hash, err)
	}
	if n > len(commit.ParentHashes) {
		return hash, fmt.Errorf("%w: commit %s has %d parents", ErrNoRevision, short(hash), len(commit.ParentHashes))
	}
	return r.commitOf(commit.ParentHashes[n-1])
}

func short(hash plumbing.Hash) string { return hash.String()[:12] }
