package remediate

import (
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// unchangedIn wants a fresh process to find nothing to do in so many requests.
func (g *stage) unchangedIn(requests int) {
	g.Helper()
	g.outfit(g.T, g.s)
	g.s.Requests()
	g.propose(v1alpha1.PullRequestUnchanged)
	if n := g.s.Requests(); n > requests {
		g.Errorf("%d API requests for an unchanged pull request, want at most %d", n, requests)
	}
}

// What people say, and our own comment while it records nothing, cost no request.
func TestUnchangedWithComments(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		g.s.CommentPR(g, g.s.Reader(), out.Number, "What is this?")
		g.unchangedIn(2)
		g.freeze = guard.Cluster{Suspended: "kube-system/cilium"}
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		g.propose(v1alpha1.PullRequestHeld)
		if word := g.lastWord(out.Number); !strings.Contains(word, "Waiting") {
			g.Errorf("comment %q", word)
		}
		g.freeze = guard.Cluster{}
		g.propose(v1alpha1.PullRequestUpdated)
		word := g.lastWord(out.Number)
		if !strings.Contains(word, "as it should be") {
			g.Errorf("comment %q", word)
		}
		g.unchangedIn(2)
		g.s.CommentPR(g, g.s.Writer(), out.Number, "/remediate candidate nonsense")
		g.propose(v1alpha1.PullRequestUnchanged)
		if word := g.lastWord(out.Number); !strings.Contains(word, "no such candidate") {
			g.Errorf("the comment was not found again: %q", word)
		}
	})
}

// A record is believed in our own comment only, and only ours is edited.
func TestForgedStatus(t *testing.T) {
	everywhere(t, func(g *stage) {
		out := g.propose(v1alpha1.PullRequestOpened)
		forged := []string{
			(&talk{status: status{Version: 1, Closing: closedFixed, Why: "so they say"}}).text(),
			(&talk{status: status{Version: 1}, now: "Left alone: so they say."}).text(),
			(&talk{status: status{Version: 1}}).text(),
		}
		for _, text := range forged {
			g.s.CommentPR(g, g.s.Reader(), out.Number, text)
		}
		g.propose(v1alpha1.PullRequestUnchanged)
		if pr := g.prs(1)[0]; pr.State != "open" || len(pr.Comments) != len(forged) {
			g.Fatalf("%+v", pr)
		}
		g.freeze = guard.Cluster{Suspended: "kube-system/cilium"}
		g.s.Push(g, "main", map[string][]byte{"README.md": []byte("moved\n")})
		for range 2 {
			g.propose(v1alpha1.PullRequestHeld)
		}
		said := g.prs(1)[0].Comments
		if len(said) != len(forged)+1 || !strings.Contains(said[len(forged)], "Waiting") {
			g.Fatalf("comments %q", said)
		}
		for i, text := range forged {
			if settled(said[i]) != settled(text) {
				g.Errorf("what somebody else wrote became %q", said[i])
			}
		}
	})
}

// readers is a server seen with the Secret of who may only read.
type readers struct{ *forges.GiteaRepo }

func (r readers) Secret() map[string][]byte { return r.SecretOf(r.Reader()) }

// Who may only read can open a pull request from a branch that is there, with
// our record in its text: having opened it proves nothing.
func TestReadersPullRequest(t *testing.T) {
	s := forges.Gitea(t)
	g := newStage(t, s)
	out := g.propose(v1alpha1.PullRequestOpened)
	first := g.prs(1)[0]
	g.s.ClosePR(g, out.Number)
	theirs, _ := connectTo(t, readers{s})
	pr, err := theirs.Open(t.Context(), forge.Request{Title: first.Title, Body: first.Body, Branch: out.Branch, Base: "main"})
	if err != nil || pr.Author != s.Reader() {
		t.Fatalf("%+v, %v", pr, err)
	}
	forged := (&talk{status: status{Version: 1, Closing: closedRejected, Why: "so they say"}}).text()
	for _, text := range []string{"/remediate snooze 90d", "/remediate reject no", forged} {
		s.CommentPR(t, s.Reader(), pr.Number, text)
	}
	g.p.Spec.Labels = []string{"area/cilium"}
	if got, err := g.p.Propose(t.Context(), g.plan(), ""); err != nil || got.Action == v1alpha1.PullRequestHeld || got.Action == v1alpha1.PullRequestClosed {
		t.Errorf("obeyed: %+v, %v", got, err)
	}
	if pr := g.prs(2)[1]; pr.State != "open" || len(pr.Comments) != 3 {
		t.Errorf("obeyed: %+v", pr)
	}
}

// What was carried out was allowed; what was changed since is asked about again.
func TestAnswered(t *testing.T) {
	given := command{guard.Command{Verb: guard.Snooze, Arg: "7d", By: "wanda"}, "17.0"}
	s := status{Version: 1}
	if s.answered(given) {
		t.Error("answered before it was")
	}
	s.note(given, "left alone")
	if !s.answered(given) {
		t.Error("not remembered")
	}
	for _, change := range []func(*command){
		func(c *command) { c.Arg = "90d" },
		func(c *command) { c.Verb = guard.Reject },
		func(c *command) { c.By = "rita" },
		func(c *command) { c.id = "17.1" },
	} {
		other := given
		change(&other)
		if s.answered(other) {
			t.Errorf("%+v counts as answered", other)
		}
	}
}
