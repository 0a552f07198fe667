package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/revlist"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// ErrMoved: the branch on the server is not where it was expected.
var ErrMoved = errors.New("the branch has moved")

// Push points branch on the server to a commit. expect is where it must be
// before; empty: it must not exist. Otherwise it is [ErrMoved], and nothing was
// changed. A branch that is at commit already is success: a push whose answer
// was lost may be tried again. Refusals of the server are told apart: see
// [PushError].
//
// The server itself compares expect once more when it moves the branch, so that
// a push that comes in between is not lost.
func (w *Worktree) Push(ctx context.Context, commit, branch, expect string) error {
	if err := checkBranch(branch); err != nil {
		return err
	}
	if _, err := w.repo.CommitObject(plumbing.NewHash(commit)); err != nil {
		return fmt.Errorf("push to %s: the commit %s is not in this clone: %w", branch, commit, err)
	}
	return w.update(ctx, move{"push", branch, plumbing.NewHash(expect), plumbing.NewHash(commit)})
}

// Delete removes branch from the server if it is at expect; one that is not
// there is no error.
func (w *Worktree) Delete(ctx context.Context, branch, expect string) error {
	if err := checkBranch(branch); err != nil {
		return err
	}
	if plumbing.NewHash(expect).IsZero() {
		return fmt.Errorf("delete %s: the commit that it must be at is missing", branch)
	}
	return w.update(ctx, move{"delete", branch, plumbing.NewHash(expect), plumbing.ZeroHash})
}

// move is one change of one branch; a zero hash is no branch.
type move struct {
	op, branch string
	from, to   plumbing.Hash
}

func (m move) ref() plumbing.ReferenceName { return plumbing.NewBranchReferenceName(m.branch) }

func (w *Worktree) update(ctx context.Context, m move) error {
	said := &words{max: maxSaid}
	err := w.try(ctx, m, said)
	if err == nil || errors.Is(err, ErrMoved) {
		return err
	}
	var no *refused
	if errors.As(err, &no) {
		// Servers say "failed to update ref" of a lost race and of much else.
		if refs, lookErr := w.remote.Refs(ctx); lookErr == nil {
			switch is := plumbing.NewHash(refs.Branches[m.branch]); is {
			case m.to:
				return nil
			case m.from:
			default:
				return moved(m, is)
			}
		}
		no.said = said.String()
	}
	return w.remote.failure(ctx, m.op, m.branch, err)
}

func moved(m move, to plumbing.Hash) error {
	name := func(h plumbing.Hash) string {
		if h.IsZero() {
			return "not there"
		}
		return "at " + h.String()[:12]
	}
	return fmt.Errorf("%s %s: %w: it is %s and was expected %s", m.op, m.branch, ErrMoved, name(to), name(m.from))
}

// try makes one session and one change in it.
func (w *Worktree) try(ctx context.Context, m move, said io.Writer) error {
	s, err := w.remote.receivePack(ctx)
	if err != nil {
		return err
	}
	defer closeQuietly(s)
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return err
	}
	switch is := adv.References[string(m.ref())]; {
	case is == m.to:
		return nil
	case is != m.from:
		return moved(m, is)
	}
	if other := inTheWay(adv, m); other != "" {
		return &refused{reason: fmt.Sprintf("the branch %s stands in the way: Git keeps no branch that is a folder of another; rename or delete it", other)}
	}
	req, err := w.request(adv, m, said)
	if err != nil {
		return err
	}
	return w.send(ctx, s, req, m)
}

// inTheWay finds a branch that is a folder of m's, or the other way round.
func inTheWay(adv *packp.AdvRefs, m move) string {
	if m.to.IsZero() {
		return ""
	}
	var found []string
	for name := range adv.References {
		if strings.HasPrefix(name+"/", string(m.ref())+"/") || strings.HasPrefix(string(m.ref())+"/", name+"/") {
			if name != string(m.ref()) {
				found = append(found, strings.TrimPrefix(name, heads))
			}
		}
	}
	slices.Sort(found)
	return strings.Join(found, ", ")
}

func (w *Worktree) request(adv *packp.AdvRefs, m move, said io.Writer) (*packp.ReferenceUpdateRequest, error) {
	req := packp.NewReferenceUpdateRequestFromCapabilities(adv.Capabilities)
	req.Commands = []*packp.Command{{Name: m.ref(), Old: m.from, New: m.to}}
	if m.to.IsZero() && !adv.Capabilities.Supports(capability.DeleteRefs) {
		return nil, &refused{reason: "the server does not delete branches"}
	}
	for _, c := range []capability.Capability{capability.Sideband64k, capability.Sideband} {
		if adv.Capabilities.Supports(c) {
			// The server's words come on the side band.
			req.Progress = said
			return req, req.Capabilities.Set(c)
		}
	}
	return req, nil
}

// send sends the command and what the server lacks.
func (w *Worktree) send(ctx context.Context, s transport.ReceivePackSession, req *packp.ReferenceUpdateRequest, m move) error {
	if !m.to.IsZero() {
		pack, err := w.pack(m.to)
		if err != nil {
			return err
		}
		req.Packfile = io.NopCloser(pack)
	}
	report, err := s.ReceivePack(ctx, req)
	if report == nil && err == nil && req.Capabilities.Supports(capability.ReportStatus) {
		return io.ErrUnexpectedEOF
	}
	if report == nil {
		return err
	}
	if refusal := report.Error(); refusal != nil {
		return &refused{reason: refusal.Error()}
	}
	return err
}

// pack holds what the commit has and the clone's head has not.
func (w *Worktree) pack(commit plumbing.Hash) (io.Reader, error) {
	objects, err := revlist.Objects(w.repo.Storer, []plumbing.Hash{commit}, []plumbing.Hash{plumbing.NewHash(w.head.Hash)})
	if err != nil {
		return nil, fmt.Errorf("collect what the server lacks: %w", err)
	}
	var out bytes.Buffer
	_, err = packfile.NewEncoder(&out, w.repo.Storer, false).Encode(objects, 10)
	return &out, err
}

// words keep the beginning of what a server says.
type words struct {
	max  int
	text []byte
}

func (w *words) Write(p []byte) (int, error) {
	w.text = append(w.text, p[:min(len(p), w.max-len(w.text))]...)
	return len(p), nil
}

func (w *words) String() string { return string(w.text) }

// Delete is [Worktree.Delete] without a clone.
func (r *Remote) Delete(ctx context.Context, branch, expect string) error {
	return (&Worktree{remote: r}).Delete(ctx, branch, expect)
}
