package repo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/repo"
)

// applied has git am apply the patch of files in a clone, and gives what
// came of it: tree, author, date, subject and body.
func applied(t *testing.T, message string, files map[string][]byte) (tree, author, said string, want repo.Commit) {
	t.Helper()
	_, r := served(t)
	w := cloneOf(t, r, "main")
	want, err := w.Commit(repo.CommitOptions{Files: files, Message: message, Author: bot, When: noon})
	if err != nil {
		t.Fatal(err)
	}
	var diff strings.Builder
	for _, name := range []string{"README.md", "clusters/prod/bare.yaml", "clusters/prod/crlf.yaml", "clusters/prod/values.yaml"} {
		content, ok := files[name]
		if !ok {
			continue
		}
		before, err := os.ReadFile(filepath.Join(w.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		diff.WriteString(edit.Diff(name, before, content))
	}
	patch, err := repo.Patch(repo.PatchOptions{Author: bot, When: noon, Message: message, Diff: diff.String()})
	if err != nil {
		t.Fatal(err)
	}
	git := func(stdin string, args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Stdin = w.Dir(), strings.NewReader(stdin)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.Dir()}, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
			"GIT_COMMITTER_NAME=x", "GIT_COMMITTER_EMAIL=x@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s\n%s", strings.Join(args, " "), err, out, patch)
		}
		return string(out)
	}
	git(string(patch), "am")
	return strings.TrimSpace(git("", "show", "-s", "--format=%T")), git("", "show", "-s", "--format=%an <%ae> %ai"),
		git("", "show", "-s", "--format=%B"), want
}

func TestPatch(t *testing.T) {
	values := map[string][]byte{"clusters/prod/values.yaml": []byte("cilium:\n  ipv6: false\n")}
	for name, tt := range map[string]struct {
		message string
		files   map[string][]byte
	}{
		"a plain one":        {"fix(cilium): exclude the range\n\nBody: text\n\nRemediation-Plan: 1\n", values},
		"a subject alone":    {"fix: x\n", values},
		"beyond ASCII":       {"fix(cilium): größer — “exclude” 日本語の長い件名はここに続く日本語の長い件名はここに続く\n\nKörper: 日本\n", values},
		"a long subject":     {"fix(cilium): " + strings.TrimSpace(strings.Repeat("exclude another range ", 12)) + "\n\nbody\n", values},
		"a long word":        {"fix: " + strings.Repeat("x", 200) + "\n", values},
		"encoded look":       {"fix: =?utf-8?q?x?= and = and ?\n", values},
		"a body of headers":  {"fix: x\n\nFrom: Eve <eve@example.com>\nSubject: other\nDate: never\n\nbody\n", values},
		"a mailbox":          {"fix: x\n\nFrom eve@example.com Mon Sep 17 00:00:00 2001\nFrom here on\n>From there\n", values},
		"quoted-printable":   {"fix: x\n\n=3D = =\n" + strings.Repeat("ä", 600) + "\n", values},
		"a signature's line": {"fix: x\n\n-- \nnot the end\n", values},
		"windows lines":      {"fix: x\n\nFrom x\n", map[string][]byte{"clusters/prod/crlf.yaml": []byte("a: 1\r\nb: 3\r\n")}},
		"no last line break": {"fix: x\n", map[string][]byte{"clusters/prod/bare.yaml": []byte("last: changed")}},
		"a last line break":  {"fix: x\n", map[string][]byte{"clusters/prod/bare.yaml": []byte("last: line\n")}},
		"a mixture": {"fix: x\n", map[string][]byte{
			"clusters/prod/crlf.yaml": []byte("a: 1\r\nb: 2\nc: 3"), "README.md": []byte("From x\n--- a\n+++ b\n-- \n" + strings.Repeat("y", 2000)),
			"clusters/prod/values.yaml": []byte("\x00\x01 text ä \xff\n"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			message, err := repo.Message(repo.MessageOptions{Template: strings.ReplaceAll(tt.message, "{{", "")})
			if err != nil {
				t.Fatal(err)
			}
			tree, author, said, want := applied(t, message, tt.files)
			if tree != want.Tree {
				t.Errorf("the tree is %s, want %s", tree, want.Tree)
			}
			if author != "Remédiate Bot <bot@example.com> 2026-11-23 12:00:00 +0200\n" {
				t.Errorf("the author is %s", author)
			}
			if strings.TrimRight(said, "\n") != strings.TrimRight(message, "\n") {
				t.Errorf("the message is\n%q\nwant\n%q", said, message)
			}
		})
	}
}

// A message that did not come from Message loses nothing either.
func TestPatchOfAnyMessage(t *testing.T) {
	message := "fix: x\n\nbefore\n---\ndiff --git a/x b/x\n--- a/x\nIndex: x\nafter\n"
	tree, _, said, want := applied(t, message, map[string][]byte{"README.md": []byte("x\n")})
	if tree != want.Tree || strings.TrimSpace(said) != "fix: x\n\nbefore\n ---\n diff --git a/x b/x\n --- a/x\n Index: x\nafter" {
		t.Errorf("got %q", said)
	}
}

func TestPatchRefuses(t *testing.T) {
	good := repo.PatchOptions{Author: bot, When: noon, Message: "m", Diff: "d"}
	for name, spoil := range map[string]func(o *repo.PatchOptions){
		"author":  func(o *repo.PatchOptions) { o.Author.Email = "" },
		"message": func(o *repo.PatchOptions) { o.Message = "\n" },
		"diff":    func(o *repo.PatchOptions) { o.Diff = "" },
		"time":    func(o *repo.PatchOptions) { o.When = repo.PatchOptions{}.When },
	} {
		o := good
		spoil(&o)
		if _, err := repo.Patch(o); err == nil {
			t.Errorf("no %s was taken", name)
		}
	}
}
