package repo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/gitops/repo"
)

// line is what a test wants to know of a version.
func lines(t *testing.T, versions []repo.Version, file string) []string {
	t.Helper()
	var out []string
	for _, v := range versions {
		content := func(read func(string) ([]byte, bool, error)) string {
			b, ok, err := read(file)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return "-"
			}
			return strings.TrimSpace(string(b))
		}
		out = append(out, fmt.Sprintf("%s %s %s: %s -> %s", v.Date[:10], v.Subject, strings.Join(v.Changed, ","), content(v.ReadBefore), content(v.Read)))
	}
	return out
}

func history(t *testing.T, r *repo.Repo, limit repo.Limit, files ...string) ([]repo.Version, string) {
	t.Helper()
	versions, note, err := r.History(context.Background(), files, limit)
	if err != nil {
		t.Fatal(err)
	}
	return versions, note
}

func TestHistory(t *testing.T) {
	_, r := laid(t,
		files("README", "1"),
		files("README", "1", "app/values.yaml", "mtu: 1"),
		files("README", "2", "app/values.yaml", "mtu: 1"),
		files("README", "2", "app/values.yaml", "mtu: 2", "app/hr.yaml", "x"),
		files("README", "2"),
		files("README", "2", "app/values.yaml", "mtu: 2", "app/sub/other.yaml", "y"),
	)
	versions, note := history(t, r, repo.Limit{}, "app/values.yaml", "app/hr.yaml", "app/values.yaml")
	want := []string{
		"2026-01-07 commit 5 app/values.yaml: - -> mtu: 2",
		"2026-01-06 commit 4 app/hr.yaml,app/values.yaml: mtu: 2 -> -",
		"2026-01-05 commit 3 app/hr.yaml,app/values.yaml: mtu: 1 -> mtu: 2",
		"2026-01-03 commit 1 app/values.yaml: - -> mtu: 1",
	}
	if diff := cmp.Diff(want, lines(t, versions, "app/values.yaml")); diff != "" || note != "" {
		t.Errorf("note %q\n%s", note, diff)
	}
	if versions[0].Date != "2026-01-07T02:04:05Z" || len(versions[0].Commit) != 40 {
		t.Errorf("date %s, commit %s", versions[0].Date, versions[0].Commit)
	}
	if _, ok, err := versions[0].Read("app"); ok || err == nil {
		t.Errorf("a directory was read: %v, %v", ok, err)
	}
	if b, ok, err := versions[3].Read("README"); string(b) != "1" || !ok || err != nil {
		t.Errorf("another file: %q, %v, %v", b, ok, err)
	}
}

func TestHistoryOfNothing(t *testing.T) {
	_, empty := laid(t)
	if versions, note := history(t, empty, repo.Limit{}, "a"); versions != nil || note != "" {
		t.Errorf("no commit: %v, %q", versions, note)
	}
	_, r := laid(t, files("dir/a", "1"))
	for _, file := range []string{"b", "dir", "dir/a/b"} {
		if versions, note := history(t, r, repo.Limit{}, file); versions != nil || note != "" {
			t.Errorf("%s: %v, %q", file, versions, note)
		}
	}
	for _, file := range []string{"../a", "/a", "", "."} {
		if _, _, err := r.History(context.Background(), []string{file}, repo.Limit{}); err == nil {
			t.Errorf("%q: no error", file)
		}
	}
}

