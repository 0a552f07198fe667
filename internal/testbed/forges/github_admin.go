package forges

import (
	"testing"
)

// The rest of [GitHubServer] is what people do there, past the API.

// OpenPR implements [Server].
func (g *GitHubServer) OpenPR(t testing.TB, branch, title string) int {
	t.Helper()
	return g.openAs(t, githubOwner, githubWriter, branch, title)
}

// OpenForkPR opens a pull request as Reader, from a branch of that name in
// Reader's fork with one more file.
func (g *GitHubServer) OpenForkPR(t testing.TB, branch, title string) int {
	t.Helper()
	return g.OpenForkPRWith(t, branch, title, map[string][]byte{"fork.txt": []byte(title + "\n")})
}

// OpenForkPRWith is OpenForkPR with files of your own.
func (g *GitHubServer) OpenForkPRWith(t testing.TB, branch, title string, files map[string][]byte) int {
	t.Helper()
	g.push(t, forkRefs+githubReader+"/"+branch, files)
	return g.openAs(t, githubReader, githubReader, branch, title)
}

func (g *GitHubServer) openAs(t testing.TB, owner, author, branch, title string) int {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &pull{title: title, author: author, owner: owner, branch: branch, base: g.branch}
	if answer, fine := g.open(p); !fine {
		t.Fatalf("GitHub: open a pull request: %v", answer.body)
	}
	return p.number
}

// with runs do on a pull request.
func (g *GitHubServer) with(t testing.TB, number int, do func(*pull)) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sync()
	if number < 1 || number > len(g.pulls) {
		t.Fatalf("GitHub: no pull request %d", number)
	}
	do(g.pulls[number-1])
}

// CommentPR implements [Server].
func (g *GitHubServer) CommentPR(t testing.TB, user string, number int, text string) {
	t.Helper()
	g.with(t, number, func(p *pull) { g.say(p, user, text) })
}

// Unlabel implements [Server].
func (g *GitHubServer) Unlabel(t testing.TB, number int, name string) {
	t.Helper()
	g.with(t, number, func(p *pull) {
		if !g.unlabel(p, name, githubWriter) {
			t.Fatalf("GitHub: pull request %d has no label %q", number, name)
		}
	})
}

// SetDraft changes what only people can, and the API cannot.
func (g *GitHubServer) SetDraft(t testing.TB, number int, draft bool) {
	t.Helper()
	g.with(t, number, func(p *pull) { p.draft = draft })
}

// Labels are those of the repository.
func (g *GitHubServer) Labels(testing.TB) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, l := range g.labels {
		names = append(names, l.name)
	}
	return names
}

// ClosePR implements [Server].
func (g *GitHubServer) ClosePR(t testing.TB, number int) {
	t.Helper()
	g.with(t, number, func(p *pull) { g.closePull(p, githubWriter) })
}

// MergePR implements [Server].
func (g *GitHubServer) MergePR(t testing.TB, number int) string {
	t.Helper()
	return g.mergeAs(t, number, false)
}

// SquashPR merges as Writer with one new commit.
func (g *GitHubServer) SquashPR(t testing.TB, number int) string {
	t.Helper()
	return g.mergeAs(t, number, true)
}

func (g *GitHubServer) mergeAs(t testing.TB, number int, squash bool) (hash string) {
	t.Helper()
	g.with(t, number, func(p *pull) {
		merged, fine := g.mergeNow(p, githubWriter, squash)
		if !fine {
			t.Fatalf("GitHub: pull request %d is not mergeable", number)
		}
		hash = merged
	})
	return hash
}

// PRs implements [Server].
func (g *GitHubServer) PRs(t testing.TB) []PR {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sync()
	var all []PR
	for _, p := range g.pulls {
		pr := PR{
			Number: p.number, Title: p.title, Body: p.body, State: p.state(), Draft: p.draft,
			Author: p.author, Branch: p.branch, Head: p.head,
		}
		if p.merged {
			pr.State = "merged"
		}
		for _, l := range p.labels {
			pr.Labels = append(pr.Labels, l.name)
		}
		for _, e := range p.comments {
			pr.Comments = append(pr.Comments, e.body)
		}
		all = append(all, pr)
	}
	return all
}

// protectHook refuses as GitHub words it. Admins push past the rules: "About
// protected branches"; in a pattern "*" does not match a slash.
const protectHook = `#!/bin/sh
[ "$REMOTE_USER" = "` + githubAdmin + `" ] && exit 0
while read -r old new ref; do
  while read -r pattern; do
    # As many slashes in both: then no star stands for one.
    [ "$(printf %s "$ref" | tr -dc /)" = "$(printf %s "refs/heads/$pattern" | tr -dc /)" ] || continue
    case "$ref" in refs/heads/$pattern)
      echo "error: GH006: Protected branch update failed for $ref." >&2
      echo "error: Changes must be made through a pull request." >&2
      exit 1 ;;
    esac
  done < protected
done
`

// RenameDefaultBranch implements [Server]. Open pull requests go to the new name
// then: "Renaming a branch".
func (g *GitHubServer) RenameDefaultBranch(t testing.TB, to string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := g.repo.git("branch", "-m", g.branch, to); err != nil {
		t.Fatalf("GitHub: %v", err)
	}
	if _, err := g.repo.git("symbolic-ref", "HEAD", branchRefs+to); err != nil {
		t.Fatalf("GitHub: %v", err)
	}
	for _, p := range g.pulls {
		if !p.closed && p.base == g.branch {
			p.base = to
		}
	}
	g.branch = to
}

// Delete removes the repository.
func (g *GitHubServer) Delete(testing.TB) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.name, g.former = "", nil
}
