package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/forge"
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
	t.forge, err = newForge(t.place, t.access)
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
	p, err := forge.Locate(address)
	if err != nil {
		return p, err
	}
	if kind := d.flags.pr.forge; kind != "" && kind != p.Kind {
		p.Kind = ""
		p.API = "https://" + p.Host
	}
	if d.flags.pr.forgeURL != "" {
		if p, err = d.elsewhere(p); err != nil {
			return p, err
		}
	}
	if p.Kind == "" && d.flags.pr.forge != "" {
		return withKind(p, d.flags.pr.forge), nil
	}
	if p.Kind != "" {
		return p, nil
	}
	client, err := d.stranger(p)
	if err != nil {
		return p, err
	}
	found, err := forge.Detect(ctx, client.HTTP(), p)
	if forge.Is(err, forge.Unavailable) && !strings.HasPrefix(address, "http") && d.flags.pr.forgeURL == "" {
		return found, hinted(err.Error(), "the address is SSH's: if the forge's web server has another name or port, give it: --forge-url https://HOST:PORT")
	}
	return found, err
}

// apiPaths lead from a server's web address to its API.
var apiPaths = map[string]string{forge.GitHub: "/api/v3", forge.GitLab: "/api/v4", forge.Gitea: "/api/v1"}

// withKind completes the API of a server that the user says the kind of.
func withKind(p forge.Place, kind string) forge.Place {
	p.Kind = kind
	if !strings.HasSuffix(p.API, apiPaths[kind]) && p.API != "https://api.github.com" {
		p.API += apiPaths[kind]
	}
	return p
}

// elsewhere moves a place to --forge-url, which is a web address or an API's.
func (d *delivery) elsewhere(p forge.Place) (forge.Place, error) {
	u, err := url.Parse(d.flags.pr.forgeURL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return p, errors.New("--forge-url is no https address of a server: give it as https://HOST")
	}
	p.Host, p.API = u.Host, strings.TrimSuffix(u.Scheme+"://"+u.Host+u.EscapedPath(), "/")
	kind := p.Kind
	p.Kind = ""
	for k, path := range apiPaths {
		if strings.HasSuffix(p.API, path) {
			p.Kind = k
		}
	}
	switch {
	case p.API == "https://api.github.com", p.API == "https://github.com":
		p.Kind, p.Host, p.API = forge.GitHub, "github.com", "https://api.github.com"
	case p.Kind == "" && kind != "":
		p = withKind(p, kind)
	}
	return p, nil
}

// stranger reaches the server without credentials, but with the CAs and the proxy.
func (d *delivery) stranger(p forge.Place) (*access.Access, error) {
	trust := map[string][]byte{}
	for _, data := range []map[string][]byte{d.git, d.forge} {
		for _, k := range []string{"ca.crt", "caFile", "tls.crt", "tls.key"} {
			if len(data[k]) > 0 {
				trust[k] = data[k]
			}
		}
	}
	if len(trust) == 0 {
		trust = nil
	}
	return access.New(access.Options{URL: "https://" + p.Host + "/", Git: trust, Proxy: d.proxy, UserAgent: userAgent()})
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
