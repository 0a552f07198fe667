package forges

import (
	"slices"
	"strings"
	"testing"
)

// The rest of [GitLabServer] is what people do there, past the API.

// OpenPR implements [Server].
func (g *GitLabServer) OpenPR(t testing.TB, branch, title string) int {
	t.Helper()
	return g.openAs(t, &mergeRequest{author: gitlabWriter, branch: branch, title: title})
}

// OpenForkPR opens a merge request to the default branch as Reader, from a
// branch of Reader's fork that adds a file with the title.
func (g *GitLabServer) OpenForkPR(t testing.TB, branch, title string) int {
	t.Helper()
	g.push(t, forkRefs+gitlabReader+"/"+branch, map[string][]byte{"of-a-fork.txt": []byte(title + "\n")})
	return g.openAs(t, &mergeRequest{author: gitlabReader, branch: branch, title: title, fork: true})
}

func (g *GitLabServer) openAs(t testing.TB, m *mergeRequest) int {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	m.target = g.branch
	if answer, fine := g.open(m); !fine {
		t.Fatalf("GitLab: open a merge request: %v", answer.body)
	}
	return m.iid
}

// with runs do on a merge request.
func (g *GitLabServer) with(t testing.TB, number int, do func(*mergeRequest)) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.follow()
	if number < 1 || number > len(g.requests) {
		t.Fatalf("GitLab: no merge request %d", number)
	}
	do(g.requests[number-1])
}

// CommentPR implements [Server].
func (g *GitLabServer) CommentPR(t testing.TB, user string, number int, text string) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) { g.note(m, g.person(user).login, text, false) })
}

// CommentLine writes a comment as Writer on a line of a file.
func (g *GitLabServer) CommentLine(t testing.TB, number int, text string) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) { g.note(m, gitlabWriter, text, false).kind = "DiffNote" })
}

// Unlabel implements [Server].
func (g *GitLabServer) Unlabel(t testing.TB, number int, label string) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) {
		if !g.unlabel(m, label, gitlabWriter) {
			t.Fatalf("GitLab: merge request %d has no label %q", number, label)
		}
	})
}

// Unask takes all reviewers away as Writer.
func (g *GitLabServer) Unask(t testing.TB, number int) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) { g.review(m, nil, g.person(gitlabWriter)) })
}

// Reviewers are the logins of those asked.
func (g *GitLabServer) Reviewers(t testing.TB, number int) (logins []string) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) {
		for _, id := range m.reviewers {
			logins = append(logins, g.personByID(id).login)
		}
	})
	return logins
}

// SetDraft marks a merge request as a draft or ready, as Writer.
func (g *GitLabServer) SetDraft(t testing.TB, number int, draft bool) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) {
		for m.draft() {
			m.title = strings.TrimSpace(draftTitle.ReplaceAllString(m.title, ""))
		}
		if draft {
			m.title = "[Draft] " + m.title
		}
	})
}

// Labels are those of the project.
func (g *GitLabServer) Labels(testing.TB) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.labels)
}

// NoNewLabels keeps everybody from making labels.
func (g *GitLabServer) NoNewLabels() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.noLabels = true
}

// ClosePR implements [Server].
func (g *GitLabServer) ClosePR(t testing.TB, number int) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) { g.close(m, gitlabWriter) })
}

// MergePR implements [Server].
func (g *GitLabServer) MergePR(t testing.TB, number int) string {
	t.Helper()
	return g.mergeAs(t, number, false, false)
}

// SquashPR merges as Writer with one new commit.
func (g *GitLabServer) SquashPR(t testing.TB, number int) string {
	t.Helper()
	return g.mergeAs(t, number, true, false)
}

// FastForwardPR merges as Writer without a commit.
func (g *GitLabServer) FastForwardPR(t testing.TB, number int) string {
	t.Helper()
	return g.mergeAs(t, number, false, true)
}

func (g *GitLabServer) mergeAs(t testing.TB, number int, squash, fastForward bool) (hash string) {
	t.Helper()
	g.with(t, number, func(m *mergeRequest) {
		merged, fine := g.merge(m, gitlabWriter, squash, fastForward)
		if !fine {
			t.Fatalf("GitLab: merge request %d can't be merged", number)
		}
		hash = merged
	})
	return hash
}

// PRs implements [Server].
func (g *GitLabServer) PRs(testing.TB) []PR {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.follow()
	var all []PR
	for _, m := range g.requests {
		pr := PR{
			Number: m.iid, Title: m.title, Body: m.body, State: m.state, Draft: m.draft(), Author: m.author,
			Branch: m.branch, Head: m.sha, Labels: slices.Clone(m.labels),
		}
		if m.state == "opened" {
			pr.State = "open"
		}
		for _, n := range m.notes {
			if !n.system {
				pr.Comments = append(pr.Comments, n.body)
			}
		}
		all = append(all, pr)
	}
	return all
}

// gitlabHook: docs.gitlab.com/user/project/repository/branches/protected: Maintainers
// may push to protected branches. "*" matches slashes too.
const gitlabHook = `#!/bin/sh
while read -r old new ref; do
  while read -r pattern; do
    case "${ref#refs/heads/}" in $pattern)
      echo "GitLab: You are not allowed to push code to protected branches on this project." >&2
      exit 1 ;;
    esac
  done < protected
done
`

// Delete removes the project.
func (g *GitLabServer) Delete(testing.TB) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deleted = true
}

// RenameDefaultBranch implements [Server]. GitLab renames no branch: people make
// a new one, make it the default, point merge requests to it and delete the old.
func (g *GitLabServer) RenameDefaultBranch(t testing.TB, to string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.repo.setRef(branchRefs+to, g.repo.tip(branchRefs+g.branch), ""); err != nil {
		t.Fatalf("GitLab: %v", err)
	}
	for _, m := range g.requests {
		if m.state == "opened" && m.target == g.branch {
			m.target = to
		}
	}
	for _, args := range [][]string{{"symbolic-ref", "HEAD", branchRefs + to}, {"update-ref", "-d", branchRefs + g.branch}} {
		if _, err := g.repo.git(args...); err != nil {
			t.Fatalf("GitLab: %v", err)
		}
	}
	g.branch = to
}

var _ Server = (*GitLabServer)(nil)
