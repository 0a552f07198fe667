package repo_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/gitops/repo"
)

var (
	someone = repo.Author{Name: "Ann Other", Email: "ann@example.com"}
	start   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
)

// files turns "path", "content", … into a tree.
func files(pairs ...string) map[string][]byte {
	out := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = []byte(pairs[i+1])
	}
	return out
}

// laid makes a repository with one commit a day.
func laid(t *testing.T, trees ...map[string][]byte) (string, *repo.Repo) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	var steps []repo.Step
	for i, tree := range trees {
		steps = append(steps, repo.Step{Message: "commit " + string(rune('0'+i)) + "\n\nbody\n", Date: start.AddDate(0, 0, i), Files: tree})
	}
	if err := repo.Layout(dir, someone, steps); err != nil {
		t.Fatal(err)
	}
	return dir, open(t, dir)
}

func open(t *testing.T, dir string) *repo.Repo {
	t.Helper()
	r, err := repo.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// gitIn runs the real git, away from the user's configuration.
func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2026-02-01T10:00:00Z", "GIT_COMMITTER_DATE=2026-02-01T10:00:00Z",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func needGit(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("the git program is missing: install it (apt-get install git)")
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	dir, _ := laid(t, files("a/b/c.yaml", "x: 1\n"))
	for _, from := range []string{dir, filepath.Join(dir, "a", "b")} {
		r := open(t, from)
		if r.Root() != dir || r.Shallow() {
			t.Errorf("from %s: root %s, shallow %v", from, r.Root(), r.Shallow())
		}
	}
}

func TestOpenErrors(t *testing.T) {
	empty := t.TempDir()
	bare := filepath.Join(t.TempDir(), "bare.git")
	for _, d := range []string{"objects", "refs/heads"} {
		if err := os.MkdirAll(filepath.Join(bare, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(bare, "HEAD"), "ref: refs/heads/main\n")
	lost := t.TempDir()
	write(t, filepath.Join(lost, ".git"), "gitdir: ../gone\n")
	nonsense := t.TempDir()
	write(t, filepath.Join(nonsense, ".git"), "nonsense\n")
	for _, c := range []struct {
		name, dir string
		want      error
		says      string
	}{
		{"no repository", empty, repo.ErrNotRepository, "--repo"},
		{"bare", bare, repo.ErrBare, "clone it"},
		{"inside a bare one", filepath.Join(bare, "refs"), repo.ErrBare, ""},
		{"not there", filepath.Join(empty, "x"), os.ErrNotExist, ""},
		{"a file", filepath.Join(bare, "HEAD"), nil, "not a directory"},
		{"lost worktree", lost, nil, "git worktree repair"},
		{"broken .git file", nonsense, nil, "does not hold a path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := repo.Open(c.dir)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v, saying %q", err, c.want, c.says)
			}
		})
	}
}

func TestOpenFormats(t *testing.T) {
	for extension, readable := range map[string]bool{
		"partialClone = origin": true, "worktreeConfig = true": true, "objectFormat = sha1": true,
		"objectFormat = sha256": false, "refStorage = reftable": false, "somethingNew = true": false,
	} {
		dir, _ := laid(t, files("a", "1"))
		config := filepath.Join(dir, ".git", "config")
		write(t, config, "[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\t"+extension+"\n")
		_, err := repo.Open(dir)
		if (err == nil) != readable || !readable && !errors.Is(err, repo.ErrUnsupported) {
			t.Errorf("%s: error %v", extension, err)
		}
	}
}

func TestHead(t *testing.T) {
	dir, r := laid(t, files("a", "1"), files("a", "2"))
	head, err := r.Head()
	if err != nil || len(head) != 40 {
		t.Fatalf("head %q, %v", head, err)
	}
	needGit(t)
	if want := gitIn(t, dir, "rev-parse", "HEAD"); head != want {
		t.Errorf("head %s, git says %s", head, want)
	}
	if out := gitIn(t, dir, "status", "--porcelain"); out != "" {
		t.Errorf("the checkout is not clean:\n%s", out)
	}
	if out := gitIn(t, dir, "fsck", "--strict"); out != "" {
		t.Errorf("git fsck:\n%s", out)
	}
	_, empty := laid(t)
	if head, err := empty.Head(); head != "" || err != nil {
		t.Errorf("without a commit: %q, %v", head, err)
	}
	if dirty, err := empty.Dirty("a"); dirty || err != nil {
		t.Errorf("without a commit and file: %v, %v", dirty, err)
	}
}

