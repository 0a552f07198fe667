package repo

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// ErrNoBase: nothing says what to compare with, or this clone does not hold it.
var ErrNoBase = errors.New("nothing to compare with")

// BaseOptions say what a change is compared with.
type BaseOptions struct {
	// Rev is the base as the user named it; it is taken exactly. Empty: see
	// [Repo.Base].
	Rev string
	// Head is the revision that is checked; empty for the working tree.
	Head string
	// Env reads the environment, in which CI systems name the target branch;
	// nil for none.
	Env func(string) string
}

// Base is the state that a change is compared with.
type Base struct {
	// Name is as the user or the CI system knows it: "origin/main", "HEAD".
	Name string
	// Commit is the full hash.
	Commit string
	// How says in a phrase how it was chosen; for one that the user named, that
	// the checked state does not build on it, else nothing.
	How string
}

// Base finds what a change is compared with: the revision given; else the merge
// base with the target branch of the pull request (GITHUB_BASE_REF) or merge
// request (CI_MERGE_REQUEST_TARGET_BRANCH_NAME) that CI runs for; else the merge
// base with the default branch of origin, or of another remote. Remote-tracking
// branches go before local ones of the same name.
//
// Where the checked commit is part of that branch already, a working tree is
// compared with HEAD, and a commit with its first parent.
//
// Variables: docs.github.com "Variables reference", docs.gitlab.com "Predefined
// CI/CD variables reference".
func (r *Repo) Base(opts BaseOptions) (Base, error) {
	if opts.Rev != "" {
		commit, err := r.Resolve(opts.Rev)
		if err != nil {
			return Base{}, err
		}
		return Base{Name: opts.Rev, Commit: commit, How: r.movedOn(commit, opts.Head)}, nil
	}
	if opts.Env == nil {
		opts.Env = func(string) string { return "" }
	}
	head, err := r.headOf(opts.Head)
	if err != nil {
		return Base{}, err
	}
	c := &chooser{repo: r, head: head, rev: opts.Head, env: opts.Env}
	for _, choose := range []func() (*Base, error){c.gitHub, c.gitLab, c.defaultBranch, c.alone} {
		if base, err := choose(); base != nil || err != nil {
			return deref(base), err
		}
	}
	return Base{}, fmt.Errorf("find the base of %s: %w: no remote branch is known; give --base REV%s", r.root, ErrNoBase, r.ifShallow())
}

// movedOn says that a base has commits which the head lacks: what they change
// then shows as changed back. Empty when it has none, or that is not known.
func (r *Repo) movedOn(base, head string) string {
	tip, err := r.headOf(head)
	if err != nil {
		return ""
	}
	common, ok, _, err := r.mergeBase(tip, plumbing.NewHash(base))
	if err != nil || !ok || common.String() == base || common == tip {
		return ""
	}
	return "it has commits that the checked state lacks, which count as taken back; without them: --base " + short(common)
}

func deref(b *Base) Base {
	if b == nil {
		return Base{}
	}
	return *b
}

func (r *Repo) headOf(rev string) (plumbing.Hash, error) {
	if rev == "" {
		if head, err := r.Head(); err == nil && head == "" {
			return plumbing.ZeroHash, fmt.Errorf("find the base of %s: %w: there is no commit yet", r.root, ErrNoBase)
		}
		rev = "HEAD"
	}
	commit, err := r.Resolve(rev)
	return plumbing.NewHash(commit), err
}

func (r *Repo) ifShallow() string {
	if r.Shallow() {
		return " (" + wholeHistory + ")"
	}
	return ""
}

// chooser tries one way after the other; none of them has a say when it gives
// neither a base nor an error.
type chooser struct {
	repo *Repo
	head plumbing.Hash
	rev  string // "" for the working tree
	env  func(string) string
}

var pullMerge = regexp.MustCompile(`^refs/pull/[0-9]+/merge$`)

func (c *chooser) gitHub() (*Base, error) {
	const variable = "GITHUB_BASE_REF"
	branch := c.env(variable)
	if branch == "" {
		return nil, nil
	}
	base, err := c.target(variable, branch)
	if err == nil || !pullMerge.MatchString(c.env("GITHUB_REF")) {
		return base, err
	}
	// The commit that GitHub makes to try the merge has the target branch as
	// its first parent.
	commit, found := object.GetCommit(c.repo.store, c.head)
	if found != nil || len(commit.ParentHashes) != 2 {
		return nil, err
	}
	first, missing := c.repo.commitOf(commit.ParentHashes[0])
	if missing != nil {
		return nil, err
	}
	return &Base{branch, first.String(), "first parent of the pull request's merge commit, " + variable + " is " + branch}, nil
}

