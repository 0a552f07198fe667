package testbed

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// small is a module with a command that says what it was stamped with.
func small(t *testing.T, source string) *build {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":  "module example.com/small\n\ngo 1.24\n\nrequire (\n\tk8s.io/kubernetes v1.34.4 // indirect\n)\n",
		"go.sum":  "",
		"main.go": source,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := newBuild(dir, component{pkg: "."})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const hello = "package main\n\nfunc main() { println(\"hello\") }\n"

func TestCachedBuildsOnce(t *testing.T) {
	b := small(t, hello)
	dir := filepath.Join(t.TempDir(), "tools", b.key)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			path, err := b.cached(t.Context(), t, dir, "hello")
			if err != nil {
				t.Error(err)
				return
			}
			if out, err := exec.Command(path).CombinedOutput(); err != nil || string(out) != "hello\n" {
				t.Errorf("%s: %q, %v", path, out, err)
			}
		})
	}
	wg.Wait()
	// Without its source it can only come from the cache.
	if err := os.Remove(filepath.Join(b.dir, "main.go")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.cached(t.Context(), t, dir, "hello"); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "hello" {
		t.Errorf("the cache holds %v (%v)", entries, err)
	}
}

func TestCachedLeavesNothingOfAFailure(t *testing.T) {
	b := small(t, "package main\n\nfunc main() { broken }\n")
	dir := filepath.Join(t.TempDir(), "tools", b.key)
	stale := filepath.Join(dir, ".build-of-a-killed-process")
	if err := os.MkdirAll(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := b.cached(t.Context(), t, dir, "hello")
	if err == nil || !strings.Contains(err.Error(), "undefined: broken") || !strings.Contains(err.Error(), b.dir) {
		t.Errorf("error = %v, want the compiler's", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("the cache holds %v (%v)", entries, err)
	}
}

func TestCachedWhenTimeIsUp(t *testing.T) {
	b := small(t, hello)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "tools", b.key)
	_, err := b.cached(ctx, t, dir, "hello")
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "again") {
		t.Errorf("error = %v, want what to do", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.into(ctx, filepath.Join(dir, "hello")); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "-timeout") {
		t.Errorf("error = %v, want what to do", err)
	}
}

func TestLockWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), path) {
		t.Errorf("error = %v, want one that names the lock", err)
	}
	unlock()
	again, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestKeyNamesAllThatDecides(t *testing.T) {
	keys := map[string]string{}
	for name, parts := range map[string][][]byte{
		"as it is":        {[]byte("mod"), []byte("sum")},
		"other go.mod":    {[]byte("mod2"), []byte("sum")},
		"other go.sum":    {[]byte("mod"), []byte("sum2")},
		"another cut":     {[]byte("mods"), []byte("um")},
		"one more part":   {[]byte("mod"), []byte("sum"), nil},
		"parts exchanged": {[]byte("sum"), []byte("mod")},
	} {
		key := buildKey(parts...)
		if other, ok := keys[key]; ok || len(key) != 64 {
			t.Errorf("%q and %q have the key %s", name, other, key)
		}
		keys[key] = name
	}
}

func TestKubernetesFlags(t *testing.T) {
	for name, tt := range map[string]struct{ mod, want string }{
		"in a block":   {"require (\n\tk8s.io/kubernetes v1.34.4 // indirect\n)\n\ntool (\n\tk8s.io/kubernetes/cmd/kubectl\n)\n", "gitVersion=v1.34.4"},
		"on a line":    {"require k8s.io/kubernetes v1.36.3\n", "gitMinor=36"},
		"another":      {"require k8s.io/kubernetes/x v1.36.3\n", ""},
		"not required": {"module x\n", ""},
	} {
		got, err := kubernetesFlags([]byte(tt.mod))
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: flags %q, want an error", name, got)
			}
			continue
		}
		for _, pkg := range []string{"k8s.io/component-base/version.", "k8s.io/client-go/pkg/version."} {
			if err != nil || !strings.Contains(got, pkg+tt.want) {
				t.Errorf("%s: flags %q (%v), want %q", name, got, err, pkg+tt.want)
			}
		}
	}
}

func TestToolUnknown(t *testing.T) {
	if _, err := tool(t, "kubelet"); err == nil || !strings.Contains(err.Error(), "helm-controller") {
		t.Errorf("error = %v", err)
	}
}

// The nested modules must not be part of the main one, which would not build
// with what they require.
func TestToolModulesAreApart(t *testing.T) {
	root, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(toolNames(), datapathNames()...) {
		c, ok := componentNamed(name)
		if !ok {
			t.Fatalf("no component %s", name)
		}
		dir := filepath.Join(root, "internal", "testbed", c.module)
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "module github.com/remediate-dev/remediate/internal/testbed/"+c.module+"\n") || !strings.Contains(string(text), "\t"+c.pkg+"\n") && !strings.Contains(string(text), "tool "+c.pkg+"\n") {
			t.Errorf("%s/go.mod is not %s's", dir, name)
		}
		if files, err := filepath.Glob(filepath.Join(dir, "*.go")); err != nil || len(files) > 0 {
			t.Errorf("%s holds Go files: %v (%v)", dir, files, err)
		}
	}
}

// TestTools builds what other tests start. The Makefile runs it first, so that
// no other test's time limit has to hold a compiler's minutes.
func TestTools(t *testing.T) {
	for _, name := range toolNames() {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), Tool(t, name), "--help").CombinedOutput()
			// Gitea refuses to say anything else to root.
			if refused := strings.Contains(string(out), "not supposed to be run as root"); len(out) == 0 || err != nil && !refused {
				t.Errorf("%s --help: %v\n%s", name, err, out)
			}
		})
	}
}
