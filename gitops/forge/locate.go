package forge

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// Place is a repository on a forge.
type Place struct {
	// Kind is github, gitlab or gitea; empty when the address does not tell: see
	// [Detect].
	Kind string
	// Host with port of the web address, API the base of its API with its version
	// and without a slash at the end: https://api.github.com, else
	// https://HOST/api/v3 (GitHub Enterprise Server), /api/v4 (GitLab), /api/v1
	// (Gitea and Forgejo); https://HOST while Kind is empty.
	Host, API string
	// Owner and Name; a GitLab owner may be a path of groups.
	Owner, Name string
}

// Kinds of a [Place].
const (
	GitHub = "github"
	GitLab = "gitlab"
	Gitea  = "gitea"
)

// String is HOST/OWNER/NAME.
func (p Place) String() string { return p.Host + "/" + p.Owner + "/" + p.Name }

// Locate reads the address of a repository as GitRepository.spec.url has it:
// https, http, ssh and git@host:path. Errors are of kind [Invalid], or
// [Unsupported] for a forge whose pull requests are not known here; they never
// repeat a user or password of the address. An address of SSH does not tell the
// port of the web server; the usual one is taken.
func Locate(address string) (Place, error) {
	u, err := parseAddress(address)
	if err != nil {
		return Place{}, &Error{Kind: Invalid, Op: "read the address of the repository", Err: err,
			Hint: "give url of the GitRepository as https://HOST/OWNER/NAME or ssh://git@HOST/OWNER/NAME"}
	}
	host := webHost(u)
	if name := unsupported(host, u.Path); name != "" {
		return Place{}, &Error{Kind: Unsupported, Op: "find the forge of " + host, Err: fmt.Errorf("pull requests on %s are not built", name),
			Hint: "push the branch without a pull request, or write a bundle for git am"}
	}
	p := Place{Kind: kindOfHost(host), Host: host}
	if p.Owner, p.Name, err = ownerAndName(u.Path, p.Kind); err != nil {
		return Place{}, &Error{Kind: Invalid, Op: "read the address of the repository on " + host, Err: err,
			Hint: "give url of the GitRepository with owner and name: https://HOST/OWNER/NAME"}
	}
	p.API = apiOf(p.Kind, host, scheme(u)+"://"+host)
	return p, nil
}

// maxAddress is the longest url that GitRepository takes, in bytes, and more.
const maxAddress = 2048

// parseAddress gives scheme, host and path, no more: user and password are gone.
func parseAddress(address string) (*url.URL, error) {
	address = strings.TrimSpace(address)
	if len(address) > maxAddress {
		return nil, fmt.Errorf("it is longer than %d bytes", maxAddress)
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return nil, fmt.Errorf("it holds characters that no address has")
	}
	if !strings.Contains(address, "://") {
		var ok bool
		if address, ok = fromSCP(address); !ok {
			return nil, fmt.Errorf("it is neither https, http, ssh nor git@HOST:OWNER/NAME")
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("it is no valid URL")
	}
	switch s := strings.ToLower(u.Scheme); s {
	case "https", "http", "ssh":
		u.Scheme = s
	default:
		return nil, fmt.Errorf("its scheme is neither https, http nor ssh")
	}
	if u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#") {
		return nil, fmt.Errorf("it has a query or a fragment")
	}
	if u.RawPath != "" || strings.Contains(u.EscapedPath(), "%") || !isHost(u.Hostname()) {
		return nil, fmt.Errorf("its host or path is none of a repository")
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: u.Path}, nil
}

var scp = regexp.MustCompile(`^(?:[^@/:\[\]]+@)?(\[[^\]/@]+\]|[^:/@\[\]]{2,}):([^:].*)$`)

// fromSCP rewrites git@host:path. A single letter before the colon is a drive.
func fromSCP(address string) (string, bool) {
	m := scp.FindStringSubmatch(address)
	if m == nil {
		return "", false
	}
	return "ssh://" + m[1] + "/" + strings.TrimPrefix(m[2], "/"), true
}

var hostName = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?\.?$`)

func isHost(host string) bool {
	return len(host) <= 253 && hostName.MatchString(host) && !strings.Contains(host, "..") ||
		net.ParseIP(host) != nil
}

func scheme(u *url.URL) string {
	if u.Scheme == "http" {
		return "http"
	}
	return "https"
}

// webHost is the host of the web server, with its port unless that is the usual one.
func webHost(u *url.URL) string {
	host, port := strings.TrimSuffix(u.Hostname(), "."), u.Port()
	switch host {
	case "ssh.github.com", "www.github.com":
		host = "github.com"
	case "altssh.gitlab.com", "www.gitlab.com":
		host = "gitlab.com"
	}
	usual := port == "" || u.Scheme == "ssh" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80"
	switch {
	case !usual:
		return net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// kindOfHost goes by the name: that of a public server, or a first label that
// says what the server is.
func kindOfHost(host string) string {
	host, _, _ = strings.Cut(host, ":")
	first, rest, _ := strings.Cut(host, ".")
	switch {
	case host == "github.com", strings.HasSuffix(host, ".ghe.com"):
		return GitHub
	case host == "gitlab.com":
		return GitLab
	case host == "codeberg.org", host == "gitea.com":
		return Gitea
	case rest == "":
		return ""
	}
	switch first {
	case "github":
		return GitHub
	case "gitlab":
		return GitLab
	case "gitea", "forgejo":
		return Gitea
	}
	return ""
}

// apiOf is the base of the API of a server whose web address is base.
func apiOf(kind, host, base string) string {
	switch {
	case kind == GitHub && host == "github.com":
		return "https://api.github.com"
	case kind == GitHub && strings.HasSuffix(host, ".ghe.com"):
		return "https://api." + host
	case kind == GitHub:
		return base + "/api/v3"
	case kind == GitLab:
		return base + "/api/v4"
	case kind == Gitea:
		return base + "/api/v1"
	}
	return base
}

// unsupported names a forge that is known and not built; empty otherwise.
func unsupported(host, path string) string {
	host, _, _ = strings.Cut(host, ":")
	below := func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
	switch {
	case below("dev.azure.com"), below("visualstudio.com"), strings.Contains(path, "/_git/"):
		return "Azure DevOps"
	case below("bitbucket.org"), strings.HasPrefix(host, "bitbucket."), strings.HasPrefix(path, "/scm/"):
		return "Bitbucket"
	case strings.HasPrefix(host, "git-codecommit") && strings.Contains(host, ".amazonaws.com"):
		return "AWS CodeCommit"
	case host == "source.developers.google.com":
		return "Google Cloud Source Repositories"
	}
	return ""
}

var segment = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)

// maxSegments: GitLab nests groups 20 deep, and a server may be mounted below a path.
const maxSegments = 24

func ownerAndName(path, kind string) (owner, name string, err error) {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if n := len(parts); n > 0 {
		parts[n-1] = strings.TrimSuffix(parts[n-1], ".git")
	}
	for _, part := range parts {
		if !segment.MatchString(part) || part == "." || part == ".." {
			return "", "", fmt.Errorf("its path holds a part that is no name")
		}
	}
	switch n := len(parts); {
	case n < 2:
		return "", "", fmt.Errorf("its path has no owner and name")
	case n > maxSegments:
		return "", "", fmt.Errorf("its path has more than %d parts", maxSegments)
	case n > 2 && kind == GitHub:
		return "", "", fmt.Errorf("its path has %d parts, GitHub knows owner and name", n)
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], "/"), parts[last], nil
}