func (c *chooser) gitLab() (*Base, error) {
	const variable, diffBase = "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_MERGE_REQUEST_DIFF_BASE_SHA"
	branch := c.env(variable)
	if branch == "" {
		return nil, nil
	}
	base, err := c.target(variable, branch)
	if err == nil || !plumbing.IsHash(c.env(diffBase)) {
		return base, err
	}
	commit, missing := c.repo.Resolve(c.env(diffBase))
	if missing != nil {
		return nil, err
	}
	return &Base{branch, commit, diffBase + ", " + variable + " is " + branch}, nil
}

// target is the merge base with the branch that a variable names.
func (c *chooser) target(variable, branch string) (*Base, error) {
	var refs []plumbing.ReferenceName
	for _, remote := range c.repo.remotes() {
		refs = append(refs, plumbing.NewRemoteReferenceName(remote, branch))
	}
	for _, ref := range append(refs, plumbing.NewBranchReferenceName(branch)) {
		if ref.Validate() != nil {
			continue
		}
		tip, err := c.repo.reference(ref)
		if errors.Is(err, plumbing.ErrReferenceNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find the base of %s: branch %s (%s): %w", c.repo.root, ref.Short(), variable, err)
		}
		return c.mergeBase(ref.Short(), tip, "merge base with "+ref.Short()+", "+variable)
	}
	return nil, fmt.Errorf("find the base of %s: %w: branch %q (%s) is not in this clone: check out with fetch-depth: 0 (actions/checkout) or GIT_DEPTH: 0 (GitLab CI), git fetch origin %q, or give --base REV",
		c.repo.root, ErrNoBase, branch, variable, branch)
}

// defaultBranch is the merge base with the default branch of a remote.
func (c *chooser) defaultBranch() (*Base, error) {
	for _, remote := range c.repo.remotes() {
		for _, name := range []string{"HEAD", "main", "master"} {
			ref := plumbing.NewRemoteReferenceName(remote, name)
			if ref.Validate() != nil {
				continue
			}
			named, err := storer.ResolveReference(c.repo.store, ref)
			if errors.Is(err, plumbing.ErrReferenceNotFound) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read %s of %s: %w", ref, c.repo.root, err)
			}
			return c.mergeBase(named.Name().Short(), named.Hash(), "merge base with "+named.Name().Short())
		}
	}
	return nil, nil
}

// alone is for a repository without remotes: the merge base with a local main
// or master, else the commit checked out.
func (c *chooser) alone() (*Base, error) {
	if len(c.repo.remotes()) > 0 || c.repo.Shallow() {
		return nil, nil
	}
	for _, name := range []string{"main", "master"} {
		if tip, err := c.repo.reference(plumbing.NewBranchReferenceName(name)); err == nil {
			return c.mergeBase(name, tip, "merge base with "+name)
		}
	}
	return c.before("there is no remote")
}

// mergeBase with a branch, or what comes before a head that the branch holds.
func (c *chooser) mergeBase(name string, tip plumbing.Hash, how string) (*Base, error) {
	base, ok, cut, err := c.repo.mergeBase(c.head, tip)
	switch {
	case err != nil:
		return nil, fmt.Errorf("find the base of %s: %w", c.repo.root, err)
	case !ok && (cut || c.repo.Shallow()):
		return nil, fmt.Errorf("find the base of %s: %w: the commit at which it left %s is not in this clone: %s, or give --base REV", c.repo.root, ErrNoBase, name, wholeHistory)
	case !ok:
		return nil, fmt.Errorf("find the base of %s: %w: it has no commit in common with %s; give --base REV", c.repo.root, ErrNoBase, name)
	case base == c.head:
		return c.before(name + " holds the commit already")
	}
	return &Base{name, base.String(), how}, nil
}

// before is HEAD for the working tree, and the first parent for a commit.
func (c *chooser) before(why string) (*Base, error) {
	if c.rev == "" {
		return &Base{"HEAD", c.head.String(), "HEAD, as " + why}, nil
	}
	parent, err := c.repo.nthParent(c.head, 1)
	if err != nil {
		return nil, fmt.Errorf("find the base of %s: the commit before %s: %w", c.repo.root, strings.TrimSpace(c.rev), err)
	}
	return &Base{c.rev + "^", parent.String(), "the commit before, as " + why}, nil
}
