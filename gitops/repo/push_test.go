package repo_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
)

func TestPush(t *testing.T) {
	both(t, func(t *testing.T, server *testbed.Git, r *repo.Remote) {
		const branch = "remediate/prod/snat-0a1b2c3d"
		w := cloneOf(t, r, "main")
		first := change(t, w, "cilium:\n  ipv6: false\n")
		if err := w.Push(t.Context(), first.Hash, branch, ""); err != nil {
			t.Fatal(err)
		}
		if got := server.Branches(t, fleet)[branch]; got != first.Hash {
			t.Fatalf("the branch is at %s, want %s", got, first.Hash)
		}
		server.Git(t, fleet, "fsck", "--strict")
		if got := server.Git(t, fleet, "show", branch+":clusters/prod/values.yaml"); got != "cilium:\n  ipv6: false" {
			t.Errorf("the file is %q", got)
		}
		if got := server.Git(t, fleet, "rev-list", "--count", branch); got != "2" {
			t.Errorf("%s commits, want 2", got)
		}
		// The same once more: a push whose answer was lost.
		if err := w.Push(t.Context(), first.Hash, branch, ""); err != nil {
			t.Errorf("the same push again: %v", err)
		}
		second := change(t, w, "cilium:\n  ipv6: maybe\n")
		if err := w.Push(t.Context(), second.Hash, branch, first.Hash); err != nil {
			t.Errorf("an update that is no fast-forward: %v", err)
		}
		if err := w.Delete(t.Context(), branch, second.Hash); err != nil {
			t.Error(err)
		}
		if err := w.Delete(t.Context(), branch, second.Hash); err != nil {
			t.Errorf("delete what is not there: %v", err)
		}
		if _, there := server.Branches(t, fleet)[branch]; there {
			t.Error("the branch is still there")
		}
	})
}

// The base moved since the clone: the branch still goes up.
func TestPushFromAnOldBase(t *testing.T) {
	server, r := served(t)
	w := cloneOf(t, r, "main")
	server.Push(t, fleet, "main", map[string]string{"README.md": "moved\n"})
	c := change(t, w, "x: 1\n")
	if err := w.Push(t.Context(), c.Hash, "topic", ""); err != nil {
		t.Fatal(err)
	}
	server.Git(t, fleet, "fsck", "--strict")
}

func TestPushMovesLittle(t *testing.T) {
	server, r := served(t)
	for i := range 3 {
		server.Push(t, fleet, "main", map[string]string{"big": noise(uint64(i), 1<<20)})
	}
	server.Moved()
	w := cloneOf(t, r, "main")
	_, out, _ := server.Moved()
	if out > 2<<20 {
		t.Errorf("the clone moved %d bytes, more than the newest files", out)
	}
	c := change(t, w, "x: 1\n")
	if err := w.Push(t.Context(), c.Hash, "topic", ""); err != nil {
		t.Fatal(err)
	}
	if in, out, requests := server.Moved(); in > 4096 || out > 4096 || requests != 2 {
		t.Errorf("the push moved %d bytes in, %d out, in %d requests", in, out, requests)
	}
}

