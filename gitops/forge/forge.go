package forge

import (
	"context"
	"time"
)

// Forge is one repository on a server that knows pull requests. Every method
// may be called again after a crash; errors are [*Error].
type Forge interface {
	Requests
	Comments
	Survey
}

// Requests finds, opens and changes pull requests.
type Requests interface {
	// Find lists the pull requests whose head is branch of this very repository,
	// open and ended, newest first. Those of forks are left out.
	Find(ctx context.Context, branch string) ([]PullRequest, error)
	// Open opens a pull request. One that is open already from that branch is an
	// error of kind [Exists]. Labels and reviewers are set with it where the forge
	// can do that in one step; [Requests.Mark] does the rest.
	Open(ctx context.Context, r Request) (PullRequest, error)
	// Edit changes what is set in e. It never changes whether pr is a draft.
	Edit(ctx context.Context, pr PullRequest, e Edit) (PullRequest, error)
	// Mark adds labels, which it creates when missing, and asks for reviews, where
	// pr lacks them and no human took them away. What the forge refuses of it is
	// no error but a warning.
	Mark(ctx context.Context, pr PullRequest, labels, reviewers []string) (warnings []string, err error)
}

// Comments reads and writes the talk below a pull request.
type Comments interface {
	// Comments lists them, oldest first. Review comments on lines are left out.
	Comments(ctx context.Context, pr PullRequest) ([]Comment, error)
	// Mine says whether the credentials in use wrote a comment of pr. Whose they
	// are is asked the first time only.
	Mine(ctx context.Context, pr PullRequest, c Comment) (bool, error)
	// Comment writes a new comment when id is empty, else it replaces that one's text.
	Comment(ctx context.Context, pr PullRequest, id, text string) (Comment, error)
	// CanWrite says whether a user may push to the repository.
	CanWrite(ctx context.Context, user string) (bool, error)
}

// Survey is what is asked before anything is proposed.
type Survey interface {
	// Repository describes the repository.
	Repository(ctx context.Context) (Repository, error)
	// List gives every open pull request, those of forks too, and every one that
	// was opened at since or later, newest first.
	List(ctx context.Context, since time.Time) ([]PullRequest, error)
	// Files lists the paths that a pull request changes.
	Files(ctx context.Context, pr PullRequest) ([]string, error)
	// Read gives a file as it is at the head of a pull request; ok is false when it
	// is not there.
	Read(ctx context.Context, pr PullRequest, path string) (content []byte, ok bool, err error)
}

// Committer is a forge that makes commits itself, and signs them in its own name.
type Committer interface {
	// Commit puts a commit on top of parent and points branch to it, which must be
	// at expect before: "" when it must not exist.
	Commit(ctx context.Context, c Commit) (hash string, err error)
	// Made says whether the credentials in use made a commit this way, and nobody
	// has changed it since.
	Made(ctx context.Context, hash string) (bool, error)
}

// State of a pull request.
type State string

const (
	// Open may be merged.
	Open State = "open"
	// Closed was ended without a merge.
	Closed State = "closed"
	// Merged is part of its base branch.
	Merged State = "merged"
)

// PullRequest is a pull request, or merge request, as the forge shows it.
type PullRequest struct {
	Number int
	URL    string
	// Title is without the prefix that makes it a draft.
	Title string
	Body  string
	State State
	Draft bool
	// Author is the login of who opened it.
	Author string
	// Branch and Head are the branch it comes from and the commit it is at; Fork
	// says that the branch is another repository's.
	Branch string
	Head   string
	Fork   bool
	// Base is the branch it goes to.
	Base   string
	Labels []string
	// Opened, and Ended when it was closed or merged, zero before.
	Opened time.Time
	Ended  time.Time
	// MergeCommit is the commit on the base branch, once merged.
	MergeCommit string
}

// Request is a pull request to open.
type Request struct {
	Title, Body string
	// Branch, of this repository, goes to Base.
	Branch, Base string
	Draft        bool
	Labels       []string
	Reviewers    []string
}

// Edit is a change of a pull request; nil leaves as it is.
type Edit struct {
	Title *string
	Body  *string
	// Close ends it without a merge.
	Close bool
}

// Comment is one comment.
type Comment struct {
	// ID is the forge's.
	ID string
	// Author is the login of who wrote it; empty when it is nobody's of this server.
	Author string
	Body   string
	At     time.Time
}

// Repository is what a forge says of a repository.
type Repository struct {
	// Name is OWNER/NAME as it is now; another one than was asked for means that it moved.
	Name          string
	DefaultBranch string
	Archived      bool
	// CanPush is false when the forge says that these credentials may not push.
	CanPush bool
}

// Commit is a commit that a forge is to make.
type Commit struct {
	Branch string
	// Parent and ParentTree are the commit to build on and its tree.
	Parent, ParentTree string
	// Expect is where the branch must be before; empty: it must not exist.
	Expect string
	// Files are whole contents by path; only regular files that exist already.
	Files   map[string][]byte
	Message string
}

// Limits of every forge that is supported: GitHub's, the tightest.
const (
	// MaxTitle is in characters.
	MaxTitle = 255
	// MaxBody is in characters, of a body and of a comment.
	MaxBody = 65536
)
