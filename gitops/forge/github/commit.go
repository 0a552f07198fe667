package github

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/go-github/v60/github"

	"github.com/remediate-dev/remediate/gitops/forge"
)

var hash = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Commit makes a commit through the API. It names no author and no committer:
// GitHub then puts in the owner of the credentials and signs it, for a GitHub App
// as verified. A branch that is not at c.Expect is an error of kind
// [forge.Conflict], a commit that changes nothing one of kind [forge.NoDiff].
//
// GitHub has no update of a branch under a condition here: between the look at
// the branch and the update, a push of somebody else would be lost.
func (h *hub) Commit(ctx context.Context, c forge.Commit) (string, error) {
	op := fmt.Sprintf("commit to branch %s of %s", c.Branch, h)
	for _, s := range []string{c.Parent, c.ParentTree} {
		if !hash.MatchString(s) {
			return "", &forge.Error{Kind: forge.Invalid, Op: op, Err: fmt.Errorf("%q is no hash", s), Hint: "commit on top of a cloned commit"}
		}
	}
	if err := h.expect(ctx, op, c); err != nil {
		return "", err
	}
	entries, err := h.entries(ctx, op, c)
	if err != nil {
		return "", err
	}
	tree, _, err := h.client.Git.CreateTree(ctx, h.owner, h.name, c.ParentTree, entries)
	if err = answered(err, hash.MatchString(tree.GetSHA())); err != nil {
		return "", h.fail(op, writeContents, err)
	}
	if tree.GetSHA() == c.ParentTree {
		return "", &forge.Error{Kind: forge.NoDiff, Op: op, Hint: "there is nothing to propose: the base has this change"}
	}
	made, _, err := h.client.Git.CreateCommit(ctx, h.owner, h.name, &github.Commit{
		Message: github.String(c.Message), Tree: tree,
		Parents: []*github.Commit{{SHA: github.String(c.Parent)}},
	}, nil)
	if err = answered(err, hash.MatchString(made.GetSHA())); err != nil {
		return "", h.fail(op, writeContents, err)
	}
	if err := h.point(ctx, op, c, made.GetSHA()); err != nil {
		return "", err
	}
	return made.GetSHA(), nil
}

// webFlow is the account in whose name GitHub signs, on every GitHub: an
// Enterprise Server has addresses of its own, and the same login.
const webFlow = "web-flow"

// Made goes by accounts, as GitHub shows them: the author is who the credentials
// are of, and the committer is the author or GitHub. Whoever amends or rebases
// becomes the committer.
func (h *hub) Made(ctx context.Context, hash string) (bool, error) {
	op := fmt.Sprintf("ask who made commit %.12s of %s", hash, h)
	c, _, err := h.client.Repositories.GetCommit(ctx, h.owner, h.name, hash, nil)
	if err != nil {
		return false, h.fail(op, readContents, err)
	}
	me, err := h.whoami(ctx)
	if err != nil {
		return false, err
	}
	author, committer := c.GetAuthor().GetLogin(), c.GetCommitter().GetLogin()
	if me == "" && c.GetAuthor().GetType() == "Bot" {
		// It may not ask for its own login: see [hub.Mine].
		return committer == webFlow || committer == author, nil
	}
	return me != "" && strings.EqualFold(author, me) && (committer == webFlow || committer == author), nil
}

// expect looks whether the branch is where it should be.
func (h *hub) expect(ctx context.Context, op string, c forge.Commit) error {
	at, err := h.tip(ctx, op, c.Branch)
	if err != nil {
		return err
	}
	if at != c.Expect {
		return conflict(op, c, at)
	}
	return nil
}

func conflict(op string, c forge.Commit, at string) error {
	where := func(hash string) string {
		if hash == "" {
			return "missing"
		}
		return "at " + hash
	}
	return &forge.Error{Kind: forge.Conflict, Op: op,
		Err:  fmt.Errorf("the branch is %s, expected it %s", where(at), where(c.Expect)),
		Hint: "it changed meanwhile: run it again"}
}

// tip is the commit of a branch; empty when there is none.
func (h *hub) tip(ctx context.Context, op, branch string) (string, error) {
	ref, _, err := h.client.Git.GetRef(ctx, h.owner, h.name, "heads/"+branch)
	if err != nil {
		failed := h.fail(op, readContents, err)
		if forge.Is(failed, forge.NotFound) {
			return "", nil
		}
		return "", failed
	}
	at := ref.GetObject().GetSHA()
	if err := answered(nil, hash.MatchString(at)); err != nil {
		return "", h.fail(op, readContents, err)
	}
	return at, nil
}

