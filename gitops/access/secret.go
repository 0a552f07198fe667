package access

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/fluxcd/pkg/git"
	"github.com/fluxcd/pkg/runtime/secrets"
	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
)

const (
	// maxSecret is what Kubernetes takes (corev1.MaxSecretSize, 1 MiB), all keys together.
	maxSecret = corev1.MaxSecretSize
	// maxLine is for what goes into one header line; servers take 8 to 16 KiB.
	maxLine = 8 << 10
)

// oneLine are the keys whose values are one line of text.
var oneLine = []string{
	secrets.KeyUsername, secrets.KeyPassword, secrets.KeyToken, secrets.KeyBearerToken, secrets.KeyAddress,
	secrets.KeyGitHubAppID, secrets.KeyGitHubAppInstallationID, secrets.KeyGitHubAppInstallationOwner, secrets.KeyGitHubAppBaseURL,
}

// scpLike is [USER@]HOST:PATH, Git's short form of an SSH address.
var scpLike = regexp.MustCompile(`^(?:([A-Za-z0-9._-]+)@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):([^/].*|/[^/].*)$`)

// parseURL reads the address of a repository.
func parseURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, fail("the address of the repository is not known", "give it: --git-url URL")
	}
	if m := scpLike.FindStringSubmatch(raw); m != nil && !strings.Contains(raw, "://") {
		u := &url.URL{Scheme: string(git.SSH), Host: m[2], Path: "/" + strings.TrimPrefix(m[3], "/")}
		if m[1] != "" {
			u.User = url.User(m[1])
		}
		return u, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		// The parser's error quotes the address, which can hold a password.
		return nil, fail("the address of the repository is no URL", "give one as https://HOST/OWNER/NAME or ssh://git@HOST/OWNER/NAME")
	}
	switch git.TransportType(u.Scheme) {
	case git.HTTPS, git.HTTP:
		if u.User != nil {
			return nil, failf("put the user and the token into the Secret, as username and password", "the address of the repository on %s has a user or a password in it, which is refused", u.Hostname())
		}
	case git.SSH:
		if _, has := u.User.Password(); has {
			return nil, failf("put the passphrase of the key into the Secret, as password", "the address of the repository on %s has a password in it, which is refused", u.Hostname())
		}
	default:
		return nil, failf("give one as https://HOST/OWNER/NAME or ssh://git@HOST/OWNER/NAME", "the address of the repository has the scheme %q, which nothing is pushed to", u.Scheme)
	}
	return u, nil
}

// named are the Secrets with what a message calls them.
func (a *Access) named() []named {
	return []named{{"Secret for Git", a.opts.Git}, {"Secret for the forge", a.opts.Forge}, {"Secret for the proxy", a.opts.Proxy}}
}

type named struct {
	name string
	data map[string][]byte
}

func (n named) has(key string) bool { return len(n.data[key]) > 0 }

func (a *Access) checkValues() error {
	for _, n := range a.named() {
		total := 0
		for _, k := range slices.Sorted(maps.Keys(n.data)) {
			total += len(n.data[k])
			if err := checkLine(n, k); err != nil {
				return err
			}
		}
		if total > maxSecret {
			return failf("check that it is the right Secret", "%s has %d bytes, and Kubernetes takes at most %d", n.name, total, maxSecret)
		}
	}
	return nil
}

