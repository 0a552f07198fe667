package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/report"
)

// Reversal asks for a merged change of ours to be taken back.
type Reversal struct {
	// Branch that the merged pull request came from, Commit that it was merged as.
	Branch, Commit string
	// Because says why, in one sentence; Evidence says more, one line each.
	Because  string
	Evidence []string
}

// Reverted is the pull request that takes a change back.
type Reverted struct {
	Number int
	URL    string
	// How a person takes it back, where no pull request could be made.
	How string
}

// Revert opens a draft of a pull request that gives the files of a merged one the
// contents that they had before. It opens one at most, ever: what people closed
// stays closed. Files that were changed again since are left to people, and How says
// what they can do.
func (p *Proposer) Revert(ctx context.Context, r Reversal) (*Reverted, error) {
	x, t, err := p.talkOf(ctx, r.Branch)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errNoPullRequest(r.Branch)
	}
	defer x.end()
	out := &Reverted{How: fmt.Sprintf("git revert -m 1 %s, or without -m 1 where it was squashed", r.Commit)}
	branch := branchRoot + refPart(p.Cluster, "cluster") + "/revert-" + refPart(r.Commit[:min(12, len(r.Commit))], "0")
	prs, err := p.Forge.Find(ctx, branch)
	if err != nil {
		return nil, err
	}
	if len(prs) == 0 {
		pr, err := x.revert(ctx, t, r, branch)
		if errors.Is(err, errMovedOn) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		prs = []forge.PullRequest{pr}
	}
	out.Number, out.URL = prs[0].Number, prs[0].URL
	return out, nil
}

// errMovedOn: the files are not any more as the change left them.
var errMovedOn = errors.New("the files were changed again since")

func (x *proposal) revert(ctx context.Context, t *talk, r Reversal, branch string) (forge.PullRequest, error) {
	dir, err := os.MkdirTemp("", "remediate-revert-")
	if err != nil {
		return forge.PullRequest{}, fmt.Errorf("make a folder for the clone: %w", err)
	}
	defer os.RemoveAll(dir)
	tree, err := x.Remote.Clone(ctx, repo.CloneOptions{Dir: filepath.Join(dir, "repository"), Branch: t.pr.Base, History: true})
	if err != nil {
		return forge.PullRequest{}, err
	}
	files, err := x.earlier(ctx, tree, t.pr, r.Commit)
	if err != nil {
		return forge.PullRequest{}, err
	}
	title := clip("Revert: "+t.pr.Title, forge.MaxTitle)
	c, err := tree.Commit(repo.CommitOptions{Files: files, Message: title + "\n\nThis takes back " + r.Commit + ".\n", Author: author(x.Spec.Commit), When: x.now, Signer: x.Signer})
	if errors.Is(err, repo.ErrNoChange) {
		return forge.PullRequest{}, errMovedOn
	}
	if err != nil {
		return forge.PullRequest{}, err
	}
	refs, err := x.branches(ctx)
	if err != nil {
		return forge.PullRequest{}, err
	}
	if err := asConflict(branch, tree.Push(ctx, c.Hash, branch, refs.Branches[branch])); err != nil {
		return forge.PullRequest{}, err
	}
	body := report.Reversal(report.ReversalOptions{Link: t.pr.URL, Commit: r.Commit, Because: r.Because, Evidence: r.Evidence})
	return x.Forge.Open(ctx, forge.Request{Title: title, Body: body, Branch: branch, Base: t.pr.Base, Draft: true, Labels: labels(x.Spec), Reviewers: x.Spec.Reviewers})
}

// earlier are the files of a pull request as they were before its merge.
func (x *proposal) earlier(ctx context.Context, tree *repo.Worktree, pr forge.PullRequest, commit string) (map[string][]byte, error) {
	names, err := x.Forge.Files(ctx, pr)
	if err != nil {
		return nil, err
	}
	clone, err := repo.Open(tree.Dir())
	if err != nil {
		return nil, err
	}
	versions, _, err := clone.History(ctx, names, repo.Limit{})
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if v.Commit == commit {
			return before(v, tree.Dir(), names)
		}
	}
	return nil, errMovedOn
}

func before(v repo.Version, dir string, names []string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, name := range names {
		if strings.Contains(name, "..") {
			return nil, errMovedOn
		}
		was, had, err := v.ReadBefore(name)
		if err != nil {
			return nil, err
		}
		after, has, err := v.Read(name)
		if err != nil {
			return nil, err
		}
		now, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || !had || !has || string(now) != string(after) {
			return nil, errMovedOn
		}
		out[name] = was
	}
	return out, nil
}
