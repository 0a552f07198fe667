package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/forge/dial"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
)

// target is where the change goes.
type target struct {
	url, base string
	place     forge.Place
	access    *access.Access
	// forge is nil when branches are only pushed.
	forge forge.Forge
}

// target finds the repository and its forge, and the credentials for both.
func (d *delivery) target(ctx context.Context, res *remediate.Result) (*target, error) {
	t := &target{base: d.flags.pr.baseBranch}
	origin := res.Origin()
	if t.base == "" {
		t.base = origin.Branch
	}
	var err error
	if t.url, err = d.address(origin.URL, origin.Source); err != nil {
		return nil, err
	}
	if d.flags.pr.pushOnly {
		// A server without a forge need not have owners and names.
		if t.place, err = forge.Locate(t.url); err != nil {
			t.place = forge.Place{}
		}
		return t, d.authenticate(ctx, t)
	}
	if t.place, err = d.place(ctx, t.url); err != nil {
		return nil, err
	}
	if err := d.authenticate(ctx, t); err != nil {
		return nil, err
	}
	t.forge, err = dial.New(t.place, t.access)
	return t, err
}

// address chooses the repository's address: the flag's, what its manifests
// state, the checkout's remote. The manifests' is taken only on a host that the
// checkout is known to come from: whoever may propose a change of the repository
// could otherwise send credentials anywhere.
func (d *delivery) address(stated, at string) (string, error) {
	if d.flags.pr.gitURL != "" {
		return d.flags.pr.gitURL, nil
	}
	remote := d.remote()
	switch {
	case stated == "" && remote == "":
		return "", hinted("it is not known where to push: the repository states no GitRepository, and the checkout has no remote", "give the address: --git-url URL")
	case stated == "":
		return remote, nil
	case hostOf(stated) == "":
		return "", hinted(report.Line(at)+" names a repository with an address that cannot be read", "give the address: --git-url URL")
	case hostOf(stated) != hostOf(remote):
		return "", hinted(fmt.Sprintf("%s names %s as the repository, and the checkout has no remote on that server: nothing is sent there", report.Line(at), shown(stated)),
			"if it is the right one, give it: --git-url "+shown(stated))
	}
	return stated, nil
}

// shown is an address fit for a terminal; the user of SSH, usually git, stays.
func shown(address string) string {
	user := ""
	if u, err := url.Parse(address); err == nil && u.Scheme == "ssh" {
		user = report.Line(u.User.Username())
	}
	return strings.Replace(report.Line(repo.Redact(address)), "[redacted]@", user+"@", 1)
}

// remote is where the checkout was cloned from.
func (d *delivery) remote() string {
	dir := d.flags.opts.Repo
	if repo.IsURL(dir) {
		return dir
	}
	if dir == "" {
		dir = "."
	}
	rp, err := repo.Open(dir)
	if err != nil {
		return ""
	}
	return rp.Origin()
}

// scpLike is [USER@]HOST:PATH, Git's short form of an SSH address.
var scpLike = regexp.MustCompile(`^(?:[^@/:]+@)?([A-Za-z0-9.-]{2,}):[^:]`)

