package forges

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	g := GitHub(t)
	bot := callAs(t, g, g.Bot())
	label := func() (answer, error) { return bot.try("POST", repoPath+"/labels", `{"name":"a"}`) }

	g.Fail(Path("POST", "/labels"), 1, Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}, Body: `{"message":"busy"}`})
	bot.do(http.StatusOK, "GET", repoPath+"/labels", "")
	a, err := label()
	if err != nil || a.status != 503 || a.header.Get("Retry-After") != "7" || a.text("message") != "busy" {
		t.Errorf("got %d %v %s, %v", a.status, a.header, a.raw, err)
	}
	g.Fail(Path("", "/labels"), 1, Fault{Cut: CutBefore})
	if a, err := label(); !errors.Is(err, io.EOF) {
		t.Errorf("cut before: got %d, %v", a.status, err)
	}
	if got := g.Labels(t); len(got) != 0 {
		t.Errorf("handled all the same: %q", got)
	}
	g.Fail(Path("", "/labels"), 1, Fault{Cut: CutAfter})
	if a, err := label(); !errors.Is(err, io.EOF) {
		t.Errorf("cut after: got %d, %v", a.status, err)
	}
	if got := g.Labels(t); len(got) != 1 {
		t.Errorf("not handled: %q", got)
	}
	if a, err := label(); err != nil || a.status != http.StatusUnprocessableEntity {
		t.Errorf("afterwards: got %d, %v", a.status, err)
	}
	g.Fail(nil, -1, Fault{Status: 500})
	for range 3 {
		bot.do(500, "GET", repoPath, "")
	}
	g.Heal()
	bot.do(http.StatusOK, "GET", repoPath, "")
}

func TestFaultIsSlow(t *testing.T) {
	g := GitHub(t)
	bot := callAs(t, g, g.Bot())
	g.Fail(nil, 1, Fault{Delay: time.Hour}) // nobody waits for it
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", g.API()+repoPath+"/labels", strings.NewReader(`{"name":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bot.http.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := g.Labels(t); len(got) != 0 {
		t.Errorf("handled all the same: %q", got)
	}
	g.Fail(nil, 1, Fault{Delay: time.Millisecond})
	bot.do(http.StatusOK, "GET", repoPath, "")
}

func TestHooksSeeGitToo(t *testing.T) {
	g := GitHub(t)
	var before, after []string
	g.Before(func(r *http.Request) { before = append(before, r.URL.Path) })
	g.After(func(r *http.Request) { after = append(after, r.URL.Path) })
	cloneAs(t, g, g.Secret())
	callAs(t, g, g.Bot()).do(http.StatusOK, "GET", repoPath, "")
	g.Heal()
	all := strings.Join(before, " ")
	if !strings.Contains(all, "/git-upload-pack") || !strings.HasSuffix(all, "/api/v3/repos/acme/clusters") {
		t.Errorf("before saw %s", all)
	}
	if strings.Join(after, " ") != all {
		t.Errorf("after saw %q, before %q", after, before)
	}
	// A push that is done and not answered: the crash between push and the next step.
	work := cloneAs(t, g, g.Secret())
	work.git("commit", "--quiet", "--allow-empty", "-m", "a")
	g.Fail(Path("POST", "git-receive-pack"), 1, Fault{Cut: CutAfter})
	if out, err := work.run(work.dir, "push", "origin", "HEAD:refs/heads/x"); err == nil {
		t.Errorf("the push was answered: %s", out)
	}
	if g.Branches(t)["x"] == "" {
		t.Error("the push was not handled")
	}
}

func TestProxy(t *testing.T) {
	g := GitHub(t)
	p := Proxy(t, g)
	if p.CloneURL() == g.CloneURL() || !strings.HasSuffix(p.CloneURL(), "/acme/clusters.git") || !strings.HasSuffix(p.API(), "/api/v3") {
		t.Errorf("at %s and %s", p.CloneURL(), p.API())
	}
	secret := p.Secret()
	bot := &caller{t, trusting(t, secret["ca.crt"]), p.API(), string(secret["password"])}
	bot.do(http.StatusOK, "GET", repoPath, "").want(t, map[string]any{"full_name": "acme/clusters"})
	work := cloneAs(t, p, secret)
	work.git("commit", "--quiet", "--allow-empty", "-m", "a")
	work.git("push", "--quiet", "origin", "HEAD:refs/heads/x")
	if p.Branches(t)["x"] == "" {
		t.Error("the push did not arrive")
	}
	p.Fail(Path("GET", repoPath), 1, Fault{Status: 502})
	bot.do(502, "GET", repoPath, "")
	bot.do(http.StatusOK, "GET", repoPath, "")
	p.Rename(t, "fleet")
	if to := bot.do(http.StatusMovedPermanently, "GET", repoPath, "").header.Get("Location"); !strings.HasPrefix(to, p.API()) {
		t.Errorf("the proxy sends clients past itself: %s", to)
	}
}
