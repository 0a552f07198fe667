package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Remote is what a remote base holds.
type Remote struct {
	// Files are the repository's text files by path from its root, or the one
	// file.
	Files map[string][]byte
	// Path is the base itself: a directory, "." for the root, or a file.
	Path string
}

// Fetcher brings a remote base. The URL is as the kustomization writes it.
type Fetcher func(ctx context.Context, url string) (*Remote, error)

const (
	fetchTimeout   = 60 * time.Second
	maxRemoteFile  = defaultMaxFileBytes
	maxRemoteBytes = 64 << 20
	maxRemoteFiles = 20_000
	maxRedirects   = 5
)

// FetchRemote is the [Fetcher] for the network. A Git repository is fetched
// without history, over HTTPS or SSH, in process: no program is run and nothing
// is checked out. A single YAML or JSON file comes over HTTPS. One base takes at
// most a minute and holds at most 64 MiB, a file of it 4 MiB.
func FetchRemote(ctx context.Context, raw string) (*Remote, error) {
	return fetcher{}.fetch(ctx, raw)
}

// fetcher has the certificates to trust besides the system's, as PEM.
type fetcher struct{ ca []byte }

func (f fetcher) fetch(ctx context.Context, raw string) (*Remote, error) {
	spec, err := parseRemote(raw)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if spec.file {
		return f.get(ctx, spec)
	}
	r, err := f.clone(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("%s", withoutSecrets(err.Error()))
	}
	return r, nil
}

// remoteSpec is a remote base's address, taken apart as kustomize does
// (api/internal/git/repospec.go).
type remoteSpec struct {
	// clone is what to clone, or to get if file is set.
	clone string
	path  string
	ref   string
	file  bool
	// name tells host, repository and revision, without credentials.
	name string
}

var (
	scpHost   = regexp.MustCompile(`^([A-Za-z0-9._-]+@)?([A-Za-z0-9.-]+):([^/].*|/.*)$`)
	errScheme = errors.New("only https and ssh are fetched")
)

func parseRemote(raw string) (remoteSpec, error) {
	s, query, _ := strings.Cut(trimFold(raw, "git::"), "?")
	q, _ := url.ParseQuery(query)
	spec := remoteSpec{ref: firstOf(q.Get("ref"), q.Get("version"))}
	host, rest, err := spec.host(s)
	if err != nil {
		return spec, err
	}
	switch strings.ToLower(path.Ext(rest)) {
	case ".yaml", ".yml", ".json":
		if strings.HasPrefix(host, "https://") && spec.ref == "" && !strings.Contains(rest, "//") {
			u, err := url.Parse(host + rest)
			if err != nil {
				return spec, errors.New("it is no URL")
			}
			u.RawQuery = query
			spec.clone, spec.file, spec.path = u.String(), true, path.Base(rest)
			spec.name += "/" + path.Dir(rest)
			return spec, nil
		}
	}
	repo, dir := splitRepo(rest)
	dir = path.Clean(strings.Trim(dir, "/"))
	if repo == "" || dir == ".." || strings.HasPrefix(dir, "../") {
		return spec, errors.New("it names no directory of a repository: write https://HOST/ORG/REPO//PATH?ref=REF")
	}
	spec.clone, spec.path = host+repo, dir
	spec.name += "/" + strings.TrimSuffix(repo, ".git") + "@" + firstOf(spec.ref, "HEAD")
	return spec, nil
}

// host cuts off what comes before the path, with the separator, and starts the
// name.
func (spec *remoteSpec) host(s string) (host, rest string, err error) {
	for _, short := range []string{"github.com/", "gitlab.com/", "bitbucket.org/"} {
		if strings.HasPrefix(strings.ToLower(s), short) {
			spec.name = strings.TrimSuffix(short, "/")
			return "https://" + short, s[len(short):], nil
		}
	}
	scheme, after, ok := strings.Cut(s, "://")
	if !ok {
		m := scpHost.FindStringSubmatch(trimFold(s, "gh:"))
		switch {
		case len(s) > 3 && strings.EqualFold(s[:3], "gh:"):
			spec.name = "github.com"
			return "https://github.com/", s[3:], nil
		case m == nil:
			return "", "", fmt.Errorf("it is no address that can be fetched: %w", errScheme)
		}
		spec.name = m[2]
		return firstOf(m[1], "git@") + m[2] + ":", strings.TrimPrefix(m[3], "/"), nil
	}
	scheme = strings.ToLower(scheme)
	if scheme != "https" && scheme != "ssh" {
		return "", "", fmt.Errorf("%s:// is refused: %w", scheme, errScheme)
	}
	authority, rest, _ := strings.Cut(after, "/")
	user, name, has := cutLast(authority, "@")
	if strings.Contains(user, ":") || has && scheme == "https" && user != "" {
		return "", "", errors.New("an address with credentials in it is refused: clone the base yourself and keep a copy in the repository")
	}
	if name == "" || strings.HasPrefix(name, "-") {
		return "", "", errors.New("it names no host")
	}
	spec.name = strings.ReplaceAll(name, ":", "-")
	return scheme + "://" + authority + "/", rest, nil
}

// cutLast cuts at the last separator; what comes before it is empty without one.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

func trimFold(s, prefix string) string {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):]
	}
	return s
}