func TestPushLease(t *testing.T) {
	both(t, func(t *testing.T, server *testbed.Git, r *repo.Remote) {
		w := cloneOf(t, r, "main")
		ours, base := change(t, w, "ours: 1\n"), w.Head().Hash
		theirs := server.Push(t, fleet, "topic", map[string]string{"README.md": "human\n"})
		server.Git(t, fleet, "branch", "same-as-base", base)
		for name, try := range map[string]func() error{
			"a new branch that is there":            func() error { return w.Push(t.Context(), ours.Hash, "topic", "") },
			"a new branch that could be forwarded":  func() error { return w.Push(t.Context(), ours.Hash, "same-as-base", "") },
			"an update of a branch that moved":      func() error { return w.Push(t.Context(), ours.Hash, "topic", base) },
			"an update of a branch that is gone":    func() error { return w.Push(t.Context(), ours.Hash, "gone", base) },
			"the deletion of a branch that moved":   func() error { return w.Delete(t.Context(), "topic", base) },
			"the deletion of a branch that is base": func() error { return w.Delete(t.Context(), "same-as-base", ours.Hash) },
		} {
			if err := try(); !errors.Is(err, repo.ErrMoved) || !repo.Transient(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		got := server.Branches(t, fleet)
		if got["topic"] != theirs || got["same-as-base"] != base || len(got) != 3 {
			t.Errorf("branches changed: %v", got)
		}
	})
}

// Between what the server says of its branches and our command somebody else
// pushes: the server itself must find out.
func TestPushRace(t *testing.T) {
	for name, race := range map[string]struct {
		before bool // the branch is there before
		act    func(t *testing.T, server *testbed.Git)
		do     func(t *testing.T, w *repo.Worktree, first, second repo.Commit) error
	}{
		"created meanwhile": {
			act: func(t *testing.T, s *testbed.Git) {
				s.Push(t, fleet, "topic", map[string]string{"README.md": "human\n"})
			},
			do: func(t *testing.T, w *repo.Worktree, _, second repo.Commit) error {
				return w.Push(t.Context(), second.Hash, "topic", "")
			},
		},
		"moved meanwhile": {
			before: true,
			act: func(t *testing.T, s *testbed.Git) {
				s.Push(t, fleet, "topic", map[string]string{"README.md": "human\n"})
			},
			do: func(t *testing.T, w *repo.Worktree, first, second repo.Commit) error {
				return w.Push(t.Context(), second.Hash, "topic", first.Hash)
			},
		},
		"deleted meanwhile": {
			before: true,
			act:    func(t *testing.T, s *testbed.Git) { s.Git(t, fleet, "branch", "-D", "topic") },
			do: func(t *testing.T, w *repo.Worktree, first, second repo.Commit) error {
				return w.Push(t.Context(), second.Hash, "topic", first.Hash)
			},
		},
		"moved before we delete": {
			before: true,
			act: func(t *testing.T, s *testbed.Git) {
				s.Push(t, fleet, "topic", map[string]string{"README.md": "human\n"})
			},
			do: func(t *testing.T, w *repo.Worktree, first, _ repo.Commit) error {
				return w.Delete(t.Context(), "topic", first.Hash)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, r := served(t)
			w := cloneOf(t, r, "main")
			first, second := change(t, w, "one: 1\n"), change(t, w, "two: 2\n")
			if race.before {
				if err := w.Push(t.Context(), first.Hash, "topic", ""); err != nil {
					t.Fatal(err)
				}
			}
			var after map[string]string
			server.Fault(nil, testbed.GitBefore(func() {
				race.act(t, server)
				after = server.Branches(t, fleet)
			}))
			if err := race.do(t, w, first, second); !errors.Is(err, repo.ErrMoved) {
				t.Errorf("got %v, want ErrMoved", err)
			}
			if got := server.Branches(t, fleet); len(after) == 0 || got["topic"] != after["topic"] {
				t.Errorf("the other's work is lost: %v, was %v", got, after)
			}
		})
	}
}

// The connection ends at any point: the branch is where it was or where it is
// to be, the error may be tried again, and the second try succeeds.
func TestPushCut(t *testing.T) {
	for name, faults := range map[string][]testbed.GitFault{
		"before the branches are said": {testbed.GitStatus(http.StatusBadGateway, "proxy")},
		"within the branches":          {testbed.GitCut(60)},
		"before the answer":            {nil, testbed.GitCut(0)},
		"within the answer":            {nil, testbed.GitCut(20)},
		"busy":                         {nil, testbed.GitStatus(http.StatusServiceUnavailable, "later")},
		"too many":                     {testbed.GitStatus(http.StatusTooManyRequests, "slow down")},
		"an empty answer":              {nil, testbed.GitStatus(http.StatusOK, "")},
	} {
		t.Run(name, func(t *testing.T) {
			server, r := served(t)
			w := cloneOf(t, r, "main")
			c := change(t, w, "x: 1\n")
			server.Fault(faults...)
			err := w.Push(t.Context(), c.Hash, "topic", "")
			pushError(t, err, repo.PushUnavailable, "push topic at "+r.URL)
			if err := w.Push(t.Context(), c.Hash, "topic", ""); err != nil {
				t.Fatalf("the second try: %v", err)
			}
			if got := server.Branches(t, fleet)["topic"]; got != c.Hash {
				t.Errorf("the branch is at %q", got)
			}
		})
	}
}

func TestPushRefused(t *testing.T) {
	const login = "check username and password"
	for name, tt := range map[string]struct {
		fault testbed.GitFault
		kind  repo.PushKind
		says  string
	}{
		"wrong credentials": {testbed.GitStatus(401, "Invalid username or token."), repo.PushUnauthorized, "Invalid username or token."},
		"no right":          {testbed.GitStatus(403, "Permission to acme/fleet.git denied to bot."), repo.PushForbidden, "denied to bot"},
		"archived":          {testbed.GitStatus(403, "This repository was archived so it is read-only."), repo.PushArchived, "unarchive"},
		"gone":              {testbed.GitStatus(404, "Repository not found."), repo.PushNotFound, "Repository not found."},
		"elsewhere":         {testbed.GitStatus(410, "gone"), repo.PushNotFound, "410"},
		"escape codes":      {testbed.GitStatus(401, "red \x1b[31m\u202eand\r\nlines"), repo.PushUnauthorized, "red [31mand lines"},
		"secrets":           {testbed.GitStatus(403, "who is pass-of-the-bot at https://u:pw@h/?token=1"), repo.PushForbidden, "https://h/"},
		"endless":           {testbed.GitStatus(401, strings.Repeat("a ", 10_000)), repo.PushUnauthorized, login},
	} {
		for step, faults := range map[string][]testbed.GitFault{"asked": {tt.fault}, "sent": {nil, tt.fault}} {
			t.Run(name+" when "+step, func(t *testing.T) {
				server, r := served(t)
				w := cloneOf(t, r, "main")
				c := change(t, w, "x: 1\n")
				server.Fault(faults...)
				err := w.Push(t.Context(), c.Hash, "topic", "")
				pushError(t, err, tt.kind, tt.says)
				if text := err.Error(); len(text) > 1200 || strings.ContainsAny(text, "\x1b\n\r\u202e") ||
					strings.Contains(text, server.Password) || strings.Contains(text, "token=") || strings.Contains(text, "u:pw") {
					t.Errorf("not fit to be shown: %q", text)
				}
			})
		}
	}
}

// A rule of the server: its words must arrive, and only those.
func TestPushDeclined(t *testing.T) {
	both(t, func(t *testing.T, server *testbed.Git, r *repo.Remote) {
		server.Hook(t, fleet, "pre-receive", `echo "error: GH006: Protected branch update failed" >&2
printf 'with \033[31mcolour and `+server.Password+` \n' >&2
i=0; while [ $i -lt 3000 ]; do echo "filler $i" >&2; i=$((i+1)); done
exit 1`)
		w := cloneOf(t, r, "main")
		c := change(t, w, "x: 1\n")
		err := w.Push(t.Context(), c.Hash, "topic", "")
		pushError(t, err, repo.PushProtected, "pre-receive hook declined", "GH006: Protected branch update failed", "allow the bot to push")
		if strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1200 {
			t.Errorf("not fit to be shown: %q", err)
		}
		if strings.HasPrefix(r.URL, "https") && strings.Contains(err.Error(), server.Password) {
			t.Errorf("the password is shown: %v", err)
		}
		if got := server.Branches(t, fleet); len(got) != 1 {
			t.Errorf("branches %v", got)
		}
	})
}

func TestPushDeclinedByRule(t *testing.T) {
	server, r := served(t)
	w := cloneOf(t, r, "main")
	c := change(t, w, "x: 1\n")
	server.Git(t, fleet, "config", "receive.denyDeletes", "true")
	if err := w.Push(t.Context(), c.Hash, "topic", ""); err != nil {
		t.Fatal(err)
	}
	pushError(t, w.Delete(t.Context(), "topic", c.Hash), repo.PushProtected, "deletion prohibited")
	server.Hook(t, fleet, "update", `case "$1" in refs/heads/free/*) exit 0;; esac; echo "GitLab: You are not allowed to push code to protected branches on this project." >&2; exit 1`)
	pushError(t, w.Push(t.Context(), c.Hash, "kept/x", ""), repo.PushProtected, "protected branches on this project")
	if err := w.Push(t.Context(), c.Hash, "free/x", ""); err != nil {
		t.Error(err)
	}
}

func TestPushWhereABranchIsInTheWay(t *testing.T) {
	server, r := served(t)
	server.Git(t, fleet, "branch", "remediate", "main")
	w := cloneOf(t, r, "main")
	c := change(t, w, "x: 1\n")
	err := w.Push(t.Context(), c.Hash, "remediate/prod/x", "")
	pushError(t, err, repo.PushProtected, "the branch remediate stands in the way")
}

func TestPushChecksItsArguments(t *testing.T) {
	_, r := served(t)
	w := cloneOf(t, r, "main")
	for _, err := range []error{
		w.Push(t.Context(), w.Head().Hash, "", ""),
		w.Push(t.Context(), w.Head().Hash, "a b", ""),
		w.Push(t.Context(), strings.Repeat("1", 40), "topic", ""),
		w.Delete(t.Context(), "topic", ""),
		w.Delete(t.Context(), "..", w.Head().Hash),
	} {
		if err == nil || repo.Transient(err) {
			t.Errorf("got %v", err)
		}
	}
}

func TestCredentials(t *testing.T) {
	server, _ := served(t)
	keys := server.SSH(t)
	https, ssh := server.CloneURL(fleet), keys.CloneURL(fleet)
	other := testbed.GitServer(t).SSH(t)
	with := func(secret map[string][]byte, key string, value []byte) map[string][]byte {
		out := map[string][]byte{}
		for k, v := range secret {
			out[k] = v
		}
		out[key] = value
		return out
	}
	for name, tt := range map[string]struct {
		url    string
		secret map[string][]byte
		kind   repo.PushKind
		says   string
	}{
		"wrong password":   {https, with(server.Secret(), "password", []byte("no")), repo.PushUnauthorized, "password"},
		"unknown CA":       {https, map[string][]byte{"username": []byte("a"), "password": []byte("b")}, repo.PushUntrusted, "ca.crt"},
		"wrong key":        {ssh, with(keys.Secret(), "identity", other.Identity), repo.PushUnauthorized, "the server takes none of the keys"},
		"another host key": {ssh, with(keys.Secret(), "known_hosts", replaceHost(other, keys)), repo.PushUntrusted, "known_hosts"},
		"an unknown host":  {ssh, with(keys.Secret(), "known_hosts", other.KnownHosts), repo.PushUntrusted, "known_hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := remoteAt(t, tt.url, tt.secret).Refs(t.Context())
			pushError(t, err, tt.kind, tt.says)
		})
	}
}

// replaceHost is the line for b with the key of a.
func replaceHost(a, b *testbed.GitSSH) []byte {
	_, key, _ := strings.Cut(string(a.KnownHosts), " ")
	host, _, _ := strings.Cut(string(b.KnownHosts), " ")
	return []byte(host + " " + key)
}

func TestWithoutCredentials(t *testing.T) {
	for url, says := range map[string]string{
		"https://bot:SECRET@127.0.0.1:1/a": "put username and password into the Secret",
		"ssh://git@127.0.0.1:1/a":          "no key identity",
		"ftp://127.0.0.1/a":                "is no way to reach a Git server",
		"git@host:a/b.git":                 "is not an address of a Git server",
		"/srv/git":                         "is not an address of a Git server",
	} {
		_, err := (&repo.Remote{URL: url}).Refs(t.Context())
		pushError(t, err, repo.PushUnauthorized, says)
		if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%v", err)
		}
	}
	_, err := (&repo.Remote{URL: "http://127.0.0.1:1/a"}).Refs(t.Context())
	pushError(t, err, repo.PushUnavailable)
}