// point moves the branch, and looks again right before it does.
func (h *hub) point(ctx context.Context, op string, c forge.Commit, to string) error {
	ref := &github.Reference{
		Ref:    github.String("refs/heads/" + c.Branch),
		Object: &github.GitObject{SHA: github.String(to)},
	}
	if c.Expect == "" {
		_, _, err := h.client.Git.CreateRef(ctx, h.owner, h.name, ref)
		if err == nil {
			return nil
		}
		failed := h.fail(op, writeContents, err)
		if forge.Is(failed, forge.Exists) {
			return conflict(op, c, "another commit")
		}
		return failed
	}
	if err := h.expect(ctx, op, c); err != nil {
		return err
	}
	if _, _, err := h.client.Git.UpdateRef(ctx, h.owner, h.name, ref, true); err != nil {
		return h.fail(op, writeContents, err)
	}
	return nil
}

// entries are the changed files with the modes that they have.
func (h *hub) entries(ctx context.Context, op string, c forge.Commit) ([]*github.TreeEntry, error) {
	paths := slices.Sorted(maps.Keys(c.Files))
	modes, err := h.modes(ctx, op, c.ParentTree, paths)
	if err != nil {
		return nil, err
	}
	var out []*github.TreeEntry
	for _, path := range paths {
		if mode := modes[path]; mode != "100644" && mode != "100755" {
			return nil, &forge.Error{Kind: forge.Invalid, Op: op,
				Err: fmt.Errorf("%s is no regular file of commit %s", path, c.Parent), Hint: "plan again on the base as it is now"}
		}
		entry := &github.TreeEntry{Path: github.String(path), Mode: github.String(modes[path]), Type: github.String("blob")}
		if entry.Content, entry.SHA, err = h.content(ctx, op, c.Files[path]); err != nil {
			return nil, err
		}
		out = append(out, entry)
	}
	return out, nil
}

// content goes with the tree where it is text; other bytes would be damaged in
// JSON and go as a blob of their own.
func (h *hub) content(ctx context.Context, op string, data []byte) (text, sha *string, err error) {
	if utf8.Valid(data) {
		return github.String(string(data)), nil, nil
	}
	blob, _, err := h.client.Git.CreateBlob(ctx, h.owner, h.name, &github.Blob{
		Content: github.String(base64.StdEncoding.EncodeToString(data)), Encoding: github.String("base64"),
	})
	if err != nil {
		return nil, nil, h.fail(op, writeContents, err)
	}
	return nil, blob.SHA, nil
}

// modes reads the whole tree in one request; where GitHub cuts it off (100,000
// entries or 7 MB), it walks down to each path.
func (h *hub) modes(ctx context.Context, op, tree string, paths []string) (map[string]string, error) {
	all, _, err := h.client.Git.GetTree(ctx, h.owner, h.name, tree, true)
	if err != nil {
		return nil, h.fail(op, readContents, err)
	}
	if all.GetTruncated() {
		return h.walk(ctx, op, tree, paths)
	}
	out := map[string]string{}
	for _, e := range all.Entries {
		out[e.GetPath()] = e.GetMode()
	}
	return out, nil
}

func (h *hub) walk(ctx context.Context, op, root string, paths []string) (map[string]string, error) {
	out := map[string]string{}
	read := map[string]*github.Tree{}
	for _, path := range paths {
		at, mode := root, dirMode
		for name := range strings.SplitSeq(path, "/") {
			if mode != dirMode {
				mode = ""
				break
			}
			if read[at] == nil {
				tree, _, err := h.client.Git.GetTree(ctx, h.owner, h.name, at, false)
				if err != nil {
					return nil, h.fail(op, readContents, err)
				}
				read[at] = tree
			}
			at, mode = child(read[at], name)
		}
		out[path] = mode
	}
	return out, nil
}

const dirMode = "040000"

// child is hash and mode of an entry; empty when there is none.
func child(tree *github.Tree, name string) (sha, mode string) {
	for _, e := range tree.Entries {
		if e.GetPath() == name {
			return e.GetSHA(), e.GetMode()
		}
	}
	return "", ""
}