// hostOf is the name of the server in a repository's address, that of the web
// server where SSH has one of its own; empty when there is none.
func hostOf(address string) string {
	var host string
	if m := scpLike.FindStringSubmatch(address); m != nil && !strings.Contains(address, "://") {
		host = m[1]
	} else if u, err := url.Parse(address); err == nil {
		host = u.Hostname()
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	switch host {
	case "ssh.github.com":
		return "github.com"
	case "altssh.gitlab.com":
		return "gitlab.com"
	}
	return host
}

// place finds the forge: by the address, by the flags, by asking the server.
func (d *delivery) place(ctx context.Context, address string) (forge.Place, error) {
	where := dial.Where{Address: address, Kind: d.flags.pr.forge, URL: d.flags.pr.forgeURL}
	p, err := where.Place(ctx, func(p forge.Place) (*http.Client, error) {
		client, err := d.stranger(p)
		if err != nil {
			return nil, err
		}
		return client.HTTP(), nil
	})
	switch {
	case errors.Is(err, dial.ErrAddress):
		return p, fmt.Errorf("--forge-url is %w", err)
	case forge.Is(err, forge.Unavailable) && !strings.HasPrefix(address, "http") && d.flags.pr.forgeURL == "":
		return p, hinted(err.Error(), "the address is SSH's: if the forge's web server has another name or port, give it: --forge-url https://HOST:PORT")
	}
	return p, err
}

// stranger reaches the server without credentials, but with the CAs and the proxy.
func (d *delivery) stranger(p forge.Place) (*access.Access, error) {
	return access.New(access.Options{URL: "https://" + p.Host + "/", Git: dial.Trust(d.git, d.forge), Proxy: d.proxy, UserAgent: userAgent()})
}

func userAgent() string { return "remediate/" + version }

// authenticate finds the credentials: the Secrets that flags name, and the
// environment's token for what these do not reach.
func (d *delivery) authenticate(ctx context.Context, t *target) error {
	name, token := d.fromEnvironment(t)
	opts := access.Options{URL: t.url, Git: d.git, Forge: d.forge, Proxy: d.proxy, UserAgent: userAgent()}
	if token != "" && !authenticates(d.git) {
		if !strings.HasPrefix(t.url, "http") {
			t.url = "https://" + t.place.String() + ".git"
		}
		opts.URL = t.url
		opts.Git = map[string][]byte{"username": []byte("x-access-token"), "password": []byte(token)}
		maps.Copy(opts.Git, d.git)
		d.variable = name
		d.progress("%s authenticates at %s", name, t.place.Host)
	}
	var err error
	if t.access, err = access.New(opts); err != nil {
		return err
	}
	d.redact = t.access.Redact
	if d.flags.pr.pushOnly {
		return nil
	}
	if have, err := t.access.Token(ctx); err != nil || have != "" {
		return err
	}
	if token == "" {
		return d.noToken(t)
	}
	d.variable = name
	opts.Forge = map[string][]byte{"token": []byte(token)}
	if t.access, err = access.New(opts); err != nil {
		return err
	}
	d.redact = t.access.Redact
	d.progress("%s authenticates at %s", name, t.place.Host)
	return nil
}

// noToken also names the variable that would serve.
func (d *delivery) noToken(t *target) error {
	err := t.access.NoToken()
	hint := hintFor(err)
	if names := tokenVariables(t.place.Kind); len(names) > 0 {
		hint += ", or set " + names[0]
	}
	return hinted(err.Error(), hint)
}

// authenticates: the Secret holds more than whom to trust.
func authenticates(git map[string][]byte) bool {
	for _, k := range []string{"username", "password", "bearerToken", "identity", "githubAppID"} {
		if len(git[k]) > 0 {
			return true
		}
	}
	return false
}

// publicHosts are the servers that the environment's tokens are usually of.
var publicHosts = map[string][]string{forge.GitHub: {"github.com"}, forge.GitLab: {"gitlab.com"}, forge.Gitea: {"codeberg.org", "gitea.com"}}

// fromEnvironment is the environment's token for the target. It is only sent to
// a host of that kind that the user named, by a flag or as the checkout's remote,
// or that is the public one.
func (d *delivery) fromEnvironment(t *target) (name, token string) {
	name, token = environmentToken(t.place.Kind)
	if d.flags.pr.forge != "" && t.place.Kind == "" {
		name, token = environmentToken(d.flags.pr.forge)
	}
	named := []string{hostOf(d.flags.pr.gitURL), hostOf(d.remote())}
	if d.flags.pr.forgeURL != "" {
		named = append(named, hostOf(d.flags.pr.forgeURL))
	}
	host := hostOf("https://" + t.place.Host)
	if host == "" || !slices.Contains(append(named, publicHosts[t.place.Kind]...), host) {
		return "", ""
	}
	return name, token
}

func hinted(text, hint string) error { return &maskedError{text: text, hint: hint} }