func TestHistoryLimits(t *testing.T) {
	_, r := laid(t, files("a", "0"), files("a", "1"), files("a", "2"), files("a", "3"))
	for _, c := range []struct {
		name  string
		limit repo.Limit
		want  []string
		note  string
	}{
		{"commits", repo.Limit{Commits: 2}, []string{"2026-01-05 commit 3 a: 2 -> 3", "2026-01-04 commit 2 a: 1 -> 2"}, "newest 2 commits"},
		{"age", repo.Limit{Since: 36 * time.Hour}, []string{"2026-01-05 commit 3 a: 2 -> 3", "2026-01-04 commit 2 a: 1 -> 2"}, "before 2026-01-03"},
		{"just enough", repo.Limit{Commits: 4}, []string{
			"2026-01-05 commit 3 a: 2 -> 3", "2026-01-04 commit 2 a: 1 -> 2", "2026-01-03 commit 1 a: 0 -> 1", "2026-01-02 commit 0 a: - -> 0"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			versions, note := history(t, r, c.limit, "a")
			if diff := cmp.Diff(c.want, lines(t, versions, "a")); diff != "" || !strings.Contains(note, c.note) || (note == "") != (c.note == "") {
				t.Errorf("note %q\n%s", note, diff)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := r.History(ctx, []string{"a"}, repo.Limit{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestHistoryReadsNoHugeFile(t *testing.T) {
	_, r := laid(t, files("a", strings.Repeat("x", repo.MaxFileBytes+1)))
	versions, _ := history(t, r, repo.Limit{}, "a")
	if _, _, err := versions[0].Read("a"); !errors.Is(err, repo.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	if _, err := r.Dirty("a"); !errors.Is(err, repo.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

func TestHistoryFollowsFirstParents(t *testing.T) {
	needGit(t)
	dir, _ := laid(t, files("a", "0\n"))
	gitIn(t, dir, "switch", "-c", "topic")
	for _, v := range []string{"1\n", "2\n"} {
		write(t, filepath.Join(dir, "a"), v)
		gitIn(t, dir, "commit", "-am", "topic "+v)
	}
	gitIn(t, dir, "switch", "main")
	gitIn(t, dir, "merge", "--no-ff", "-m", "Merge topic", "topic")
	versions, _ := history(t, open(t, dir), repo.Limit{}, "a")
	want := []string{"2026-02-01 Merge topic a: 0 -> 2", "2026-01-02 commit 0 a: - -> 0"}
	if diff := cmp.Diff(want, lines(t, versions, "a")); diff != "" {
		t.Error(diff)
	}
}

func TestShallowClone(t *testing.T) {
	needGit(t)
	origin, _ := laid(t, files("a", "0"), files("a", "1"), files("a", "2"), files("a", "2", "b", "1"))
	dir := filepath.Join(t.TempDir(), "clone")
	gitIn(t, origin, "clone", "--depth", "3", "file://"+origin, dir)
	r := open(t, dir)
	versions, note := history(t, r, repo.Limit{}, "a")
	want := []string{"2026-01-04 commit 2 a: 1 -> 2", "2026-01-03 commit 1 a: - -> 1"}
	if diff := cmp.Diff(want, lines(t, versions, "a")); diff != "" {
		t.Error(diff)
	}
	if !r.Shallow() || !strings.Contains(note, "shallow") || !strings.Contains(note, versions[1].Commit[:12]) {
		t.Errorf("shallow %v, note %q", r.Shallow(), note)
	}
}

// Layouts of a checkout other than a plain clone, each made by git itself.
func TestCheckouts(t *testing.T) {
	needGit(t)
	origin, _ := laid(t, files("a", "0", "sub/b", "1"), files("a", "1", "sub/b", "1"))
	want := []string{"2026-01-03 commit 1 a: 0 -> 1", "2026-01-02 commit 0 a: - -> 0"}
	for name, create := range map[string]func(t *testing.T, dir string) string{
		"linked worktree": func(t *testing.T, dir string) string {
			gitIn(t, origin, "worktree", "add", "--detach", filepath.Join(dir, "w"))
			return filepath.Join(dir, "w")
		},
		"worktree of a bare repository": func(t *testing.T, dir string) string {
			gitIn(t, dir, "clone", "--bare", origin, "bare.git")
			gitIn(t, filepath.Join(dir, "bare.git"), "worktree", "add", filepath.Join(dir, "w"), "main")
			return filepath.Join(dir, "w")
		},
		"packed": func(t *testing.T, dir string) string {
			gitIn(t, dir, "clone", "file://"+origin, "c")
			gitIn(t, filepath.Join(dir, "c"), "gc", "--aggressive")
			gitIn(t, filepath.Join(dir, "c"), "pack-refs", "--all")
			return filepath.Join(dir, "c")
		},
		"shared objects": func(t *testing.T, dir string) string {
			gitIn(t, dir, "clone", "--shared", origin, "c")
			return filepath.Join(dir, "c")
		},
		"sparse": func(t *testing.T, dir string) string {
			gitIn(t, dir, "clone", "--sparse", "file://"+origin, "c")
			return filepath.Join(dir, "c")
		},
		"submodule": func(t *testing.T, dir string) string {
			gitIn(t, dir, "init", "super")
			gitIn(t, filepath.Join(dir, "super"), "submodule", "add", "file://"+origin, "m")
			return filepath.Join(dir, "super", "m")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := create(t, t.TempDir())
			r := open(t, dir)
			versions, note := history(t, r, repo.Limit{}, "a")
			if diff := cmp.Diff(want, lines(t, versions, "a")); diff != "" || note != "" {
				t.Errorf("note %q\n%s", note, diff)
			}
			if dirty, err := r.Dirty("a"); dirty || err != nil {
				t.Errorf("dirty %v, %v", dirty, err)
			}
			if r.Root() != dir {
				t.Errorf("root %s, want %s", r.Root(), dir)
			}
		})
	}
}

func TestPartialClone(t *testing.T) {
	needGit(t)
	origin, _ := laid(t, files("a", "0"), files("a", "1"))
	dir := filepath.Join(t.TempDir(), "c")
	gitIn(t, origin, "config", "uploadpack.allowFilter", "true")
	gitIn(t, origin, "clone", "--filter=blob:none", "file://"+origin, dir)
	versions, _ := history(t, open(t, dir), repo.Limit{}, "a")
	if len(versions) != 2 {
		t.Fatalf("%d versions", len(versions))
	}
	if b, _, err := versions[0].Read("a"); string(b) != "1" || err != nil {
		t.Errorf("the checked-out version: %q, %v", b, err)
	}
	if _, _, err := versions[1].Read("a"); err == nil || !strings.Contains(err.Error(), "partial clone") {
		t.Errorf("a version that was not cloned: %v", err)
	}
}

// longHistory makes a packed repository of n commits, of which every tenth
// touches the file, with git fast-import.
func longHistory(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	var in strings.Builder
	for i := range n {
		file := "kubernetes/apps/default/other/app/values.yaml"
		if i%10 == 0 {
			file = "kubernetes/apps/networking/cilium/app/values.yaml"
		}
		content := fmt.Sprintf("version: %d\n%s", i, strings.Repeat("key: value\n", 50))
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 4\nmsg\n\n", 1760000000+600*i)
		if i == 0 {
			for d := range 40 {
				fmt.Fprintf(&in, "M 644 inline dir%d/file.yaml\ndata 2\n1\n\n", d)
			}
		}
		fmt.Fprintf(&in, "M 644 inline %s\ndata %d\n%s\n", file, len(content), content)
	}
	run := func(stdin string, args ...string) {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("", "init", "-q", "-b", "main")
	run(in.String(), "fast-import", "--quiet")
	run("", "repack", "-adq")
	return dir
}

func TestLongHistory(t *testing.T) {
	needGit(t)
	r := open(t, longHistory(t, 2500))
	versions, note := history(t, r, repo.Limit{}, "kubernetes/apps/networking/cilium/app/values.yaml")
	if len(versions) != 200 || !strings.Contains(note, "2000") {
		t.Errorf("%d versions, note %q", len(versions), note)
	}
}

func BenchmarkHistory2000(b *testing.B) {
	dir := longHistory(b, 2500)
	for b.Loop() {
		r, err := repo.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := r.History(context.Background(), []string{"kubernetes/apps/networking/cilium/app/values.yaml"}, repo.Limit{}); err != nil {
			b.Fatal(err)
		}
	}
}
