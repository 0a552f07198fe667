package forges

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// fake is what the servers that are no real ones have in common: one repository
// that real git serves, an API that is held to a description, and [Faults] in
// front of both.
type fake struct {
	*Faults

	// kind is what messages to the tester start with.
	kind  string
	t     testing.TB
	base  string
	ca    []byte
	held  *description
	repo  *bare
	serve http.Handler // of git
	// hook refuses pushes; it reads the protected patterns.
	hook string
	// settle brings pull requests up to date with the repository. It needs mu.
	settle func()

	mu        sync.Mutex
	clock     func() time.Time
	name      string
	former    []string // names that it had
	branch    string   // the default one
	archived  bool
	protected []string // patterns of branches
	lastID    int
	asked     int // requests of the bot
}

// newFake makes the repository, with a branch main.
func newFake(t testing.TB, kind, name, hook string, held *description) *fake {
	t.Helper()
	root := t.TempDir()
	repo, err := newBare(root, "repo", "main", map[string][]byte{"README.md": []byte("# " + name + "\n")})
	if err != nil {
		t.Fatalf("start %s: %v", kind, err)
	}
	return &fake{
		Faults: &Faults{}, kind: kind, t: t, held: held, repo: repo, serve: testbed.GitHandler(root, nil), hook: hook,
		clock: time.Now, name: name, branch: "main", lastID: 1000,
	}
}

// listen serves everything over TLS, with the faults in front; bots says whose
// requests below prefix count. It needs settle.
func (f *fake) listen(prefix string, bots func(*http.Request) bool, api, git http.HandlerFunc) {
	f.t.Helper()
	if err := f.protect(); err != nil {
		f.t.Fatalf("start %s: %v", f.kind, err)
	}
	route := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			api(w, r)
			return
		}
		git(w, r)
	})
	spoilt := f.Wrap(route)
	f.base, f.ca = serveTLS(f.t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		if strings.HasPrefix(r.URL.Path, prefix) && bots(r) {
			f.asked++
		}
		f.mu.Unlock()
		spoilt.ServeHTTP(w, r)
	}))
}

// Requests counts the API requests of the bot since the last call. Spoilt ones
// count.
func (f *fake) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked
	f.asked = 0
	return n
}

// Clock replaces the server's clock.
func (f *fake) Clock(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = now
}

// id is a new one.
func (f *fake) id() int {
	f.lastID++
	return f.lastID
}

// known says whether the repository has, or had, that name.
func (f *fake) known(name string) bool { return name == f.name || slices.Contains(f.former, name) }

const maxAPIBody = 32 << 20

// readBody of a request to the API; ok is false when the client is gone.
func readBody(r *http.Request) (body []byte, ok bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAPIBody))
	return body, err == nil
}

// below is an address without the API's prefix.
func below(prefix string, u *url.URL) *url.URL {
	self := *u
	self.Path = strings.TrimPrefix(self.Path, prefix)
	self.RawPath = strings.TrimPrefix(self.RawPath, prefix)
	return &self
}

// gitAs has real git answer for a file of the repository, as somebody who was
// let in. Git's hooks see the login.
func (f *fake) gitAs(w http.ResponseWriter, r *http.Request, login, file string) {
	inner := r.Clone(r.Context())
	inner.URL = &url.URL{Path: "/" + filepath.Base(f.repo.dir) + "/" + file, RawQuery: r.URL.RawQuery}
	inner.SetBasicAuth(login, "checked")
	f.serve.ServeHTTP(w, inner)
	if r.Method == http.MethodPost {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.settle()
	}
}

// Push implements [Server].
func (f *fake) Push(t testing.TB, branch string, files map[string][]byte) string {
	t.Helper()
	return f.push(t, branchRefs+branch, files)
}

func (f *fake) push(t testing.TB, ref string, files map[string][]byte) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	parent := f.repo.tip(ref)
	if parent == "" {
		parent = f.repo.tip(branchRefs + f.branch)
	}
	if len(files) == 0 { // a branch, and no commit
		if err := f.repo.setRef(ref, parent, ""); err != nil {
			t.Fatalf("%s: push: %v", f.kind, err)
		}
		return parent
	}
	hash, err := f.repo.commitTo(ref, parent, files, "a change by hand", identity{"Wanda", "wanda@example.com"})
	if err != nil {
		t.Fatalf("%s: push: %v", f.kind, err)
	}
	f.settle()
	return hash
}

// Branches implements [Server].
func (f *fake) Branches(t testing.TB) map[string]string {
	t.Helper()
	refs, err := f.repo.refs(branchRefs)
	if err != nil {
		t.Fatalf("%s: %v", f.kind, err)
	}
	branches := map[string]string{}
	for ref, hash := range refs {
		branches[strings.TrimPrefix(ref, branchRefs)] = hash
	}
	return branches
}

// DeleteBranch implements [Server].
func (f *fake) DeleteBranch(t testing.TB, branch string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.repo.git("update-ref", "-d", branchRefs+branch); err != nil {
		t.Fatalf("%s: %v", f.kind, err)
	}
	f.settle()
}

// Show implements [Server].
func (f *fake) Show(t testing.TB, rev, path string) string {
	t.Helper()
	content, err := f.repo.show(rev, path)
	if err != nil {
		t.Fatalf("%s: %v", f.kind, err)
	}
	return string(content)
}

// Git runs a command of git in the bare repository.
func (f *fake) Git(t testing.TB, args ...string) string {
	t.Helper()
	out, err := f.repo.git(args...)
	if err != nil {
		t.Fatalf("%s: %v", f.kind, err)
	}
	return out
}

// Protect implements [Server].
func (f *fake) Protect(t testing.TB, pattern string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.protected = append(f.protected, pattern)
	if err := f.protect(); err != nil {
		t.Fatalf("%s: %v", f.kind, err)
	}
}

// protect writes the patterns where the hook of the repository reads them.
func (f *fake) protect() error {
	list := strings.Join(append(f.protected, ""), "\n")
	if err := os.WriteFile(filepath.Join(f.repo.dir, "protected"), []byte(list), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.repo.dir, "hooks", "pre-receive"), []byte(f.hook), 0o755)
}

// Archive implements [Server].
func (f *fake) Archive(testing.TB) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.archived = true
}

// Rename implements [Server].
func (f *fake) Rename(_ testing.TB, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.former = append(f.former, f.name)
	f.name = to
}
