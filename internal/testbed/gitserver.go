package testbed

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Git is a plain Git server: bare repositories behind https, with one user, and
// behind SSH when [Git.SSH] was called. It ends with the test.
type Git struct {
	// Root holds the repositories, as OWNER/NAME.git.
	Root string
	// URL is https://127.0.0.1:PORT.
	URL string
	// CA is the certificate of the server's authority, in PEM.
	CA []byte
	// User and Password are the only ones that are let in.
	User, Password string

	home     string
	in, out  atomic.Int64
	requests atomic.Int64

	mu     sync.Mutex
	faults []GitFault
}

// GitFault does what a network or a server does wrong to one request. It calls
// next, or not.
type GitFault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// GitServer starts a Git server.
func GitServer(t testing.TB) *Git {
	t.Helper()
	g := &Git{Root: t.TempDir(), User: "bot", Password: "pass-of-the-bot", home: t.TempDir()}
	backend := GitHandler(g.Root, func(user, pass string) bool { return user == g.User && pass == g.Password })
	server := httptest.NewTLSServer(g.counted(g.faulty(backend)))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	g.URL = server.URL
	g.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return g
}

// Secret is that of a GitRepository with this server's URL.
func (g *Git) Secret() map[string][]byte {
	return map[string][]byte{"username": []byte(g.User), "password": []byte(g.Password), "ca.crt": g.CA}
}

// CloneURL is the https address of a repository.
func (g *Git) CloneURL(name string) string { return g.URL + "/" + name + ".git" }

// Path is the folder of a bare repository.
func (g *Git) Path(name string) string { return filepath.Join(g.Root, name+".git") }

// Create makes a repository with one commit of these files on main.
func (g *Git) Create(t testing.TB, name string, files map[string]string) {
	t.Helper()
	g.run(t, g.home, "init", "--quiet", "--bare", "--initial-branch=main", g.Path(name))
	g.Push(t, name, "main", files)
}

// Push makes a commit as a human on top of branch, which starts at main when it
// is new; "" removes a file. It gives the commit.
func (g *Git) Push(t testing.TB, name, branch string, files map[string]string) string {
	t.Helper()
	return g.commit(t, name, branch, func(dir string) { writeFiles(t, dir, files) })
}

// commit pushes what edit changed in a clone.
func (g *Git) commit(t testing.TB, name, branch string, edit func(dir string)) string {
	t.Helper()
	dir := t.TempDir()
	g.run(t, dir, "clone", "--quiet", g.Path(name), ".")
	if g.has(dir, "refs/remotes/origin/"+branch) || g.has(dir, "HEAD") {
		start := "HEAD"
		if g.has(dir, "refs/remotes/origin/"+branch) {
			start = "refs/remotes/origin/" + branch
		}
		g.run(t, dir, "checkout", "--quiet", "-B", branch, start)
	} else {
		g.run(t, dir, "symbolic-ref", "HEAD", "refs/heads/"+branch)
	}
	edit(dir)
	g.run(t, dir, "add", "--all", "--force")
	g.run(t, dir, "commit", "--quiet", "--message", "a human's change")
	// Past hooks: those are for the one under test.
	g.run(t, dir, "push", "--quiet", "--receive-pack=git -c core.hooksPath="+os.DevNull+" receive-pack", "origin", branch)
	return g.run(t, dir, "rev-parse", "HEAD")
}

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if content == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Git runs git in a bare repository and gives what it prints, without the last
// line break.
func (g *Git) Git(t testing.TB, name string, args ...string) string {
	t.Helper()
	return g.run(t, g.Path(name), args...)
}

// Branches are the commits by branch.
func (g *Git) Branches(t testing.TB, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range strings.Fields(g.Git(t, name, "for-each-ref", "--format=%(refname:lstrip=2)=%(objectname)", "refs/heads")) {
		branch, commit, _ := strings.Cut(line, "=")
		out[branch] = commit
	}
	return out
}

// Hook installs a shell script as a hook of a repository: pre-receive, update.
func (g *Git) Hook(t testing.TB, name, hook, script string) {
	t.Helper()
	file := filepath.Join(g.Path(name), "hooks", hook)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Fault is done to the next request, and each one after the former once more
// when it is called again: a queue. A nil fault lets one request through.
func (g *Git) Fault(faults ...GitFault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, faults...)
}

// Moved are the bytes that came in and went out over https in bodies, and the
// number of requests, since the last call.
func (g *Git) Moved() (in, out, requests int64) {
	return g.in.Swap(0), g.out.Swap(0), g.requests.Swap(0)
}

func (g *Git) next() GitFault {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.faults) == 0 {
		return nil
	}
	f := g.faults[0]
	g.faults = slices.Delete(g.faults, 0, 1)
	return f
}

func (g *Git) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := g.next(); f != nil {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Git) has(dir, rev string) bool {
	return g.command(dir, "rev-parse", "--verify", "--quiet", rev).Run() == nil
}

func (g *Git) run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := g.command(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

func (g *Git) command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", append([]string{"-c", "protocol.file.allow=always"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(gitEnv(g.home),
		"GIT_AUTHOR_NAME=Hannah Human", "GIT_AUTHOR_EMAIL=hannah@example.com",
		"GIT_COMMITTER_NAME=Hannah Human", "GIT_COMMITTER_EMAIL=hannah@example.com",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	return cmd
}

// CountCommits counts the commits that a clone holds.
func (g *Git) CountCommits(t testing.TB, dir string) int {
	t.Helper()
	return len(strings.Fields(g.run(t, dir, "rev-list", "--all")))
}

// SetMode makes a commit with a file of that mode.
func (g *Git) SetMode(t testing.TB, name, branch, file, content string, mode os.FileMode) string {
	t.Helper()
	return g.commit(t, name, branch, func(dir string) {
		writeFiles(t, dir, map[string]string{file: content})
		if err := os.Chmod(filepath.Join(dir, file), mode); err != nil {
			t.Fatal(err)
		}
	})
}

// Symlink makes a commit with a symbolic link.
func (g *Git) Symlink(t testing.TB, name, branch, file, target string) string {
	t.Helper()
	return g.commit(t, name, branch, func(dir string) {
		if err := os.Symlink(target, filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	})
}

// Clone makes a full clone over https with the git program, to compare with.
func (g *Git) Clone(t testing.TB, name, dir string) {
	t.Helper()
	ca := filepath.Join(g.home, "ca.crt")
	if err := os.WriteFile(ca, g.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	from := strings.Replace(g.CloneURL(name), "://", "://"+g.User+":"+g.Password+"@", 1)
	g.run(t, dir, "-c", "http.sslCAInfo="+ca, "clone", "--quiet", from, ".")
}
