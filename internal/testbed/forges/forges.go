// Package forges starts the servers that pull requests are opened on in tests,
// and plays the people who use them.
package forges

import "testing"

// Server is a forge with one repository, seen by its administrator. Methods fail
// the test when the server refuses.
type Server interface {
	// Kind is github, gitlab or gitea.
	Kind() string
	// CloneURL is https, with a certificate of the CA in Secret.
	CloneURL() string
	// API is the base of the API, where it does not follow from the clone URL.
	API() string
	// Name is OWNER/NAME.
	Name() string
	// Secret is the GitRepository's Secret of a bot that may push: username, password, ca.crt.
	Secret() map[string][]byte
	// Bot is the login of Secret.
	Bot() string

	// Push makes a commit as a human on top of branch, which starts at the default
	// branch when it is new; nil content removes a file. It returns the commit.
	Push(t testing.TB, branch string, files map[string][]byte) string
	// Branches are the commits by branch.
	Branches(t testing.TB) map[string]string
	// DeleteBranch removes one.
	DeleteBranch(t testing.TB, branch string)
	// Show is a file at a branch or commit.
	Show(t testing.TB, rev, path string) string

	// Writer and Reader are logins of people with and without the right to push.
	Writer() string
	Reader() string
	// OpenPR opens a pull request as Writer.
	OpenPR(t testing.TB, branch, title string) int
	// CommentPR writes a comment as that user.
	CommentPR(t testing.TB, user string, number int, text string)
	// Unlabel removes a label as Writer.
	Unlabel(t testing.TB, number int, label string)
	// ClosePR and MergePR act as Writer; MergePR returns the merge commit.
	ClosePR(t testing.TB, number int)
	MergePR(t testing.TB, number int) string
	// PRs are all pull requests, oldest first.
	PRs(t testing.TB) []PR

	// Protect forbids the bot to push to branches that match the pattern.
	Protect(t testing.TB, pattern string)
	// Archive makes the repository read-only.
	Archive(t testing.TB)
	// Rename moves the repository within its owner; CloneURL stays the old one.
	Rename(t testing.TB, to string)
	// RenameDefaultBranch renames the default branch.
	RenameDefaultBranch(t testing.TB, to string)

	// Requests counts the API requests that the bot made since the last call.
	Requests() int
}

// PR is a pull request as the administrator sees it.
type PR struct {
	Number      int
	Title, Body string
	// State is open, closed or merged.
	State  string
	Draft  bool
	Author string
	Branch string
	Head   string
	Labels []string
	// Comments are the texts, oldest first.
	Comments []string
}
