package repo_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/gitops/repo"
)

func overlay(t *testing.T, r *repo.Repo, rev string) map[string][]byte {
	t.Helper()
	commit, err := r.Resolve(rev)
	if err != nil {
		t.Fatal(err)
	}
	files, err := r.Overlay(context.Background(), commit)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// shown tells nil, the absent file, from empty.
func shown(files map[string][]byte) map[string]string {
	out := map[string]string{}
	for name, content := range files {
		out[name] = string(content)
		if content == nil {
			out[name] = "(absent)"
		}
	}
	return out
}

func wantOverlay(t *testing.T, r *repo.Repo, rev string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, shown(overlay(t, r, rev))); diff != "" {
		t.Errorf("overlay of %s (-want +got):\n%s", rev, diff)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestOverlay(t *testing.T) {
	dir, r := laid(t,
		files("same", "1\n", "changed", "old\n", "deleted", "1\n", "empty", "", "dir/file", "1\n", "dir/deep/x", "1\n", "file", "was a file\n", "turned/a", "1\n"),
		files("same", "1\n", "changed", "new\n", "added", "1\n", "dir/file", "1\n", "file/now/dir", "1\n", "turned", "now a file\n"),
	)
	wantOverlay(t, r, "HEAD", map[string]string{})
	want := map[string]string{
		"changed": "old\n", "deleted": "1\n", "empty": "", "added": "(absent)", "dir/deep/x": "1\n",
		"file": "was a file\n", "file/now/dir": "(absent)", "turned": "(absent)", "turned/a": "1\n",
	}
	wantOverlay(t, r, "HEAD^", want)

	write(t, filepath.Join(dir, ".gitignore"), "*.log\n")
	write(t, filepath.Join(dir, "ignored.log"), "x")
	write(t, filepath.Join(dir, "new", "untracked"), "x")
	write(t, filepath.Join(dir, "same"), "uncommitted\n")
	remove(t, filepath.Join(dir, "dir"))
	dirty := map[string]string{
		".gitignore": "(absent)", "ignored.log": "(absent)", "new/untracked": "(absent)", "same": "1\n", "dir/file": "1\n",
	}
	wantOverlay(t, r, "HEAD", dirty)
	maps.Copy(want, dirty)
	wantOverlay(t, r, "HEAD^", want)
}

func TestOverlayErrors(t *testing.T) {
	_, r := laid(t, files("a", "1"))
	for _, hash := range []string{"", "HEAD", strings.Repeat("1", 40)} {
		if files, err := r.Overlay(context.Background(), hash); err == nil || files != nil {
			t.Errorf("%q: %v, %v", hash, files, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	head, _ := r.Head()
	if _, err := r.Overlay(ctx, head); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOverlayLineEndings(t *testing.T) {
	dir, r := laid(t, files("unix", "a\nb\n", "windows", "a\r\nb\r\n", "more", "a\nb\n"))
	write(t, filepath.Join(dir, "unix"), "a\r\nb\r\n")
	write(t, filepath.Join(dir, "windows"), "a\nb\n")
	write(t, filepath.Join(dir, "more"), "a\r\nb\r\nc\r\n")
	wantOverlay(t, r, "HEAD", map[string]string{"more": "a\nb\n"})
}

func TestOverlayOpaqueFiles(t *testing.T) {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
	huge := strings.Repeat("x", repo.MaxFileBytes+1)
	dir, r := laid(t,
		files("image", "\x00png", "gone", "\x00png", "lfs", pointer, "lfsgone", pointer, "huge", huge, "hugegone", huge, "grew", "small\n", "shrank", huge, "text", "1\n"),
		files("image", "\x00other", "lfs", pointer, "huge", huge, "grew", huge, "shrank", "small\n", "text", "\x00now binary"))
	write(t, filepath.Join(dir, "lfs"), "the content\n")
	wantOverlay(t, r, "HEAD^", map[string]string{"gone": "", "lfsgone": "", "hugegone": "", "grew": "small\n", "shrank": "", "text": "1\n"})
}

func TestOverlaySymlinks(t *testing.T) {
	needGit(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	gitIn(t, dir, "init", "-q", "-b", "main")
	write(t, in("real/a.yaml"), "a: 1\n")
	write(t, in("real/deep/b.yaml"), "b: 1\n")
	link(t, "real/a.yaml", in("same"))
	link(t, "real/a.yaml", in("retargeted"))
	link(t, "hop", in("hops"))
	link(t, "real/a.yaml", in("hop"))
	link(t, "real", in("dirlink"))
	link(t, "../..", in("real/deep/up"))
	link(t, "..", in("real/parent"))
	link(t, "/etc/passwd", in("outside"))
	link(t, "../../../../etc/passwd", in("escapes"))
	link(t, "loop2", in("loop1"))
	link(t, "loop1", in("loop2"))
	link(t, "nowhere", in("dangling"))
	link(t, "real/a.yaml", in("nowafile"))
	commit(t, dir, "links")
	for _, name := range []string{"retargeted", "hops", "dirlink", "outside", "escapes", "loop1", "dangling", "nowafile", "real/deep"} {
		remove(t, in(name))
	}
	link(t, "real/parent", in("retargeted"))
	write(t, in("nowafile"), "c: 1\n")
	write(t, in("dangling"), "d: 1\n")
	write(t, in("dirlink/extra"), "e: 1\n")
	link(t, "/etc", in("etc"))
	wantOverlay(t, open(t, dir), "HEAD", map[string]string{
		"retargeted": "a: 1\n", "hops": "a: 1\n", "nowafile": "a: 1\n", "dangling": "(absent)", "etc": "(absent)",
		"real/deep/b.yaml": "b: 1\n",
		"dirlink/a.yaml":   "a: 1\n", "dirlink/deep/b.yaml": "b: 1\n", "dirlink/extra": "(absent)",
	})
}

func TestOverlayFollowsNoSymlinkOut(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "a"), "secret\n")
	dir, r := laid(t, files("d/a", "1\n", "f", "1\n"))
	remove(t, filepath.Join(dir, "d"))
	remove(t, filepath.Join(dir, "f"))
	link(t, outside, filepath.Join(dir, "d"))
	link(t, filepath.Join(outside, "a"), filepath.Join(dir, "f"))
	wantOverlay(t, r, "HEAD", map[string]string{"d": "(absent)", "d/a": "1\n", "f": "1\n"})
}

func TestOverlayOddFiles(t *testing.T) {
	dir, r := laid(t, files("pipe", "1\n", "a", "1\n"))
	remove(t, filepath.Join(dir, "pipe"))
	for _, name := range []string{"pipe", "other"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantOverlay(t, r, "HEAD", map[string]string{"pipe": "1\n", "other": "(absent)"})
}

func TestOverlaySubmodules(t *testing.T) {
	needGit(t)
	lib, _ := laid(t, files("lib.yaml", "1\n"), files("lib.yaml", "2\n"))
	dir, _ := laid(t, files("a", "1\n"))
	gitIn(t, dir, "submodule", "--quiet", "add", "file://"+lib, "vendor/lib")
	commit(t, dir, "with submodule")
	r := open(t, dir)
	wantOverlay(t, r, "HEAD", map[string]string{})
	wantOverlay(t, r, "HEAD^", map[string]string{".gitmodules": "(absent)", "vendor/lib/lib.yaml": "(absent)"})
	subs, err := r.Submodules()
	if diff := cmp.Diff([]string{"vendor/lib"}, subs); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if subs, err := open(t, filepath.Join(dir, "vendor", "lib")).Submodules(); len(subs) > 0 || err != nil {
		t.Error(subs, err)
	}
	write(t, filepath.Join(dir, ".git", "index"), "broken")
	subs, err = open(t, dir).Submodules()
	if diff := cmp.Diff([]string{"vendor/lib"}, subs); diff != "" || err != nil {
		t.Errorf("without an index: %s, %v", diff, err)
	}
	remove(t, filepath.Join(dir, "vendor", "lib"))
	write(t, filepath.Join(dir, "vendor", "lib"), "a file\n")
	wantOverlay(t, r, "HEAD", map[string]string{"vendor/lib": "(absent)"})
	_, empty := laid(t)
	if subs, err := empty.Submodules(); len(subs) > 0 || err != nil {
		t.Error(subs, err)
	}
}

func TestOverlayOfSparseCheckout(t *testing.T) {
	needGit(t)
	dir, _ := laid(t, files("in/a", "1\n", "in/b", "1\n", "out/a", "1\n"), files("in/a", "2\n", "in/b", "1\n", "out/a", "1\n"))
	gitIn(t, dir, "sparse-checkout", "set", "--no-cone", "/in/")
	if _, err := os.Stat(filepath.Join(dir, "out")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the checkout is not sparse")
	}
	wantOverlay(t, open(t, dir), "HEAD^", map[string]string{"in/a": "1\n"})
	remove(t, filepath.Join(dir, "in", "b"))
	wantOverlay(t, open(t, dir), "HEAD", map[string]string{"in/b": "1\n"})
}

func TestOverlayOfPartialClone(t *testing.T) {
	needGit(t)
	origin, _ := laid(t, files("a", "1\n", "b", "3\n"), files("a", "2\n", "b", "3\n"))
	gitIn(t, origin, "config", "uploadpack.allowFilter", "true")
	for _, filter := range []string{"blob:none", "tree:0"} {
		dir := filepath.Join(t.TempDir(), "clone")
		gitIn(t, filepath.Dir(dir), "clone", "-q", "--filter="+filter, "file://"+origin, dir)
		r := open(t, dir)
		wantOverlay(t, r, "HEAD", map[string]string{})
		before, err := r.Resolve("HEAD^")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Overlay(context.Background(), before); err == nil || !strings.Contains(err.Error(), "git fetch --refetch --no-filter") {
			t.Errorf("%s: %v", filter, err)
		}
	}
}

// Pictures that a partial clone left out stop nothing: they hold no values.
func TestOverlayOfPartialCloneWithoutPictures(t *testing.T) {
	needGit(t)
	picture := strings.Repeat("x", 2000)
	origin, _ := laid(t, files("a.yaml", "1\n", "docs/a.PNG", picture, "docs/gone.jpg", picture+"1"), files("a.yaml", "2\n", "docs/a.PNG", picture+"2"))
	gitIn(t, origin, "config", "uploadpack.allowFilter", "true")
	dir := filepath.Join(t.TempDir(), "clone")
	gitIn(t, filepath.Dir(dir), "clone", "-q", "--filter=blob:limit=1k", "file://"+origin, dir)
	wantOverlay(t, open(t, dir), "HEAD^", map[string]string{"a.yaml": "1\n", "docs/gone.jpg": ""})
}

func TestOverlayOfAlternates(t *testing.T) {
	needGit(t)
	origin, _ := laid(t, files("a", "1\n"), files("a", "2\n"))
	dir := filepath.Join(t.TempDir(), "clone")
	gitIn(t, filepath.Dir(dir), "clone", "-q", "--shared", origin, dir)
	r := open(t, dir)
	wantOverlay(t, r, "HEAD^", map[string]string{"a": "1\n"})
	whole, err := r.Resolve("HEAD^")
	if err != nil {
		t.Fatal(err)
	}
	wantOverlay(t, r, whole[:8], map[string]string{"a": "1\n"})
}

func TestOverlayOfWorktree(t *testing.T) {
	needGit(t)
	dir, _ := laid(t, files("a", "1\n"), files("a", "2\n", "b", "1\n"))
	second := filepath.Join(t.TempDir(), "second")
	gitIn(t, dir, "worktree", "add", "-q", second, "HEAD^")
	wantOverlay(t, open(t, second), "HEAD", map[string]string{})
	wantOverlay(t, open(t, second), "main", map[string]string{"a": "2\n", "b": "1\n"})
}

// loose writes an object as git would store it, whatever it holds.
func loose(t *testing.T, dir, kind string, content []byte) string {
	t.Helper()
	raw := append(fmt.Appendf(nil, "%s %d\x00", kind, len(content)), content...)
	hash := fmt.Sprintf("%x", sha1.Sum(raw))
	var packed bytes.Buffer
	w := zlib.NewWriter(&packed)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, ".git", "objects", hash[:2], hash[2:])
	if _, err := os.Stat(file); err == nil {
		return hash // as git wrote it, read-only
	}
	write(t, file, packed.String())
	return hash
}

// treeObject writes a tree with entries that git itself would not write: mode,
// name and hash of each.
func treeObject(t *testing.T, dir string, entries ...string) string {
	t.Helper()
	var raw bytes.Buffer
	for i := 0; i < len(entries); i += 3 {
		hash, err := hex.DecodeString(entries[i+2])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&raw, "%s %s\x00%s", entries[i], entries[i+1], hash)
	}
	return loose(t, dir, "tree", raw.Bytes())
}

func commitObject(t *testing.T, dir, tree string, hours int, parents ...string) string {
	t.Helper()
	raw := fmt.Appendf(nil, "tree %s\n", tree)
	for _, p := range parents {
		raw = fmt.Appendf(raw, "parent %s\n", p)
	}
	when := start.Unix() + int64(hours)*3600
	return loose(t, dir, "commit", fmt.Appendf(raw, "author A <a@b> %d +0000\ncommitter A <a@b> %[1]d +0000\n\nmessage\n", when))
}

func TestOverlayOfHostileTrees(t *testing.T) {
	dir, r := laid(t, files("a", "1\n"))
	blob := loose(t, dir, "blob", []byte("1\n"))
	inner := treeObject(t, dir, "100644", "config", blob)
	bad := treeObject(t, dir,
		"100644", "../escape", blob, "40000", "..", inner, "40000", ".git", inner, "40000", ".GIT", inner,
		"100644", "/etc/x", blob, "100644", "a", blob, "100644", `a\b`, blob, "100644", "ok", blob)
	hash := commitObject(t, dir, bad, 0)
	wantOverlay(t, r, hash, map[string]string{"ok": "1\n"})

	bomb := treeObject(t, dir, "100644", "f", blob)
	for range 20 {
		var entries []string
		for i := range 10 {
			entries = append(entries, "40000", fmt.Sprintf("d%d", i), bomb)
		}
		bomb = treeObject(t, dir, entries...)
	}
	hash = commitObject(t, dir, bomb, 0)
	if _, err := r.Overlay(context.Background(), hash); !errors.Is(err, repo.ErrTooMuch) {
		t.Errorf("a tree of 10^20 files: %v", err)
	}
	deep := inner
	for range 300 {
		deep = treeObject(t, dir, "40000", "d", deep)
	}
	hash = commitObject(t, dir, deep, 0)
	if _, err := r.Overlay(context.Background(), hash); !errors.Is(err, repo.ErrTooMuch) {
		t.Errorf("300 directories deep: %v", err)
	}
}

// The working tree with the overlay of a commit laid over it is that commit.
func TestOverlayTurnsIntoTheCommit(t *testing.T) {
	names := []string{"a", "b.yaml", "d/a", "d/b", "d/e/f", "e", "e/a", "x/y/z", "x/y"}
	tree := rapid.Custom(func(t *rapid.T) map[string][]byte {
		out := map[string][]byte{}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(t, "names") {
			clash := slices.ContainsFunc(slices.Collect(maps.Keys(out)), func(other string) bool {
				return strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, other+"/")
			})
			if !clash {
				out[name] = []byte(rapid.SampledFrom([]string{"", "1\n", "2\n", "a: b\n"}).Draw(t, "content"))
			}
		}
		return out
	})
	dir, r := laid(t, files("first", "1\n"))
	rapid.Check(t, func(rt *rapid.T) {
		old, now, disk := tree.Draw(rt, "old"), tree.Draw(rt, "new"), tree.Draw(rt, "disk")
		for _, name := range []string{"first", "a", "b.yaml", "d", "e", "x"} {
			remove(t, filepath.Join(dir, name))
		}
		for name, content := range disk {
			write(t, filepath.Join(dir, name), string(content))
		}
		for _, want := range []map[string][]byte{old, now} {
			got := maps.Clone(disk)
			for name, content := range overlay(t, r, commitObject(t, dir, treeOf(t, dir, want), 0)) {
				if was, ok := got[name]; ok && content != nil && bytes.Equal(was, content) {
					rt.Fatalf("%s is in the overlay and does not differ", name)
				}
				got[name] = content
				if content == nil {
					delete(got, name)
				}
			}
			if diff := cmp.Diff(shown(want), shown(got)); diff != "" {
				rt.Fatalf("(-want +got):\n%s", diff)
			}
		}
	})
}

// treeOf writes files, none of which is a directory of another, as a tree.
func treeOf(t *testing.T, dir string, files map[string][]byte) string {
	t.Helper()
	below := map[string]map[string][]byte{}
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		first, rest, nested := strings.Cut(name, "/")
		switch {
		case !nested:
			entries = append(entries, "100644", name, loose(t, dir, "blob", files[name]))
		case below[first] == nil:
			below[first] = map[string][]byte{}
			fallthrough
		default:
			below[first][rest] = files[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		entries = append(entries, "40000", name, treeOf(t, dir, below[name]))
	}
	return treeObject(t, dir, entries...)
}