// splitRepo parts a path into the repository and a directory of it: at "_git/",
// "//" or ".git", else after two segments.
func splitRepo(rest string) (repo, dir string) {
	if i := strings.Index(rest, "_git/"); i >= 0 {
		name, dir, _ := strings.Cut(rest[i+len("_git/"):], "/")
		return rest[:i] + "_git/" + name, dir
	}
	if repo, dir, ok := strings.Cut(rest, "//"); ok {
		return repo, dir
	}
	if i := strings.Index(rest, ".git"); i >= 0 {
		return rest[:i+len(".git")], rest[i+len(".git"):]
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 2 || parts[1] == "" {
		return "", ""
	}
	return parts[0] + "/" + parts[1], strings.Join(parts[2:], "/")
}

func (f fetcher) client() (*http.Client, error) {
	c := &http.Client{CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" || len(via) > maxRedirects {
			return errScheme
		}
		return nil
	}}
	if f.ca == nil {
		return c, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(f.ca)
	c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	return c, nil
}

// get fetches one file.
func (f fetcher) get(ctx context.Context, spec remoteSpec) (*Remote, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, spec.clone, nil)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		// The text of the outer error holds the URL.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("fetch it: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch it: the server answers %s", resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxRemoteFile+1))
	if err != nil {
		return nil, fmt.Errorf("fetch it: %w", err)
	}
	if len(b) > maxRemoteFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxRemoteFile)
	}
	return &Remote{Files: map[string][]byte{spec.path: b}, Path: spec.path}, nil
}

const fetchedRef = plumbing.ReferenceName("refs/heads/base")

// clone fetches one commit into a folder that goes again, and reads its tree.
func (f fetcher) clone(ctx context.Context, spec remoteSpec) (*Remote, error) {
	tmp, err := os.MkdirTemp("", "remediate-base-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the base: %w", err)
	}
	defer os.RemoveAll(tmp)
	repo, err := git.PlainInit(tmp, true)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the base: %w", err)
	}
	remote, err := repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{spec.clone}})
	if err != nil {
		return nil, fmt.Errorf("fetch it: %w", err)
	}
	from, err := f.resolve(ctx, remote, spec.ref)
	if err != nil {
		return nil, err
	}
	err = remote.FetchContext(ctx, &git.FetchOptions{
		RefSpecs: []config.RefSpec{config.RefSpec(from + ":" + fetchedRef.String())},
		Depth:    1, Tags: git.NoTags, CABundle: f.ca,
	})
	if err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		return nil, fmt.Errorf("fetch it: %w", err)
	}
	files, err := treeFiles(repo)
	if err != nil {
		return nil, err
	}
	return &Remote{Files: files, Path: spec.path}, nil
}

// resolve finds the branch, the tag or the commit that ref names; none is HEAD.
func (f fetcher) resolve(ctx context.Context, remote *git.Remote, ref string) (string, error) {
	refs, err := remote.ListContext(ctx, &git.ListOptions{CABundle: f.ca})
	if err != nil {
		return "", fmt.Errorf("fetch it: %w", err)
	}
	wanted := []string{ref, "refs/heads/" + ref, "refs/tags/" + ref}
	if ref == "" {
		wanted = []string{"HEAD"}
	}
	for _, want := range wanted {
		for _, r := range refs {
			if r.Name().String() == want {
				return want, nil
			}
		}
	}
	if plumbing.IsHash(ref) {
		return ref, nil
	}
	return "", fmt.Errorf("it has no branch, tag or commit %q (a commit is named by all of its digits)", ref)
}

// treeFiles reads the regular files of the commit that was fetched.
func treeFiles(repo *git.Repository) (map[string][]byte, error) {
	hash, err := repo.ResolveRevision(plumbing.Revision(fetchedRef))
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	commit, err := repo.CommitObject(*hash)
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	tree, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	files, total := map[string][]byte{}, int64(0)
	err = tree.Files().ForEach(func(f *object.File) error {
		if f.Mode != filemode.Regular && f.Mode != filemode.Executable && f.Mode != filemode.Deprecated || f.Size > maxRemoteFile || !isText(f.Name) {
			return nil
		}
		if total += f.Size; total > maxRemoteBytes || len(files) >= maxRemoteFiles {
			return fmt.Errorf("%w: its text files are more than %d bytes or %d files", ErrTooLarge, maxRemoteBytes, maxRemoteFiles)
		}
		s, err := f.Contents()
		if p, inside := join(".", f.Name); inside {
			files[p] = []byte(s)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	return files, nil
}

// isText tells by the name what a kustomization can read.
func isText(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case "", ".yaml", ".yml", ".json", ".env", ".properties", ".conf", ".toml", ".ini", ".txt", ".cfg":
		return true
	}
	return false
}

// urlParts finds the userinfo and the query of an address inside a sentence.
var urlParts = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/"']*@)?([^\s?#"']*)(?:[?#][^\s"']*)?`)

func withoutSecrets(s string) string { return urlParts.ReplaceAllString(s, "$1$2") }

// shownRemote is a remote base's address without credentials: of the query only
// the revision stays.
func shownRemote(raw string) string {
	s, query, _ := strings.Cut(raw, "?")
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		authority, p, slash := strings.Cut(rest, "/")
		if user, name, has := cutLast(authority, "@"); has && user != "git" {
			authority = "xxxxx@" + name
		}
		if s = scheme + "://" + authority; slash {
			s += "/" + p
		}
	} else if user, rest, has := cutLast(s, "@"); has && user != "git" {
		s = "xxxxx@" + rest
	}
	q, _ := url.ParseQuery(query)
	if ref := firstOf(q.Get("ref"), q.Get("version")); ref != "" {
		s += "?ref=" + ref
	}
	return s
}
