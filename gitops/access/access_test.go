package access_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/remediate-dev/remediate/gitops/access"
)

const (
	httpsURL = "https://git.example.com/home/cluster.git"
	sshURL   = "ssh://git@git.example.com/home/cluster.git"
)

type data = map[string][]byte

// secret makes data of pairs of key and value.
func secret(pairs ...string) data {
	out := data{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = []byte(pairs[i+1])
	}
	return out
}

// identity is a new SSH key, encrypted when there is a passphrase.
func identity(t *testing.T, passphrase string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

const knownHosts = "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"

func TestGitAndToken(t *testing.T) {
	key := identity(t, "")
	locked := identity(t, "opensesame")
	tests := []struct {
		name        string
		opts        access.Options
		transport   string
		user, pass  string
		bearer      string
		sshIdentity bool
		token       string
	}{
		{name: "anonymous", opts: access.Options{URL: httpsURL}, transport: "https"},
		{name: "basic auth", opts: access.Options{URL: httpsURL, Git: secret("username", "bot", "password", "t0ken")}, transport: "https", user: "bot", pass: "t0ken", token: "t0ken"},
		{name: "token as user", opts: access.Options{URL: httpsURL, Git: secret("username", "t0ken", "password", "x-oauth-basic")}, transport: "https", user: "t0ken", pass: "x-oauth-basic", token: "t0ken"},
		{name: "bearer token", opts: access.Options{URL: httpsURL, Git: secret("bearerToken", "b34rer")}, transport: "https", bearer: "b34rer", token: "b34rer"},
		{name: "bearer wins over basic, as in Flux", opts: access.Options{URL: httpsURL, Git: secret("bearerToken", "b34rer", "username", "bot", "password", "t0ken")}, transport: "https", bearer: "b34rer", token: "b34rer"},
		{name: "ssh", opts: access.Options{URL: sshURL, Git: secret("identity", key, "known_hosts", knownHosts)}, transport: "ssh", user: "git", sshIdentity: true},
		{name: "ssh, short form, user of its own", opts: access.Options{URL: "bot@git.example.com:home/cluster.git", Git: secret("identity", key, "known_hosts", knownHosts)}, transport: "ssh", user: "bot", sshIdentity: true},
		{name: "the passphrase of a key is no token", opts: access.Options{URL: sshURL, Git: secret("identity", locked, "known_hosts", knownHosts, "password", "opensesame")}, transport: "ssh", user: "git", pass: "opensesame", sshIdentity: true},
		{name: "ssh and a token for the forge", opts: access.Options{URL: sshURL, Git: secret("identity", key, "known_hosts", knownHosts), Forge: secret("token", "api")}, transport: "ssh", user: "git", sshIdentity: true, token: "api"},
		{name: "forge's own Secret wins", opts: access.Options{URL: httpsURL, Git: secret("username", "bot", "password", "t0ken"), Forge: secret("bearerToken", "api")}, transport: "https", user: "bot", pass: "t0ken", token: "api"},
		{name: "forge's password is the token", opts: access.Options{URL: httpsURL, Forge: secret("username", "bot", "password", "api")}, transport: "https", token: "api"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := access.New(tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			g, err := a.Git(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if string(g.Transport) != tt.transport || g.Username != tt.user || g.Password != tt.pass || g.BearerToken != tt.bearer {
				t.Errorf("Git: %s user %q password %q bearer %q", g.Transport, g.Username, g.Password, g.BearerToken)
			}
			if (len(g.Identity) > 0 && len(g.KnownHosts) > 0) != tt.sshIdentity {
				t.Errorf("identity and known_hosts: %t, want %t", !tt.sshIdentity, tt.sshIdentity)
			}
			token, err := a.Token(context.Background())
			if err != nil || token != tt.token {
				t.Errorf("Token: %q, %v, want %q", token, err, tt.token)
			}
			if slug, ok, err := a.App(context.Background()); ok || err != nil || slug != "" {
				t.Errorf("App: %q, %t, %v without an App", slug, ok, err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	key := identity(t, "")
	tests := []struct {
		name string
		opts access.Options
		// want stands in the error, hint in its hint.
		want, hint string
	}{
		{"no address", access.Options{}, "address", "--git-url"},
		{"no URL", access.Options{URL: "https://bot:s3cr3t@"}, "no URL", "https://HOST"},
		{"password in the URL", access.Options{URL: "https://bot:s3cr3t@git.example.com/a/b"}, "git.example.com has a user or a password", "username and password"},
		{"token as user in the URL", access.Options{URL: "https://s3cr3t@git.example.com/a/b"}, "git.example.com has a user", ""},
		{"password in an ssh URL", access.Options{URL: "ssh://git:s3cr3t@git.example.com/a/b"}, "has a password in it", ""},
		{"other scheme", access.Options{URL: "file:///srv/s3cr3t"}, "no URL", ""},
		{"other scheme with a host", access.Options{URL: "git://git.example.com/a"}, `scheme "git"`, ""},
		{"plain http with a password", access.Options{URL: "http://git.example.com/a/b", Git: secret("username", "bot", "password", "s3cr3t")}, "key password would be sent to git.example.com over plain http", "https"},
		{"plain http with a token for the forge", access.Options{URL: "http://git.example.com/a/b", Forge: secret("token", "s3cr3t")}, "key token would be sent", ""},
		{"plain http to this machine", access.Options{URL: "http://127.0.0.1:3000/a/b", Git: secret("bearerToken", "s3cr3t")}, "key bearerToken would be sent", ""},
		{"password without user", access.Options{URL: httpsURL, Git: secret("password", "s3cr3t")}, "username is not", "any name"},
		{"user without password", access.Options{URL: httpsURL, Git: secret("username", "bot")}, "password is not", "token"},
		{"nothing in it", access.Options{URL: httpsURL, Git: data{}}, "none at all", "githubAppID"},
		{"other keys", access.Options{URL: httpsURL, Git: secret("pass", "s3cr3t")}, `it has "pass"`, "username and password"},
		{"ssh without a Secret", access.Options{URL: sshURL}, "no Secret with a key for git.example.com", "--git-secret"},
		{"ssh with https credentials", access.Options{URL: sshURL, Git: secret("username", "bot", "password", "s3cr3t")}, "no key identity", "--git-url"},
		{"https with an SSH key", access.Options{URL: httpsURL, Git: secret("identity", key, "known_hosts", knownHosts)}, "address of the repository is https", "--git-url ssh://"},
		{"ssh without known_hosts", access.Options{URL: sshURL, Git: secret("identity", key)}, "key known_hosts is missing", "ssh-keyscan"},
		{"ssh key that is none", access.Options{URL: sshURL, Git: secret("identity", "s3cr3t", "known_hosts", knownHosts)}, "key identity is no private SSH key", "PEM"},
		{"locked ssh key", access.Options{URL: sshURL, Git: secret("identity", identity(t, "s3cr3t"), "known_hosts", knownHosts)}, "password is missing", "passphrase"},
		{"line break after a token", access.Options{URL: httpsURL, Git: secret("username", "bot", "password", "s3cr3t\n")}, "key password ends in a line break", "printf"},
		{"lines in a token", access.Options{URL: httpsURL, Forge: secret("token", "s3cr3t\r\nX-Evil: 1")}, "key token holds control characters", ""},
		{"NUL in a token", access.Options{URL: httpsURL, Git: secret("bearerToken", "s3cr3t\x00")}, "key bearerToken holds control characters", ""},
		{"huge token", access.Options{URL: httpsURL, Git: secret("bearerToken", strings.Repeat("s3cr3t", 5000))}, "key bearerToken has 30000 bytes", ""},
		{"huge Secret", access.Options{URL: httpsURL, Git: secret("username", "bot", "password", "p", "blob", strings.Repeat("s3cr3t", 200_000))}, "1200004 bytes", ""},
		{"no CA", access.Options{URL: httpsURL, Git: secret("ca.crt", "s3cr3t")}, "key ca.crt holds no certificate", "PEM"},
		{"certificate without its key", access.Options{URL: httpsURL, Git: secret("tls.crt", "s3cr3t")}, "keys tls.crt and tls.key", ""},
		{"two tokens for the forge", access.Options{URL: httpsURL, Forge: secret("token", "s3cr3t", "bearerToken", "s3cr3t2")}, "token and bearerToken contradict", ""},
		{"SSH key for the forge", access.Options{URL: httpsURL, Forge: secret("identity", key)}, "no forge's API takes", "key token"},
		{"nothing for the forge", access.Options{URL: httpsURL, Forge: secret("tokem", "s3cr3t")}, `it has "tokem"`, "token, bearerToken"},
		{"proxy without address", access.Options{URL: httpsURL, Proxy: secret("username", "u")}, "key address", "http://HOST:PORT"},
		{"proxy of another kind", access.Options{URL: httpsURL, Proxy: secret("address", "ftp://u:s3cr3t@proxy:1")}, "key address", ""},
		{"proxy that is no URL", access.Options{URL: httpsURL, Proxy: secret("address", "http://u:s3cr3t@pro xy:1")}, "key address", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := access.New(tt.opts)
			if err == nil {
				t.Fatalf("taken: %v", a.Proxy())
			}
			hint := hintOf(err)
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(hint, tt.hint) {
				t.Errorf("error %q, hint %q; want %q and %q", err, hint, tt.want, tt.hint)
			}
			if strings.Contains(err.Error()+hint, "s3cr3t") {
				t.Errorf("the error shows the secret: %q, %q", err, hint)
			}
		})
	}
}

func hintOf(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok {
		return h.Hint()
	}
	return ""
}

func TestNoTokenSaysWhy(t *testing.T) {
	key := identity(t, "")
	tests := []struct {
		name string
		opts access.Options
		want string
	}{
		{"an SSH key", access.Options{URL: sshURL, Git: secret("identity", key, "known_hosts", knownHosts)}, "the Secret holds an SSH key, which the API of git.example.com does not take"},
		{"nothing", access.Options{URL: httpsURL}, "there are no credentials for the API of git.example.com"},
		{"a CA", access.Options{URL: httpsURL, Git: secret("ca.crt", string(certificate(t).pem))}, "holds nothing that the API of git.example.com takes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := access.New(tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			why := a.NoToken()
			if !strings.Contains(why.Error(), tt.want) || !strings.Contains(hintOf(why), "--forge-secret") {
				t.Errorf("%q, hint %q", why, hintOf(why))
			}
		})
	}
}

func TestProxyForGit(t *testing.T) {
	a, err := access.New(access.Options{URL: httpsURL, Proxy: secret("address", "http://proxy.example.com:3128", "username", "u", "password", "p4ss")})
	if err != nil {
		t.Fatal(err)
	}
	if p := a.Proxy(); p.URL != "http://proxy.example.com:3128" || p.Username != "u" || p.Password != "p4ss" {
		t.Errorf("%+v", p)
	}
	if a, _ = access.New(access.Options{URL: httpsURL}); a.Proxy().URL != "" {
		t.Errorf("a proxy without a Secret: %+v", a.Proxy())
	}
}

// The Secret's data may be changed by its owner afterwards.
func TestKeepsItsOwnCopy(t *testing.T) {
	s := secret("username", "bot", "password", "t0ken")
	a, err := access.New(access.Options{URL: httpsURL, Git: s})
	if err != nil {
		t.Fatal(err)
	}
	delete(s, "password")
	if g, err := a.Git(context.Background()); err != nil || g.Password != "t0ken" {
		t.Errorf("%+v, %v", g, err)
	}
}

// Whatever stands in a Secret: an answer or an error that does not show it.
func FuzzNew(f *testing.F) {
	f.Add(httpsURL, "username", "bot", "password", "h0stile-value")
	f.Add(sshURL, "identity", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "known_hosts", "x")
	f.Add("git@h:a/b", "githubAppID", "1", "githubAppPrivateKey", "-----BEGIN RSA PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, url, k1, v1, k2, v2 string) {
		const marker = "f1nd-m3-anywhere"
		a, err := access.New(access.Options{URL: url, Git: secret(k1, v1, k2, v2, "password", marker), Proxy: nil})
		if err != nil {
			if strings.Contains(err.Error(), marker) {
				t.Errorf("shown: %q", err)
			}
			return
		}
		if strings.Contains(a.Redact("x "+marker), marker) && k1 != "password" && k2 != "password" {
			t.Error("not masked")
		}
	})
}
