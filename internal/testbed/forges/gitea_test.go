package forges_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// giteaGit runs the real git in dir with a Secret.
type giteaGit struct {
	t      *testing.T
	dir    string
	secret map[string][]byte
	env    []string
}

func newGiteaGit(t *testing.T, secret map[string][]byte) *giteaGit {
	t.Helper()
	g := &giteaGit{t: t, dir: t.TempDir(), secret: secret}
	for name, data := range secret {
		if err := os.WriteFile(filepath.Join(g.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.env = append(os.Environ(), "HOME="+g.dir, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_SSL_CAINFO="+filepath.Join(g.dir, "ca.crt"),
		"GIT_SSH_COMMAND=ssh -F none -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile="+
			filepath.Join(g.dir, "known_hosts")+" -i "+filepath.Join(g.dir, "identity"))
	return g
}

func (g *giteaGit) run(args ...string) (string, error) {
	cmd := exec.CommandContext(g.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = g.dir, g.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// push clones, commits to a new branch and pushes it.
func (g *giteaGit) push(url, branch string) (string, error) {
	g.t.Helper()
	if user, ok := g.secret["username"]; ok {
		url = strings.Replace(url, "://", "://"+string(user)+":"+string(g.secret["password"])+"@", 1)
	}
	for _, args := range [][]string{
		{"clone", "-q", url, "work"}, {"-C", "work", "checkout", "-q", "-B", branch},
		{"-C", "work", "commit", "-q", "--allow-empty", "-m", "of a test"},
	} {
		if out, err := g.run(args...); err != nil {
			return out, err
		}
	}
	return g.run("-C", "work", "push", "-q", "origin", branch)
}

func TestGiteaTakesPushes(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal("ssh is missing: sudo apt-get install -y openssh-client")
	}
	s := forges.Gitea(t)
	s.Protect(t, "guarded/**")
	for name, tt := range map[string]struct {
		url, branch string
		secret      map[string][]byte
		refused     string
	}{
		"https":              {url: s.CloneURL(), branch: "a/https", secret: s.Secret()},
		"https, protected":   {url: s.CloneURL(), branch: "guarded/https", secret: s.Secret(), refused: "protected branch"},
		"https, reader":      {url: s.CloneURL(), branch: "b", secret: s.SecretOf(s.Reader()), refused: "denied"},
		"https, wrong token": {url: s.CloneURL(), branch: "b", secret: s.SecretOf("nobody"), refused: "Authentication failed"},
		"ssh":                {url: s.SSHURL(), branch: "a/ssh", secret: s.SSHSecret(t, false)},
		"ssh, protected":     {url: s.SSHURL(), branch: "guarded/ssh", secret: s.SSHSecret(t, false), refused: "protected branch"},
		"ssh, read-only key": {url: s.SSHURL(), branch: "b", secret: s.SSHSecret(t, true), refused: "rite"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := newGiteaGit(t, tt.secret).push(tt.url, tt.branch)
			if (err != nil) != (tt.refused != "") || !strings.Contains(out, tt.refused) {
				t.Errorf("%v: %s", err, out)
			}
			if _, ok := s.Branches(t)[tt.branch]; ok != (tt.refused == "") {
				t.Errorf("%s on the server: %v", tt.branch, ok)
			}
		})
	}
}

func TestGiteaArchivedAndRenamed(t *testing.T) {
	s := forges.Gitea(t)
	s.Rename(t, "elsewhere")
	if out, err := newGiteaGit(t, s.Secret()).push(s.CloneURL(), "a"); err != nil {
		t.Errorf("git follows to the new address: %v: %s", err, out)
	}
	s.Archive(t)
	if out, err := newGiteaGit(t, s.Secret()).push(s.CloneURL(), "b"); err == nil || !strings.Contains(out, "archived") {
		t.Errorf("%v: %s", err, out)
	}
}

// What people do shows.
func TestGiteaPeople(t *testing.T) {
	s := forges.Gitea(t)
	one := s.Push(t, "a/b", map[string][]byte{"dir/x.yaml": []byte("1\n"), "y": []byte("2\r\n")})
	two := s.Push(t, "a/b", map[string][]byte{"dir/x.yaml": nil, "y": []byte("3\n")})
	if tips := s.Branches(t); tips["a/b"] != two || tips["main"] == "" || len(tips) != 2 {
		t.Errorf("branches %v, want a/b at %s", tips, two)
	}
	if got := s.Show(t, one, "y") + s.Show(t, "a/b", "y") + s.Show(t, one, "dir/x.yaml"); got != "2\r\n3\n1\n" {
		t.Errorf("%q", got)
	}
	n := s.OpenPR(t, "a/b", "WIP: by hand")
	s.CommentPR(t, s.Reader(), n, "first")
	s.CommentPR(t, s.Writer(), n, "second")
	want := forges.PR{Number: n, Title: "WIP: by hand", Body: "by hand", State: "open", Draft: true, Author: s.Writer(), Branch: "a/b", Head: two}
	got := s.PRs(t)
	if len(got) != 1 || !slices.Equal(got[0].Comments, []string{"first", "second"}) {
		t.Fatalf("%+v", got)
	}
	if got[0].Comments = nil; !equal(got[0], want) {
		t.Errorf("%+v, want %+v", got[0], want)
	}
	s.SetDraft(t, n, false)
	s.RenameDefaultBranch(t, "trunk")
	commit := s.MergePR(t, n)
	if pr := s.PRs(t)[0]; pr.State != "merged" || pr.Draft || s.Branches(t)["trunk"] != commit {
		t.Errorf("%+v, merged as %s", pr, commit)
	}
	s.DeleteBranch(t, "a/b")
	if tips := s.Branches(t); len(tips) != 1 || tips["trunk"] != commit {
		t.Errorf("branches %v", tips)
	}
}

func equal(a, b forges.PR) bool {
	return a.Number == b.Number && a.Title == b.Title && a.Body == b.Body && a.State == b.State && a.Draft == b.Draft &&
		a.Author == b.Author && a.Branch == b.Branch && a.Head == b.Head && slices.Equal(a.Labels, b.Labels)
}

// Two repositories of one server do not see each other, and layers see all that
// comes over https.
func TestGiteaApart(t *testing.T) {
	var seen []string
	one, two := forges.Gitea(t), forges.Gitea(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.Method+" "+r.URL.Path)
			next.ServeHTTP(w, r)
		})
	})
	if one.Name() == two.Name() || one.CloneURL() == two.CloneURL() || !bytes.Equal(one.Secret()["password"], two.Secret()["password"]) {
		t.Errorf("%s at %s, %s at %s", one.Name(), one.CloneURL(), two.Name(), two.CloneURL())
	}
	one.Push(t, "only-here", nil)
	if len(two.Branches(t)) != 1 {
		t.Errorf("branches %v", two.Branches(t))
	}
	if out, err := newGiteaGit(t, two.Secret()).push(two.CloneURL(), "a"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasSuffix(s, "/git-receive-pack") }) || two.Requests() != 0 {
		t.Errorf("the layer saw %q", seen)
	}
}

// Without Main the server ends with the last test that uses it, and its folder
// with it.
func TestGiteaEnds(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var url string
	t.Run("uses it", func(t *testing.T) {
		s := forges.Gitea(t)
		url = s.API()
		if left, err := os.ReadDir(tmp); err != nil || len(left) == 0 {
			t.Errorf("%v, %v: it runs elsewhere", left, err)
		}
	})
	if left, err := filepath.Glob(filepath.Join(tmp, "gitea-*")); err != nil || len(left) != 0 {
		t.Errorf("%v, %v: it is still there", left, err)
	}
	if resp, err := http.Get(url); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}