func TestReadOnlyDeployKey(t *testing.T) {
	server, _ := served(t)
	keys := server.SSH(t)
	r := remoteAt(t, keys.CloneURL(fleet), keys.Secret())
	w := cloneOf(t, r, "main")
	c := change(t, w, "x: 1\n")
	keys.ReadOnly()
	pushError(t, w.Push(t.Context(), c.Hash, "topic", ""), repo.PushForbidden, "marked as read only", "right to write")
	keys.BlankLine()
	pushError(t, w.Push(t.Context(), c.Hash, "topic", ""), repo.PushForbidden, "refused the key", "right to write")
	_, err := remoteAt(t, keys.CloneURL("acme/gone"), keys.Secret()).Refs(t.Context())
	pushError(t, err, repo.PushNotFound)
}

func TestConcurrentPushes(t *testing.T) {
	server, r := served(t)
	const n = 6
	results := make(chan error, n)
	for i := range n {
		w := cloneOf(t, r, "main")
		c := change(t, w, strings.Repeat("x", i+1)+": 1\n")
		go func() { results <- w.Push(t.Context(), c.Hash, "topic", "") }()
	}
	var errs []error
	for range n {
		errs = append(errs, <-results)
	}
	won := len(slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err != nil }))
	for _, err := range errs {
		if err != nil && !errors.Is(err, repo.ErrMoved) {
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 || len(server.Branches(t, fleet)) != 2 {
		t.Errorf("%d pushes won: %v", won, errs)
	}
}
