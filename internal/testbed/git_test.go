package testbed_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// gitIn runs the git program as a user would, who trusts the server's CA.
func gitIn(t *testing.T, g *testbed.Git, dir string, args ...string) (string, error) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, g.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", append([]string{"-c", "http.sslCAInfo=" + ca, "-c", "user.name=x", "-c", "user.email=x@x"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestGitServer(t *testing.T) {
	g := testbed.GitServer(t)
	g.Create(t, "acme/fleet", map[string]string{"a": "1\n", "dir/b": "2\n"})
	dir := t.TempDir()
	g.Clone(t, "acme/fleet", dir)
	// git sends what is larger than a mebibyte in chunks.
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * i >> 3)
	}
	if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add", "big"}, {"commit", "-qm", "big"}, {"-c", "core.compression=0", "push", "-q", "origin", "HEAD:topic/x"}} {
		if out, err := gitIn(t, g, dir, args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	if got := g.Git(t, "acme/fleet", "cat-file", "-s", "topic/x:big"); got != "3145728" {
		t.Errorf("the big file has %s bytes", got)
	}
	if in, out, requests := g.Moved(); in < 3<<20 || out == 0 || requests < 4 {
		t.Errorf("counted %d in, %d out, %d requests", in, out, requests)
	}
	if in, out, requests := g.Moved(); in+out+requests != 0 {
		t.Error("the counters did not start again")
	}
	if got := g.Branches(t, "acme/fleet"); len(got) != 2 || got["topic/x"] == "" {
		t.Errorf("branches %v", got)
	}
	if commit := g.Push(t, "acme/fleet", "main", map[string]string{"a": "", "c": "3\n"}); g.Git(t, "acme/fleet", "ls-tree", "--name-only", commit) != "c\ndir" {
		t.Error("a human's push is not what was asked for")
	}
}

func TestGitServerAsksForCredentials(t *testing.T) {
	g := testbed.GitServer(t)
	g.Create(t, "acme/fleet", map[string]string{"a": "1\n"})
	if out, err := gitIn(t, g, t.TempDir(), "ls-remote", g.CloneURL("acme/fleet")); err == nil {
		t.Errorf("served without credentials:\n%s", out)
	}
	// Without an auth everybody may read and write.
	open := httptest.NewServer(testbed.GitHandler(g.Root, nil))
	defer open.Close()
	if got := get(t, g, open.URL+"/acme/fleet.git/info/refs?service=git-receive-pack", "", ""); got != http.StatusOK {
		t.Errorf("an open handler answers %d", got)
	}
	if got := get(t, g, g.CloneURL("acme/fleet")+"/info/refs?service=git-upload-pack", g.User, "wrong"); got != http.StatusUnauthorized {
		t.Errorf("a wrong password gets %d", got)
	}
}

func get(t *testing.T, g *testbed.Git, url, user, pass string) int {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(g.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, pass)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return cut
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return cut
	}
	return resp.StatusCode
}

func TestGitFaults(t *testing.T) {
	g := testbed.GitServer(t)
	g.Create(t, "acme/fleet", map[string]string{"a": "1\n"})
	url := g.CloneURL("acme/fleet") + "/info/refs?service=git-upload-pack"
	var order []string
	g.Fault(
		testbed.GitStatus(http.StatusTeapot, "short and stout"),
		nil,
		testbed.GitBefore(func() { order = append(order, "before") }),
		testbed.GitAfter(func() { order = append(order, "after") }),
		testbed.GitCut(0),
		testbed.GitCut(10),
	)
	for i, want := range []int{http.StatusTeapot, http.StatusOK, http.StatusOK, http.StatusOK, cut, cut, http.StatusOK} {
		if got := get(t, g, url, g.User, g.Password); got != want {
			t.Errorf("request %d: got %d, want %d", i, got, want)
		}
	}
	if strings.Join(order, " ") != "before after" {
		t.Errorf("happened: %v", order)
	}
}

// cut is what [get] gives for a connection that was cut.
const cut = -1

func TestGitSSH(t *testing.T) {
	g := testbed.GitServer(t)
	g.Create(t, "acme/fleet", map[string]string{"a": "1\n"})
	keys := g.SSH(t)
	dir := t.TempDir()
	for name, content := range map[string][]byte{"id": keys.Identity, "known_hosts": keys.KnownHosts} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ssh := "ssh -F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -i " + filepath.Join(dir, "id") + " -o UserKnownHostsFile=" + filepath.Join(dir, "known_hosts")
	out, err := gitIn(t, g, dir, "-c", "core.sshCommand="+ssh, "clone", "-q", keys.CloneURL("acme/fleet"), "clone")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	push := []string{"-c", "core.sshCommand=" + ssh, "push", "-q", "origin", "HEAD:topic"}
	if out, err := gitIn(t, g, filepath.Join(dir, "clone"), push...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	keys.ReadOnly()
	push[len(push)-1] = "HEAD:other"
	if out, err := gitIn(t, g, filepath.Join(dir, "clone"), push...); err == nil || !strings.Contains(out, "marked as read only") {
		t.Errorf("a read-only key pushed: %v\n%s", err, out)
	}
}
