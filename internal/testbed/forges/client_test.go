package forges

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// complaints is a test that others fail in, so that their failing can be tested.
type complaints struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// take gives what was said and forgets it.
func (c *complaints) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := strings.Join(c.said, "\n")
	c.said = nil
	return all
}

// caller speaks to a server's API with plain HTTP.
type caller struct {
	t     testing.TB
	http  *http.Client
	base  string
	token string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    string
	body   any
}

func trusting(t testing.TB, ca []byte) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the CA is no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func callAs(t testing.TB, g *GitHubServer, login string) *caller {
	t.Helper()
	secret := g.SecretOf(login)
	return &caller{t, trusting(t, secret["ca.crt"]), g.API(), string(secret["password"])}
}

// try sends a request; body is JSON text, or nothing.
func (c *caller) try(method, path, body string) (answer, error) {
	if !strings.HasPrefix(path, "https://") {
		path = c.base + path
	}
	req, err := http.NewRequest(method, path, bytes.NewBufferString(body))
	if err != nil {
		return answer{}, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // not every answer is JSON
	return a, err
}

// do is try where an answer with that status is expected.
func (c *caller) do(status int, method, path, body string) answer {
	c.t.Helper()
	a, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.raw)
	}
	return a
}

// at is a value inside: "head.sha", "0.name". It is nil when there is none.
func (a answer) at(path string) any {
	v := a.body
	for key := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case object:
			v = in[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// text prints what is inside; whole numbers without an exponent.
func (a answer) text(path string) string {
	if n, ok := a.at(path).(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(a.at(path))
}

// want compares values inside.
func (a answer) want(t testing.TB, want map[string]any) {
	t.Helper()
	for path, v := range want {
		if got := a.text(path); got != fmt.Sprint(v) {
			t.Errorf("%s: got %s, want %v", path, got, v)
		}
	}
}

// checkout is a clone by the real git, with a login's token.
type checkout struct {
	t   testing.TB
	dir string
	env []string
}

func cloneAs(t testing.TB, s Server, secret map[string][]byte) *checkout {
	t.Helper()
	home := t.TempDir()
	ca := filepath.Join(home, "ca.crt")
	if err := os.WriteFile(ca, secret["ca.crt"], 0o600); err != nil {
		t.Fatal(err)
	}
	c := &checkout{t, filepath.Join(home, "work"), []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_SSL_CAINFO=" + ca, "LC_ALL=C",
		"GIT_AUTHOR_NAME=B", "GIT_AUTHOR_EMAIL=b@example.com", "GIT_COMMITTER_NAME=B", "GIT_COMMITTER_EMAIL=b@example.com",
	}}
	at := strings.Replace(s.CloneURL(), "https://", fmt.Sprintf("https://%s:%s@", secret["username"], secret["password"]), 1)
	if out, err := c.run(home, "clone", "--quiet", at, c.dir); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	return c
}

func (c *checkout) run(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, c.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *checkout) git(args ...string) string {
	c.t.Helper()
	out, err := c.run(c.dir, args...)
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