func checkLine(n named, key string) error {
	if !slices.Contains(oneLine, key) {
		return nil
	}
	v := string(n.data[key])
	switch {
	case len(v) > maxLine:
		return failf("check that the right text stands under that key", "%s: key %s has %d bytes; at most %d are sent", n.name, key, len(v), maxLine)
	case strings.TrimRight(v, "\r\n") != v && !hasControl(strings.TrimRight(v, "\r\n")):
		return failf("write it without: printf %s instead of echo", "%s: key %s ends in a line break, which would be sent with it", n.name, key)
	case hasControl(v):
		return failf("check that the right text stands under that key", "%s: key %s holds control characters or several lines", n.name, key)
	}
	return nil
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// expected are the ways to authenticate Git over each transport.
const (
	expectHTTPS = "username and password, bearerToken, or githubAppID with its kin"
	expectForge = "token, bearerToken, username and password, or githubAppID with its kin"
)

func (a *Access) checkGit() error {
	n := named{"Secret for Git", a.opts.Git}
	if a.url.Scheme == string(git.SSH) {
		return checkSSH(n, a.url.Hostname())
	}
	switch {
	case n.data == nil:
		return nil
	case n.has(secrets.KeyPassword) && !n.has(secrets.KeyUsername) && !n.has(secrets.KeyBearerToken) && !n.has(secrets.KeySSHPrivateKey):
		return failf("add username; with a token any name does, such as git", "%s: key password is there and username is not", n.name)
	case n.has(secrets.KeyUsername) && n.has(secrets.KeyPassword), n.has(secrets.KeyBearerToken), isApp(n.data):
		return nil
	case n.has(secrets.KeySSHPrivateKey):
		return failf("give the repository's SSH address (--git-url ssh://…), or a Secret with "+expectHTTPS, "%s holds an SSH key, and the address of the repository is %s", n.name, a.url.Scheme)
	case n.has(secrets.KeyUsername):
		return failf("add password, which is the token", "%s: key username is there and password is not", n.name)
	case n.has(secrets.KeyCACert), n.has(secrets.LegacyKeyCACert), n.has(secrets.KeyTLSCert), n.has(secrets.KeyTLSPrivateKey):
		return nil
	}
	return nothingThere(n, expectHTTPS)
}

func nothingThere(n named, expect string) error {
	return failf("it needs "+expect, "%s has no key that authenticates; it has %s", n.name, keyList(n.data))
}

// keyList names the keys, which are bounded by Kubernetes but not in a file.
func keyList(data map[string][]byte) string {
	keys := slices.Sorted(maps.Keys(data))
	if len(keys) == 0 {
		return "none at all"
	}
	var out []string
	for i, k := range keys {
		if i == 10 {
			out = append(out, fmt.Sprintf("%d more", len(keys)-i))
			break
		}
		out = append(out, fmt.Sprintf("%.60q", k))
	}
	return strings.Join(out, ", ")
}

func checkSSH(n named, host string) error {
	const hint = "give a Secret with identity and known_hosts (--git-secret), as flux create secret git makes it, or the https address (--git-url)"
	switch {
	case n.data == nil:
		return failf(hint, "the address of the repository is ssh, and there is no Secret with a key for %s", host)
	case !n.has(secrets.KeySSHPrivateKey):
		return failf(hint, "the address of the repository is ssh, and the %s has no key identity; it has %s", n.name, keyList(n.data))
	case !n.has(secrets.KeySSHKnownHosts):
		return failf("add the lines that ssh-keyscan prints, after comparing them with what the host publishes",
			"%s: key known_hosts is missing, and without it nobody knows whether it is %s that answers", n.name, host)
	}
	_, err := ssh.ParseRawPrivateKey(n.data[secrets.KeySSHPrivateKey])
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked) && !n.has(secrets.KeyPassword):
		return failf("add its passphrase as password", "%s: key identity is encrypted and password is missing", n.name)
	case err != nil && !errors.As(err, &locked):
		return failf("it must be a private key in PEM, as ssh-keygen writes it", "%s: key identity is no private SSH key", n.name)
	}
	return nil
}

func (a *Access) checkForge() error {
	n := named{"Secret for the forge", a.opts.Forge}
	if n.data == nil {
		return nil
	}
	var ways []string
	for _, k := range []string{secrets.KeyToken, secrets.KeyBearerToken, secrets.KeyPassword, secrets.KeyGitHubAppID} {
		if n.has(k) {
			ways = append(ways, k)
		}
	}
	switch {
	case len(ways) == 1:
		return nil
	case len(ways) > 1:
		return failf("keep the one that is meant", "%s: keys %s contradict each other", n.name, strings.Join(ways, " and "))
	case n.has(secrets.KeySSHPrivateKey):
		return failf("give a Secret with key token (--forge-secret)", "%s holds an SSH key, which no forge's API takes", n.name)
	}
	return nothingThere(n, expectForge)
}

// checkPlain refuses credentials on a connection that anybody can read.
func (a *Access) checkPlain() error {
	if a.url.Scheme != string(git.HTTP) {
		return nil
	}
	for _, n := range a.named()[:2] {
		for _, k := range []string{secrets.KeyPassword, secrets.KeyBearerToken, secrets.KeyToken, secrets.KeyGitHubAppPrivateKey} {
			if n.has(k) {
				return failf("use the https address (--git-url https://…)", "%s: key %s would be sent to %s over plain http, readable on the way", n.name, k, a.url.Hostname())
			}
		}
	}
	return nil
}
