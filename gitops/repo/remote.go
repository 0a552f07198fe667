package repo

import (
	"context"
	"errors"
	"time"

	"github.com/go-git/go-git/v5"

	"github.com/remediate-dev/remediate/gitops/access"
)

// Remote is a repository on a Git server.
type Remote struct {
	// URL as in GitRepository.spec.url: https, http or ssh.
	URL    string
	Access *access.Access
}

// Refs are what a server says of its branches; no object is moved for it.
type Refs struct {
	// Default is the branch that HEAD names; empty when the server does not say.
	Default string
	// Branches have their commits by name, without refs/heads/.
	Branches map[string]string
}

// Refs asks for the branches.
func (r *Remote) Refs(ctx context.Context) (Refs, error) { return Refs{}, errors.New("not built") }

// CloneOptions say what to bring.
type CloneOptions struct {
	// Dir must be empty or missing.
	Dir string
	// Branch is the only one that is brought, without history.
	Branch string
}

// Clone brings the newest commit of one branch.
func (r *Remote) Clone(ctx context.Context, o CloneOptions) (*Worktree, error) {
	return nil, errors.New("not built")
}

// Worktree is a shallow clone that commits are made in. It is not safe for
// concurrent use.
type Worktree struct{}

// Dir is the folder of its files.
func (w *Worktree) Dir() string { return "" }

// Head is the commit that was cloned, the base of what is committed.
func (w *Worktree) Head() Commit { return Commit{} }

// Commit is a commit as far as a proposal needs it.
type Commit struct {
	Hash, Tree        string
	Parents           []string
	Author, Committer Identity
	When              time.Time
	Message           string
	Signed            bool
}

// Identity is who made a commit.
type Identity struct{ Name, Email string }

// Fetch brings the newest commit of another branch, without its files; ok is
// false when there is no such branch.
func (w *Worktree) Fetch(ctx context.Context, branch string) (c Commit, ok bool, err error) {
	return Commit{}, false, errors.New("not built")
}

// CommitOptions describe a commit on top of [Worktree.Head].
type CommitOptions struct {
	// Files are whole contents by path. They must exist, as regular files; their
	// modes stay.
	Files   map[string][]byte
	Message string
	Author  Identity
	// When is the time of author and committer.
	When time.Time
	// Signer signs; nil leaves it unsigned.
	Signer git.Signer
}

// ErrNoChange: the files are so already.
var ErrNoChange = errors.New("nothing changes")

// Commit makes a commit that no branch points to yet. It is [ErrNoChange] when
// the tree would be the parent's.
func (w *Worktree) Commit(o CommitOptions) (Commit, error) {
	return Commit{}, errors.New("not built")
}

// ErrMoved: the branch on the server is not where it was expected.
var ErrMoved = errors.New("the branch has moved")

// Push points branch on the server to a commit. expect is where it must be
// before; empty: it must not exist. Otherwise it is [ErrMoved], and nothing was
// changed. Refusals of the server are told apart: see [PushError].
func (w *Worktree) Push(ctx context.Context, commit, branch, expect string) error {
	return errors.New("not built")
}

// Delete removes branch from the server if it is at expect; one that is not
// there is no error.
func (w *Worktree) Delete(ctx context.Context, branch, expect string) error {
	return errors.New("not built")
}

// PatchOptions describe a commit that is sent as a file.
type PatchOptions struct {
	Author  Identity
	When    time.Time
	Message string
	// Diff is unified, with paths a/… and b/….
	Diff string
}

// Patch is a mail as git format-patch makes it, which git am takes.
func Patch(o PatchOptions) ([]byte, error) { return nil, errors.New("not built") }

// SigningSecret are the keys that Flux's image automation signs with: git.asc
// and passphrase, or identity and password.
type SigningSecret map[string][]byte

// Signer reads the key. It is nil without one.
func (s SigningSecret) Signer() (git.Signer, error) { return nil, errors.New("not built") }
