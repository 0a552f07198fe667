package remediate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
)

// branches asks the Git server once.
func (x *proposal) branches(ctx context.Context) (*repo.Refs, error) {
	if x.refs == nil {
		refs, err := x.Remote.Refs(ctx)
		if err != nil {
			return nil, err
		}
		x.refs = &refs
	}
	return x.refs, nil
}

// base is the branch that new pull requests go to, and its newest commit.
func (x *proposal) base(ctx context.Context) (branch, tip string, err error) {
	refs, err := x.branches(ctx)
	if err != nil {
		return "", "", err
	}
	branch = x.Base
	if branch == "" {
		branch = refs.Default
	}
	tip, err = x.tip(ctx, branch)
	return branch, tip, err
}

// tip is the newest commit of a branch that pull requests go to.
func (x *proposal) tip(ctx context.Context, branch string) (string, error) {
	if x.tree != nil && x.cloned == branch {
		return x.tree.Head().Hash, nil
	}
	refs, err := x.branches(ctx)
	if err != nil {
		return "", err
	}
	if branch == "" {
		return "", &forge.Error{Kind: forge.NotFound, Op: "find the branch to change", Hint: "push a first commit, or name the branch to change (--base-branch)", Err: fmt.Errorf("the server names no default branch")}
	}
	tip, ok := refs.Branches[branch]
	if !ok {
		hint := "name the branch to change (--base-branch, or GitRepository.spec.ref.branch)"
		if refs.Default != "" {
			hint += "; the server's default branch is " + clip(refs.Default, 100)
		}
		return "", &forge.Error{Kind: forge.NotFound, Op: "find the branch to change", Hint: hint, Err: fmt.Errorf("there is no branch %s: it was renamed or deleted", clip(branch, 100))}
	}
	return tip, nil
}

// clone brings the newest commit of a branch, once.
func (x *proposal) clone(ctx context.Context, branch string) error {
	if x.tree != nil && x.cloned == branch {
		return nil
	}
	x.end()
	x.say("cloning the newest commit of %s", branch)
	dir, err := os.MkdirTemp("", "remediate-propose-")
	if err != nil {
		return fmt.Errorf("make a folder for the clone: %w", err)
	}
	x.dir = dir
	x.tree, err = x.Remote.Clone(ctx, repo.CloneOptions{Dir: filepath.Join(dir, "repository"), Branch: branch})
	if err != nil {
		return err
	}
	x.cloned = branch
	return nil
}

// fresh makes sure that the plan is one of the newest commit of the branch; it
// plans again in a clone when it is not.
func (x *proposal) fresh(ctx context.Context, branch string) error {
	tip, err := x.tip(ctx, branch)
	if err != nil || x.res.standsOn(tip) {
		return err
	}
	if x.Replan == nil {
		return withHint(fmt.Errorf("the plan is of commit %.12s with its changes, and %s is at %.12s", x.res.Plan.Subject.Revision, branch, tip), "bring the checkout up to date with the server and plan again")
	}
	if err := x.clone(ctx, branch); err != nil {
		return err
	}
	x.say("planning again on %s at %.12s", branch, x.tree.Head().Hash)
	res, err := x.Replan(ctx, x.tree.Dir())
	if err != nil {
		return fmt.Errorf("plan again on %s at %.12s: %w", branch, x.tree.Head().Hash, err)
	}
	if res.Plan.Subject.Revision == "" {
		res.Plan.Subject.Revision = x.tree.Head().Hash
	}
	x.take(res)
	return nil
}

// catchUp plans on the newest base when the plan abstains and is of another
// state: a checkout that is not up to date differs from what the cluster runs.
func (x *proposal) catchUp(ctx context.Context) error {
	if x.res.Plan.Abstained == "" || x.Replan == nil {
		return nil
	}
	base, tip, err := x.base(ctx)
	if err != nil || x.res.standsOn(tip) {
		return err
	}
	return x.fresh(ctx, base)
}

// standsOn says whether the plan was made of that very commit, without changes
// of the working tree in the files that it read values from or edits.
func (res *Result) standsOn(commit string) bool {
	if res.Plan.Subject.Revision != commit {
		return false
	}
	var files []string
	for _, v := range res.Plan.Subject.Values {
		files = append(files, v.File)
	}
	for _, edited := range res.files {
		files = append(files, sortedFiles(edited)...)
	}
	slices.Sort(files)
	for _, f := range slices.Compact(files) {
		if f == "" || res.repo == nil {
			continue
		}
		if dirty, err := res.repo.Dirty(f); err != nil || dirty {
			return false
		}
	}
	return true
}
