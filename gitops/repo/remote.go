package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	fluxgit "github.com/fluxcd/pkg/git"
	"github.com/fluxcd/pkg/git/gogit"
	"github.com/fluxcd/pkg/git/repository"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/remediate-dev/remediate/gitops/access"
)

// Remote is a repository on a Git server.
type Remote struct {
	// URL as in GitRepository.spec.url: https, http or ssh.
	URL string
	// Access has the credentials; nil speaks without any.
	Access *access.Access
}

// Refs are what a server says of its branches; no object is moved for it.
type Refs struct {
	// Default is the branch that HEAD names; empty when the server does not say.
	Default string
	// Branches have their commits by name, without refs/heads/.
	Branches map[string]string
}

const heads = "refs/heads/"

// Refs asks for the branches. A repository without any commit has none. Errors
// are [*PushError].
func (r *Remote) Refs(ctx context.Context) (Refs, error) {
	const op = "list the branches"
	s, err := r.uploadPack(ctx)
	if err != nil {
		return Refs{}, r.failure(ctx, op, "", err)
	}
	defer closeQuietly(s)
	adv, err := s.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return Refs{Branches: map[string]string{}}, nil
	}
	if err != nil {
		return Refs{}, r.failure(ctx, op, "", err)
	}
	return refsOf(adv), nil
}

func refsOf(adv *packp.AdvRefs) Refs {
	out := Refs{Branches: map[string]string{}}
	for name, hash := range adv.References {
		if branch, ok := strings.CutPrefix(name, heads); ok {
			out.Branches[branch] = hash.String()
		}
	}
	for _, ref := range adv.Capabilities.Get(capability.SymRef) {
		if branch, ok := strings.CutPrefix(ref, "HEAD:"+heads); ok {
			out.Default = branch
		}
	}
	return out
}

// CloneOptions say what to bring.
type CloneOptions struct {
	// Dir must be empty or missing.
	Dir string
	// Branch is the only one that is brought, without history.
	Branch string
	// History brings the branch's history too.
	History bool
}

// Clone brings the newest commit of one branch. Submodules stay empty. When it
// fails, Dir is left empty. Errors of the server are [*PushError].
func (r *Remote) Clone(ctx context.Context, o CloneOptions) (*Worktree, error) {
	if err := checkBranch(o.Branch); err != nil {
		return nil, err
	}
	if err := mustBeEmpty(o.Dir); err != nil {
		return nil, err
	}
	got, err := r.clone(ctx, o)
	if err != nil {
		empty(o.Dir)
		return nil, r.failure(ctx, "clone", o.Branch, err)
	}
	return &Worktree{remote: r, dir: o.Dir, repo: got.repo, head: got.head}, nil
}

type cloned struct {
	repo *git.Repository
	head Commit
}

func (r *Remote) clone(ctx context.Context, o CloneOptions) (cloned, error) {
	l, err := r.login(ctx)
	if err != nil {
		return cloned{}, err
	}
	client, err := gogit.NewClient(o.Dir, l.options, gogit.WithDiskStorage(), gogit.WithSingleBranch(true), gogit.WithProxy(l.proxy))
	if err != nil {
		return cloned{}, err
	}
	// go-git shakes hands over SSH without minding the context.
	commit, err := within(ctx, func() (*fluxgit.Commit, error) {
		return client.Clone(ctx, r.URL, repository.CloneConfig{
			CheckoutStrategy: repository.CheckoutStrategy{Branch: o.Branch},
			ShallowClone:     !o.History,
		})
	}, nil)
	if err != nil {
		return cloned{}, err
	}
	if commit == nil {
		return cloned{}, transport.ErrEmptyRemoteRepository
	}
	opened, err := git.PlainOpen(o.Dir)
	if err != nil {
		return cloned{}, err
	}
	head, err := opened.CommitObject(plumbing.NewHash(commit.Hash.String()))
	if err != nil {
		return cloned{}, err
	}
	return cloned{opened, describe(head)}, nil
}

// mustBeEmpty refuses a folder that holds something.
func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("clone into %s: the folder is not empty", dir)
	}
	return nil
}

// empty removes what a failed clone left. What cannot be removed stays: the
// failure itself is what the reader needs.
func empty(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}

// checkBranch refuses names that Git does not take.
func checkBranch(branch string) error {
	if branch == "" {
		return errors.New("the name of the branch is empty")
	}
	if err := plumbing.NewBranchReferenceName(branch).Validate(); err != nil {
		return fmt.Errorf("the name of the branch %q is not one that git takes: %w", branch, err)
	}
	return nil
}

// closeQuietly ends a session whose work is done; what it says then is of no use.
func closeQuietly(c io.Closer) { _ = c.Close() }
