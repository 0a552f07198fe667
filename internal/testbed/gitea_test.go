package testbed

import (
	"os"
	"strings"
	"testing"
)

func TestGitea(t *testing.T) {
	dir := t.TempDir()
	g, err := StartGitea(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.answers(); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(g.HostKey, "["+strings.Replace(g.SSH, ":", "]:", 1)+" ssh-ed25519 ") {
		t.Errorf("host key %q does not fit %s", g.HostKey, g.SSH)
	}
	for range 2 {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	}
	if err := g.answers(); err == nil {
		t.Error("it answers after its end")
	}
	if _, err := os.Stat(g.process.log); err != nil {
		t.Error(err)
	}
}

func TestToolWithoutCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler -m64")
	b := small(t, hello)
	b.cgo = "1"
	dir := t.TempDir()
	_, err := b.cached(t.Context(), t, dir, "hello")
	if err == nil || !strings.Contains(err.Error(), "no-such-compiler") || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("error = %v, want what to install", err)
	}
	b.cgo = "0"
	if _, err := b.cached(t.Context(), t, dir, "hello"); err != nil {
		t.Errorf("without cgo it needs no compiler: %v", err)
	}
}

// Who has built the others before must not build them again.
func TestKeyTellsCgoAndTags(t *testing.T) {
	dir := small(t, hello).dir
	keys := map[string]component{}
	for _, c := range []component{{}, {cgo: true}, {tags: "a"}, {tags: "a,b"}, {cgo: true, tags: "a"}} {
		c.pkg = "."
		b, err := newBuild(dir, c)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := keys[b.key]; ok {
			t.Errorf("%+v and %+v have one key", c, other)
		}
		keys[b.key] = c
	}
}
