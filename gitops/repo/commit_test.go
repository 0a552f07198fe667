package repo_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
)

func TestCommit(t *testing.T) {
	server, r := served(t)
	server.SetMode(t, fleet, "main", "clusters/prod/run.sh", "#!/bin/sh\n", 0o755)
	w := cloneOf(t, r, "main")
	files := map[string][]byte{
		"clusters/prod/values.yaml": []byte("cilium:\n  ipv6: false\n"),
		"clusters/prod/run.sh":      []byte("#!/bin/sh\ntrue\n"),
		"clusters/prod/crlf.yaml":   []byte("a: 2\r\nb: 2\r\n"),
		"clusters/prod/bare.yaml":   []byte("last: changed"),
		"README.md":                 fleetReadme(w, t),
	}
	c, err := w.Commit(repo.CommitOptions{Files: files, Message: "fix: äöü\n\nbody\n\n\n", Author: bot, When: noon})
	if err != nil {
		t.Fatal(err)
	}
	if c.Author != bot || c.Committer != bot || !c.When.Equal(noon) || c.Message != "fix: äöü\n\nbody\n" || c.Signed ||
		!slices.Equal(c.Parents, []string{w.Head().Hash}) || c.Tree == w.Head().Tree {
		t.Errorf("%+v", c)
	}
	if err := w.Push(t.Context(), c.Hash, "topic", ""); err != nil {
		t.Fatal(err)
	}
	show := func(format string) string { return server.Git(t, fleet, "show", "-s", "--format="+format, "topic") }
	if got, want := show("%an|%ae|%cn|%ce|%ai|%ci"), "Remédiate Bot|bot@example.com|Remédiate Bot|bot@example.com|2026-11-23 12:00:00 +0200|2026-11-23 12:00:00 +0200"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// The README is as it was, and nothing else came along.
	want := "M\tclusters/prod/bare.yaml\nM\tclusters/prod/crlf.yaml\nM\tclusters/prod/run.sh\nM\tclusters/prod/values.yaml"
	if got := server.Git(t, fleet, "diff", "--name-status", "main", "topic"); got != want {
		t.Errorf("changed:\n%s\nwant:\n%s", got, want)
	}
	if got := server.Git(t, fleet, "ls-tree", "topic", "clusters/prod/run.sh"); !strings.HasPrefix(got, "100755 ") {
		t.Errorf("the mode is lost: %s", got)
	}
	if got := server.Git(t, fleet, "cat-file", "-s", "topic:clusters/prod/crlf.yaml"); got != "12" {
		t.Errorf("%s bytes, want 12", got)
	}
	server.Git(t, fleet, "fsck", "--strict")
}

