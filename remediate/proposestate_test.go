package remediate

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// loginOf is a forge with the Secret of another.
type loginOf struct {
	forges.Server
	secret map[string][]byte
}

func (l loginOf) Secret() map[string][]byte { return l.secret }

// secretsOf are those of the people of a forge.
type secretsOf interface {
	SecretOf(user string) map[string][]byte
}

// as makes a new proposer with the credentials of a user.
func (g *stage) as(user string) {
	g.Helper()
	s, p := g.s, *g.p
	g.outfit(g.T, loginOf{s, s.(secretsOf).SecretOf(user)})
	g.p.Cluster, g.p.Base, g.p.Spec, g.p.Progress = p.Cluster, p.Base, p.Spec, p.Progress
}

// A repository in a state in which nothing can be proposed, or not as always: the
// words for it, and that nothing was done by halves.
func TestStates(t *testing.T) {
	open := func(g *stage) { g.propose(v1alpha1.PullRequestOpened) }
	moved := func(g *stage) { g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")}) }
	states := []struct {
		name string
		do   func(*stage)
		// kind of the error; empty: none.
		kind   forge.Kind
		action v1alpha1.PullRequestAction
	}{
		{"a wrong token", func(g *stage) { g.as("nobody") }, forge.Unauthorized, ""},
		{"a token that may only read", func(g *stage) { g.as(g.s.Reader()) }, forge.Forbidden, ""},
		{"an archived repository", func(g *stage) { g.s.Archive(g) }, forge.Archived, ""},
		{"archived while a pull request is open", func(g *stage) { open(g); moved(g); g.s.Archive(g) }, forge.Archived, ""},
		{"our branches are protected", func(g *stage) { g.s.Protect(g, g.pattern()) }, forge.Protected, ""},
		{"protected while a pull request is open", func(g *stage) { open(g); moved(g); g.s.Protect(g, g.pattern()) }, forge.Protected, ""},
		{"the base is protected and wants reviews", func(g *stage) { g.s.Protect(g, "main") }, "", v1alpha1.PullRequestOpened},
		{"a moved repository", func(g *stage) { g.s.Rename(g, "moved-"+path.Base(g.s.Name())) }, forge.Moved, ""},
		{"moved while a pull request is open", func(g *stage) { open(g); moved(g); g.s.Rename(g, "moved-"+path.Base(g.s.Name())) }, forge.Moved, ""},
		{"the default branch was renamed", func(g *stage) { g.s.RenameDefaultBranch(g, "trunk") }, "", v1alpha1.PullRequestOpened},
		{"renamed, and main is asked for", func(g *stage) { g.p.Base = "main"; g.s.RenameDefaultBranch(g, "trunk") }, forge.NotFound, ""},
		{"the base was renamed while a pull request is open", func(g *stage) { open(g); g.s.RenameDefaultBranch(g, "trunk") }, "", v1alpha1.PullRequestUnchanged},
		{"the default branch is another now", func(g *stage) { open(g); g.p.Base = "trunk"; g.s.Push(g, "trunk", nil) }, "", v1alpha1.PullRequestUnchanged},
		{"our branch was deleted", func(g *stage) { open(g); g.s.DeleteBranch(g, g.ours()[0]); g.closes() }, "", ""},
	}
	for name, start := range crashForges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A repository on Gitea takes seconds to make.
			m := &messages{some: name == "gitea" && !soak()}
			for i, s := range states {
				if m.some && i%3 != 1 {
					continue
				}
				g := newStage(t, plain(t, start(t)))
				plan := g.plan()
				s.do(g)
				if s.kind == "" {
					plan = g.planOf(g.trunk())
				}
				before := g.s.Branches(g)
				out, err := g.p.Propose(t.Context(), plan, "")
				m.add(s.name, out, err)
				switch {
				case s.kind != "" && !isKind(err, s.kind):
					t.Errorf("%s: want %s, got %+v, %v", s.name, s.kind, out, err)
				case s.kind != "" && forge.Transient(err):
					t.Errorf("%s: is tried again: %v", s.name, err)
				case s.kind == "" && (err != nil || s.action != "" && out.Action != s.action):
					t.Errorf("%s: want %s, got %+v, %v", s.name, s.action, out, err)
				}
				if after := g.s.Branches(g); s.kind != "" && len(after) != len(before) {
					t.Errorf("%s: branches %q, before %q", s.name, after, before)
				}
			}
			m.check(t, name+"-states")
		})
	}
}

// closes waits until the forge has closed a pull request without a branch: Gitea does
// so in its own time, GitLab never.
func (g *stage) closes() {
	g.Helper()
	if g.s.Kind() == "gitlab" {
		return
	}
	for g.s.PRs(g)[0].State == string(forge.Open) {
		if g.Context().Err() != nil {
			g.Fatal("the pull request stays open without its branch")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// plain takes the faults away that a server has in front.
func plain(_ *testing.T, f faulty) forges.Server {
	if p, ok := f.(*forges.Proxied); ok {
		return p.Server
	}
	return f
}

// pattern matches our branches; on GitHub a star does not match a slash.
func (g *stage) pattern() string {
	return map[string]string{"github": "remediate/*/*", "gitea": "remediate/**", "gitlab": "remediate/*"}[g.s.Kind()]
}

// trunk is the default branch as it is called now.
func (g *stage) trunk() string {
	if _, ok := g.s.Branches(g)["trunk"]; ok {
		return "trunk"
	}
	return "main"
}

// planOf is that of the newest commit of a branch.
func (g *stage) planOf(branch string) *Result {
	g.Helper()
	return g.resultOf(g.s.Show(g, branch, stageFile), g.s.Branches(g)[branch])
}

// isKind takes a Git server's word for the same thing too.
func isKind(err error, kind forge.Kind) bool {
	var pushed *repo.PushError
	return forge.Is(err, kind) || errors.As(err, &pushed) && strings.EqualFold(string(pushed.Kind), string(kind))
}
