package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// Worktree is a shallow clone that commits are made in. It is not safe for
// concurrent use.
type Worktree struct {
	remote *Remote
	dir    string
	repo   *git.Repository
	head   Commit
}

// Dir is the folder of its files.
func (w *Worktree) Dir() string { return w.dir }

// Head is the commit that was cloned, the base of what is committed.
func (w *Worktree) Head() Commit { return w.head }

// Commit is a commit as far as a proposal needs it.
type Commit struct {
	Hash, Tree        string
	Parents           []string
	Author, Committer Identity
	// When is the committer's time.
	When    time.Time
	Message string
	// Signed says that there is a signature, not that it is good.
	Signed bool
}

// Identity is who made a commit.
type Identity struct{ Name, Email string }

func (i Identity) String() string { return i.Name + " <" + i.Email + ">" }

func describe(c *object.Commit) Commit {
	out := Commit{
		Hash: c.Hash.String(), Tree: c.TreeHash.String(),
		Author:    Identity{c.Author.Name, c.Author.Email},
		Committer: Identity{c.Committer.Name, c.Committer.Email},
		When:      c.Committer.When, Message: c.Message, Signed: c.PGPSignature != "",
	}
	for _, p := range c.ParentHashes {
		out.Parents = append(out.Parents, p.String())
	}
	return out
}

// Fetch brings the newest commit of another branch, without its files; ok is
// false when there is no such branch. Its parents are known by hash only. Errors
// are [*PushError].
func (w *Worktree) Fetch(ctx context.Context, branch string) (c Commit, ok bool, err error) {
	if err := checkBranch(branch); err != nil {
		return Commit{}, false, err
	}
	hash, err := w.fetch(ctx, branch)
	if err != nil {
		return Commit{}, false, w.remote.failure(ctx, "fetch", branch, err)
	}
	if hash.IsZero() {
		return Commit{}, false, nil
	}
	found, err := w.repo.CommitObject(hash)
	if err != nil {
		return Commit{}, false, fmt.Errorf("fetch the branch %s: the server did not send its commit %s: %w", branch, hash, err)
	}
	return describe(found), true, nil
}

// fetch brings a branch's commit and gives its hash; zero when there is no
// such branch.
func (w *Worktree) fetch(ctx context.Context, branch string) (plumbing.Hash, error) {
	s, err := w.remote.uploadPack(ctx)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer closeQuietly(s)
	adv, err := s.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, err
	}
	tip, ok := adv.References[heads+branch]
	if !ok {
		return plumbing.ZeroHash, nil
	}
	if _, err := w.repo.CommitObject(tip); err == nil {
		return tip, nil
	}
	return tip, w.bring(ctx, s, adv, tip)
}

// bring takes one commit from the server, without its tree where the server
// can leave that out.
func (w *Worktree) bring(ctx context.Context, s transport.UploadPackSession, adv *packp.AdvRefs, tip plumbing.Hash) error {
	shallow, err := w.repo.Storer.Shallow()
	if err != nil {
		return err
	}
	req := fetchRequest(adv, tip, plumbing.NewHash(w.head.Hash), shallow)
	resp, err := s.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer closeQuietly(resp)
	if err := packfile.UpdateObjectStorage(w.repo.Storer, packOf(req, resp)); err != nil {
		return err
	}
	for _, h := range resp.Shallows {
		if !slices.Contains(shallow, h) {
			shallow = append(shallow, h)
		}
	}
	return w.repo.Storer.SetShallow(shallow)
}

// packOf is the pack in an answer, without the progress that comes with it.
func packOf(req *packp.UploadPackRequest, resp io.Reader) io.Reader {
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, resp)
	case req.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, resp)
	}
	return resp
}

func fetchRequest(adv *packp.AdvRefs, tip, have plumbing.Hash, shallow []plumbing.Hash) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	// go-git does not read the answers of the multi_ack dialects.
	req.Capabilities.Delete(capability.MultiACK)
	req.Capabilities.Delete(capability.MultiACKDetailed)
	_ = req.Capabilities.Set(capability.Shallow)
	req.Depth, req.Shallows = packp.DepthCommits(1), shallow
	req.Wants, req.Haves = []plumbing.Hash{tip}, []plumbing.Hash{have}
	if adv.Capabilities.Supports(capability.Filter) {
		_ = req.Capabilities.Set(capability.Filter)
		req.Filter = packp.FilterTreeDepth(0)
	}
	return req
}