func fleetReadme(w *repo.Worktree, t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(w.Dir(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// What lies in the folder beside the given files must not get into a commit.
func TestCommitTakesOnlyItsFiles(t *testing.T) {
	server, r := served(t)
	w := cloneOf(t, r, "main")
	for name, content := range map[string]string{"README.md": "scribbled", "stray.txt": "stray"} {
		if err := os.WriteFile(filepath.Join(w.Dir(), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := change(t, w, "x: 1\n")
	if err := w.Push(t.Context(), c.Hash, "topic", ""); err != nil {
		t.Fatal(err)
	}
	if got := server.Git(t, fleet, "diff", "--name-only", "main", "topic"); got != "clusters/prod/values.yaml" {
		t.Errorf("changed: %s", got)
	}
}

// The same input makes the same commit, so that a second run finds the first
// one's branch.
func TestCommitIsDeterministic(t *testing.T) {
	_, r := served(t)
	a, b := change(t, cloneOf(t, r, "main"), "x: 1\n"), change(t, cloneOf(t, r, "main"), "x: 1\n")
	if a.Hash != b.Hash {
		t.Errorf("%s and %s", a.Hash, b.Hash)
	}
}

func TestCommitRefuses(t *testing.T) {
	server, r := served(t)
	server.Symlink(t, fleet, "main", "clusters/link.yaml", "prod/values.yaml")
	server.Symlink(t, fleet, "main", "linked", "clusters/prod")
	w := cloneOf(t, r, "main")
	good := repo.CommitOptions{Files: map[string][]byte{"README.md": []byte("x")}, Message: "m", Author: bot, When: noon}
	for name, tt := range map[string]struct {
		edit func(o *repo.CommitOptions)
		says string
	}{
		"a missing file":           {func(o *repo.CommitOptions) { o.Files = file("clusters/gone.yaml") }, "clusters/gone.yaml is not in the repository"},
		"a missing folder":         {func(o *repo.CommitOptions) { o.Files = file("gone/values.yaml") }, "gone is not in the repository"},
		"a symbolic link":          {func(o *repo.CommitOptions) { o.Files = file("clusters/link.yaml") }, "clusters/link.yaml is a symbolic link"},
		"through a symbolic link":  {func(o *repo.CommitOptions) { o.Files = file("linked/values.yaml") }, "linked is a symbolic link"},
		"a folder":                 {func(o *repo.CommitOptions) { o.Files = file("clusters/prod") }, "clusters/prod is a folder"},
		"below a file":             {func(o *repo.CommitOptions) { o.Files = file("README.md/x") }, "README.md is a file"},
		"a file that is a folder":  {func(o *repo.CommitOptions) { o.Files = map[string][]byte{"README.md": nil, "README.md/x": nil} }, "file and a folder"},
		"outside":                  {func(o *repo.CommitOptions) { o.Files = file("../x") }, "not a path inside"},
		"an absolute path":         {func(o *repo.CommitOptions) { o.Files = file("/etc/passwd") }, "not a path inside"},
		"git's own folder":         {func(o *repo.CommitOptions) { o.Files = file(".git/config") }, ".git is not in the repository"},
		"no message":               {func(o *repo.CommitOptions) { o.Message = " \n" }, "message is empty"},
		"a zero byte":              {func(o *repo.CommitOptions) { o.Message = "a\x00b" }, "zero byte"},
		"no name":                  {func(o *repo.CommitOptions) { o.Author.Name = "" }, "needs a name"},
		"no email":                 {func(o *repo.CommitOptions) { o.Author.Email = " " }, "needs a name"},
		"a forged author":          {func(o *repo.CommitOptions) { o.Author.Name = "a <b>" }, "leave out"},
		"an author with two lines": {func(o *repo.CommitOptions) { o.Author.Name = "a\ncommitter x" }, "leave out"},
		"no time":                  {func(o *repo.CommitOptions) { o.When = time.Time{} }, "time is missing"},
	} {
		o := good
		o.Files = maps.Clone(good.Files)
		tt.edit(&o)
		if _, err := w.Commit(o); err == nil || errors.Is(err, repo.ErrNoChange) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}

func file(name string) map[string][]byte { return map[string][]byte{name: []byte("x")} }

func TestCommitWithoutChange(t *testing.T) {
	_, r := served(t)
	w := cloneOf(t, r, "main")
	for name, files := range map[string]map[string][]byte{
		"no file":      nil,
		"as it is now": {"README.md": fleetReadme(w, t)},
	} {
		_, err := w.Commit(repo.CommitOptions{Files: files, Message: "m", Author: bot, When: noon})
		if !errors.Is(err, repo.ErrNoChange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignedCommits(t *testing.T) {
	server, r := served(t)
	w := cloneOf(t, r, "main")
	for name, kind := range map[string]testbed.SigningKey{
		"openpgp":                   testbed.OpenPGPKey(t, ""),
		"openpgp with a passphrase": testbed.OpenPGPKey(t, "sesame"),
		"ssh":                       testbed.SSHSigningKey(t, ""),
		"ssh with a passphrase":     testbed.SSHSigningKey(t, "sesame"),
	} {
		t.Run(name, func(t *testing.T) {
			signer, err := repo.SigningSecret(kind.Secret).Signer()
			if err != nil {
				t.Fatal(err)
			}
			c, err := w.Commit(repo.CommitOptions{
				Files:   map[string][]byte{"README.md": []byte(name)},
				Message: "signed\n\nbody\n", Author: bot, When: noon, Signer: signer,
			})
			if err != nil || !c.Signed {
				t.Fatal(c, err)
			}
			branch := strings.ReplaceAll(name, " ", "-")
			if err := w.Push(t.Context(), c.Hash, branch, ""); err != nil {
				t.Fatal(err)
			}
			kind.VerifyCommit(t, server.Path(fleet), branch)
			again := w.Head()
			if fetched, ok, err := cloneOf(t, r, "main").Fetch(t.Context(), branch); err != nil || !ok || !fetched.Signed || again.Signed {
				t.Errorf("fetched %+v, %v, %v", fetched, ok, err)
			}
		})
	}
	t.Run("a signature of another key is refused by git", func(t *testing.T) {
		key, other := testbed.SSHSigningKey(t, ""), testbed.SSHSigningKey(t, "")
		signer, err := repo.SigningSecret(key.Secret).Signer()
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.Commit(repo.CommitOptions{Files: file("README.md"), Message: "m", Author: bot, When: noon, Signer: signer})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Push(t.Context(), c.Hash, "other", ""); err != nil {
			t.Fatal(err)
		}
		if err := other.Verify(server.Path(fleet), "other"); err == nil {
			t.Error("git took it for good")
		}
	})
}

func TestSigningSecret(t *testing.T) {
	pgp, locked := testbed.OpenPGPKey(t, "").Secret, testbed.OpenPGPKey(t, "sesame").Secret
	ssh, lockedSSH := testbed.SSHSigningKey(t, "").Secret, testbed.SSHSigningKey(t, "sesame").Secret
	if s, err := repo.SigningSecret(nil).Signer(); s != nil || err != nil {
		t.Errorf("no Secret: %v, %v", s, err)
	}
	for name, tt := range map[string]struct {
		secret map[string][]byte
		says   string
	}{
		"an empty Secret":        {map[string][]byte{}, "neither git.asc"},
		"other keys":             {map[string][]byte{"username": []byte("x")}, "neither git.asc"},
		"both":                   {map[string][]byte{"git.asc": pgp["git.asc"], "identity": ssh["identity"]}, "both git.asc"},
		"no OpenPGP":             {map[string][]byte{"git.asc": []byte("SECRET")}, "git.asc is not an armored OpenPGP key"},
		"a public OpenPGP key":   {map[string][]byte{"git.asc": testbed.OpenPGPKey(t, "").Public}, "no private key"},
		"no passphrase":          {map[string][]byte{"git.asc": locked["git.asc"]}, "no key passphrase"},
		"a wrong passphrase":     {map[string][]byte{"git.asc": locked["git.asc"], "passphrase": []byte("SECRET")}, "passphrase does not open git.asc"},
		"no SSH key":             {map[string][]byte{"identity": []byte("SECRET")}, "identity cannot be read"},
		"no password":            {map[string][]byte{"identity": lockedSSH["identity"]}, "no key password"},
		"a wrong password":       {map[string][]byte{"identity": lockedSSH["identity"], "password": []byte("SECRET")}, "does password open it?"},
		"a passphrase too many":  {map[string][]byte{"git.asc": pgp["git.asc"], "passphrase": []byte("unused")}, ""},
		"a password too many":    {map[string][]byte{"identity": ssh["identity"], "password": []byte("unused")}, ""},
		"a good passphrase":      {locked, ""},
		"a good password of SSH": {lockedSSH, ""},
	} {
		s, err := repo.SigningSecret(tt.secret).Signer()
		switch {
		case tt.says == "":
			if err != nil || s == nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "SECRET"):
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}