func TestDirty(t *testing.T) {
	dir, r := laid(t, files("same", "1\n", "changed", "1\n", "gone", "1\n", "crlf", "1\n2\n", "sub/deep", "1\n"))
	write(t, filepath.Join(dir, "changed"), "2\n")
	write(t, filepath.Join(dir, "new"), "1\n")
	write(t, filepath.Join(dir, "crlf"), "1\r\n2\r\n")
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"same": false, "changed": true, "gone": true, "new": true, "nowhere": false, "crlf": false, "sub/deep": false,
	} {
		if got, err := r.Dirty(path); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", path, got, err, want)
		}
	}
	for _, path := range []string{"", ".", "../x", "/etc/passwd", "sub"} {
		if _, err := r.Dirty(path); err == nil {
			t.Errorf("%q: no error", path)
		}
	}
	needGit(t)
	write(t, filepath.Join(dir, "same"), "2\n")
	gitIn(t, dir, "add", "same")
	write(t, filepath.Join(dir, "same"), "1\n")
	if got, err := r.Dirty("same"); !got || err != nil {
		t.Errorf("staged: %v, %v", got, err)
	}
	gitIn(t, dir, "config", "core.autocrlf", "false")
	if got, err := open(t, dir).Dirty("crlf"); !got || err != nil {
		t.Errorf("line endings with autocrlf=false: %v, %v", got, err)
	}
}

func TestDirtyFollowsNoSymlink(t *testing.T) {
	dir, r := laid(t, files("a", "1\n"))
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "1\n")
	for _, link := range []string{"a", "b"} {
		_ = os.Remove(filepath.Join(dir, link))
		if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Dirty(link); !got || err != nil {
			t.Errorf("%s: %v, %v", link, got, err)
		}
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Dirty("d/secret"); err == nil {
		t.Error("a symlink was followed out of the checkout")
	}
}

func TestLayoutIsDeterministic(t *testing.T) {
	trees := []map[string][]byte{files("a", "1", "a.b", "2", "a-b/c", "3"), files("z/y/x.yaml", "1", ".gitignore", "*\n")}
	dir, one := laid(t, trees...)
	_, two := laid(t, trees...)
	first, _ := one.Head()
	second, _ := two.Head()
	const want = "4e14579770574c23381e5f8576a204623f938774"
	if first != second || first != want {
		t.Errorf("hashes %s and %s, want %s", first, second, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !os.IsNotExist(err) {
		t.Errorf("a file of an earlier commit is still there: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "z", "y", "x.yaml")); err != nil || string(got) != "1" {
		t.Errorf("an ignored file is not checked out: %q, %v", got, err)
	}
}

func TestLayoutRefuses(t *testing.T) {
	full := t.TempDir()
	write(t, filepath.Join(full, "x"), "")
	if err := repo.Layout(full, someone, nil); !errors.Is(err, repo.ErrNotEmpty) {
		t.Errorf("a directory with content: %v", err)
	}
	for _, name := range []string{"../x", "/x", ".git/config", "a/.GIT/x", "", "a//b", `a\b`} {
		dir := filepath.Join(t.TempDir(), "r")
		err := repo.Layout(dir, someone, []repo.Step{{Message: "m", Files: files(name, "")}})
		if err == nil {
			t.Errorf("%q: no error", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: something was written", name)
		}
	}
	if err := repo.Layout(filepath.Join(t.TempDir(), "r"), someone, []repo.Step{{Files: files("a", "", "a/b", "")}}); err == nil {
		t.Error("a file that is a directory: no error")
	}
}

func TestEmptyDirectoryIsFine(t *testing.T) {
	dir := t.TempDir()
	if err := repo.Layout(dir, someone, []repo.Step{{Message: "m", Date: start, Files: files("a", "1")}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "a"))
	if diff := cmp.Diff("1", string(got)); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
