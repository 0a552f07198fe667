package remediate

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

// The bundled incident goes the whole way: planned in a checkout, planned again
// in a clone of the server's branch, and proposed.
func TestIncidentBecomesPullRequest(t *testing.T) {
	s := forges.GitHub(t)
	opts := layIncident(t, examples.Default)
	files := map[string][]byte{}
	err := filepath.WalkDir(opts.Repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		b, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(opts.Repo, path)
		files[filepath.ToSlash(rel)] = b
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Push(t, "main", files)
	f, remote := connectTo(t, s)
	replans := 0
	p := &Proposer{Forge: f, Remote: remote, Cluster: "home", Spec: v1alpha1.PullRequestSpec{Commit: v1alpha1.CommitSpec{SignOff: true}},
		Replan: func(ctx context.Context, dir string) (*Result, error) {
			replans++
			again := opts
			again.Repo = dir
			return Plan(ctx, again)
		}}
	res := mustPlan(t, opts)
	out, err := p.Propose(t.Context(), res, "")
	if err != nil || out.Action != v1alpha1.PullRequestOpened || replans != 1 {
		t.Fatalf("%+v, %v, planned again %d times", out, err, replans)
	}
	pr := s.PRs(t)[0]
	if want := string(res.files[out.Candidate][valuesFile]); s.Show(t, pr.Branch, valuesFile) != want {
		t.Error("the branch does not hold what the plan edits")
	}
	if pr.Draft || !strings.Contains(pr.Body, "fd00:101::/38") || !strings.Contains(pr.Body, "/remediate snooze") {
		t.Errorf("draft %v, body %s", pr.Draft, pr.Body)
	}
	if out, err = p.Propose(t.Context(), res, ""); err != nil || out.Action != v1alpha1.PullRequestUnchanged {
		t.Errorf("the second run: %+v, %v", out, err)
	}
}

// That Flux cannot bring the change in may be seen only when the pull request is open,
// and may pass: the text follows, unless a person has written there.
func TestTextFollowsDelivery(t *testing.T) {
	g := newStage(t, forges.GitHub(t))
	way := func(works delivery.Arrival) delivering {
		f := &delivery.Facts{Namespace: "flux-system", Families: []string{"IPv6"}, Pods: []delivery.Pod{{App: delivery.SourceController, Name: "s", Node: "node-1"}}}
		for _, app := range []string{delivery.KustomizeController, delivery.HelmController} {
			f.Pods = append(f.Pods, delivery.Pod{App: app, Name: app, Node: "node-2"})
			f.Paths = append(f.Paths, delivery.Path{From: app, To: "s", Family: "IPv6", Works: works, Source: delivery.Observed})
		}
		return delivering{facts: f}
	}
	says := func() bool { return strings.Contains(g.s.PRs(t)[0].Body, delivery.Heading) }
	g.deliver = way(delivery.Partly)
	g.propose(v1alpha1.PullRequestOpened)
	for _, step := range []struct {
		works delivery.Arrival
		want  v1alpha1.PullRequestAction
		says  bool
	}{
		{delivery.Partly, v1alpha1.PullRequestUnchanged, false},
		{delivery.No, v1alpha1.PullRequestUpdated, true},
		{delivery.No, v1alpha1.PullRequestUnchanged, true},
		{delivery.Unknown, v1alpha1.PullRequestUnchanged, true},
		{delivery.Yes, v1alpha1.PullRequestUpdated, false},
		{delivery.Yes, v1alpha1.PullRequestUnchanged, false},
	} {
		g.deliver = way(step.works)
		if g.propose(step.want); says() != step.says {
			t.Errorf("%s: the text says that Flux is cut off: %t", step.works, says())
		}
	}
	pr, err := g.p.Forge.Find(t.Context(), g.ours()[0])
	if err != nil {
		t.Fatal(err)
	}
	body := "a person's words\n" + pr[0].Body
	if _, err := g.p.Forge.Edit(t.Context(), pr[0], forge.Edit{Body: &body}); err != nil {
		t.Fatal(err)
	}
	g.deliver = way(delivery.No)
	g.propose(v1alpha1.PullRequestUnchanged)
}

// Without a forge there is a branch and nothing else.
func TestPushOnly(t *testing.T) {
	g := newStage(t, forges.GitHub(t))
	g.p.Forge = nil
	out := g.propose(v1alpha1.PullRequestOpened)
	if got := g.ours(); len(got) != 1 || got[0] != out.Branch {
		t.Fatalf("branches %q, %+v", got, out)
	}
	if same := g.propose(v1alpha1.PullRequestUnchanged); same.Commit != out.Commit {
		t.Errorf("%+v", same)
	}
	g.s.Push(t, "main", map[string][]byte{"README.md": []byte("moved\n")})
	g.propose(v1alpha1.PullRequestUpdated)
	g.s.Push(t, out.Branch, map[string][]byte{"x": []byte("theirs\n")})
	g.propose(v1alpha1.PullRequestHandsOff)
	g.value(stageFix)
	g.propose(v1alpha1.PullRequestNoChange)
	g.prs(0)
	if n := g.s.Requests(); n != 0 {
		t.Errorf("%d API requests", n)
	}
}

// What a person writes into the text stays when the record changes.
func TestHumanWords(t *testing.T) {
	g := newStage(t, forges.GitHub(t))
	out := g.propose(v1alpha1.PullRequestOpened)
	pr, err := g.p.Forge.Find(t.Context(), out.Branch)
	if err != nil {
		t.Fatal(err)
	}
	body := "please look at this first\n\n" + pr[0].Body
	if _, err := g.p.Forge.Edit(t.Context(), pr[0], forge.Edit{Body: &body}); err != nil {
		t.Fatal(err)
	}
	g.s.Push(t, "main", map[string][]byte{"README.md": []byte("moved\n")})
	out = g.propose(v1alpha1.PullRequestUpdated)
	got := g.prs(1)[0].Body
	if !strings.HasPrefix(got, "please look at this first\n") || strings.Count(got, recordMark) != 1 || !strings.Contains(got, out.Commit) {
		t.Errorf("body %q", got)
	}
	g.propose(v1alpha1.PullRequestUnchanged)
}

// A push that comes in between is told as a conflict, which is tried again.
func TestPushRace(t *testing.T) {
	s := forges.GitHub(t)
	g := newStage(t, s)
	first := g.propose(v1alpha1.PullRequestOpened)
	g.s.Push(t, "main", map[string][]byte{"README.md": []byte("moved\n")})
	raced := false
	s.Before(func(r *http.Request) {
		if !raced && strings.HasSuffix(r.URL.Path, "/git-receive-pack") && r.Method == http.MethodPost && r.Header.Get("Authorization") != "" {
			raced = true
			s.Push(t, first.Branch, map[string][]byte{"x": []byte("theirs\n")})
		}
	})
	_, err := g.p.Propose(t.Context(), g.plan(), "")
	if !raced || !forge.Transient(err) {
		t.Fatalf("raced %v, ended with %v", raced, err)
	}
	g.propose(v1alpha1.PullRequestHandsOff)
	if g.s.Show(t, first.Branch, "x") != "theirs\n" {
		t.Error("what a person pushed is gone")
	}
}
