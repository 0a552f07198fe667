package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	// remotePrefix starts the paths under which the files of remote bases take
	// part in a build, as in "remote:github.com/org/repo@v1/base/release.yaml".
	remotePrefix = "remote:"
	// maxRemotes bounds how many bases are fetched, maxRemoteRounds how deep one
	// names another.
	maxRemotes      = 32
	maxRemoteRounds = 4
)

func isRemotePath(p string) bool { return strings.HasPrefix(p, remotePrefix) }

// mount is a remote base that was fetched, or why it was not.
type mount struct {
	root, path string
	err        error
}

// lookThrough finds the releases. Where remote bases are allowed, those that
// matter are fetched and the tree is looked through again with their files:
// those that apply the releases found, or all when none was found.
func lookThrough(ctx context.Context, t *tree, ix *index, opts Options) (*search, []*Release, error) {
	s := newSearch(t, ix, opts)
	rs, err := s.releases(ctx)
	for range maxRemoteRounds {
		if !opts.AllowRemoteBases || ctx.Err() != nil {
			break
		}
		want := s.remotes(rs)
		if len(want) == 0 {
			break
		}
		files := s.t.fetch(ctx, want, opts.Fetch)
		t = s.t.with(files)
		s = newSearch(t, s.ix.with(t, files), opts)
		rs, err = s.releases(ctx)
	}
	return s, rs, err
}

// remotes lists the addresses of remote bases that were not asked for yet, in
// order of directory.
func (s *search) remotes(rs []*Release) []string {
	dirs := map[string]bool{}
	for _, r := range rs {
		for _, k := range r.at.eff.lineage() {
			for _, u := range s.g.closure(k.path, k.extra...) {
				dirs[u.dir] = true
			}
		}
	}
	var out []string
	seen := map[string]bool{}
	all := s.g.known()
	if len(rs) == 0 {
		all = s.g.kustomized()
	}
	for _, dir := range all {
		if len(rs) > 0 && !dirs[dir] {
			continue
		}
		for _, e := range s.g.unit(dir).entries {
			if _, asked := s.t.remotes[e.raw]; e.remote && !asked && !seen[e.raw] && len(s.t.remotes)+len(out) < maxRemotes {
				seen[e.raw] = true
				out = append(out, e.raw)
			}
		}
	}
	return out
}

// fetch notes what each address gives and returns the files to lay over the
// tree.
func (t *tree) fetch(ctx context.Context, want []string, get Fetcher) map[string][]byte {
	if get == nil {
		get = FetchRemote
	}
	remotes := make(map[string]mount, len(t.remotes)+len(want))
	for raw, m := range t.remotes {
		remotes[raw] = m
	}
	files := map[string][]byte{}
	for _, raw := range want {
		m := mount{}
		spec, err := parseRemote(raw)
		var r *Remote
		if err == nil {
			r, err = get(ctx, raw)
		}
		if err != nil {
			remotes[raw] = mount{err: errors.New(withoutSecrets(err.Error()))}
			continue
		}
		m.root = remotePrefix + path.Clean(spec.name)
		if spec.file && strings.Contains(raw, "?") {
			sum := sha256.Sum256([]byte(raw))
			m.root += "@" + hex.EncodeToString(sum[:4])
		}
		m.path = path.Join(m.root, r.Path)
		for f, b := range r.Files {
			if p, inside := join(m.root, f); inside && within(p, m.root) {
				files[p] = b
			}
		}
		remotes[raw] = m
	}
	t.remotes = remotes
	return files
}

func within(p, dir string) bool {
	return dir == "." || p == dir || strings.HasPrefix(p, dir+"/")
}

// remoteRoot is the root of the remote base that a path lies in, or "".
func (t *tree) remoteRoot(p string) string {
	if !isRemotePath(p) {
		return ""
	}
	for _, m := range t.remotes {
		if m.root != "" && within(p, m.root) {
			return m.root
		}
	}
	return remotePrefix
}

// join resolves a path that a file in dir names, inside the repository or the
// remote base that dir belongs to.
func (g *graph) join(dir, rel string) (string, bool) {
	p, inside := join(dir, rel)
	if root := g.t.remoteRoot(dir); root != "" {
		return p, inside && within(p, root)
	}
	return p, inside && !isRemotePath(p)
}

// remoteEntry fills in where a remote base lies once it was fetched.
func (g *graph) remoteEntry(e *entry) {
	m, asked := g.t.remotes[e.raw]
	if !asked || m.err != nil {
		e.remote = true
		return
	}
	e.path, e.dir = m.path, !g.t.isFile(m.path)
}

// unread says that a remote base takes no part in a build, and what to do.
func (t *tree) unread(u *unit, e entry) string {
	said := fmt.Sprintf("%s:%d: the remote base %s is not read", u.kfile, e.line, shownRemote(e.raw))
	if m, asked := t.remotes[e.raw]; asked {
		return fmt.Sprintf("%s: %v", said, m.err)
	}
	return said + "; --allow-remote-bases fetches it"
}

// unreadRemotes says of all remote bases of the tree that they are not read.
func (s *search) unreadRemotes() []string {
	var out []string
	for _, dir := range s.g.kustomized() {
		out = append(out, s.t.unreadOf(s.g.unit(dir))...)
	}
	return out
}

// leftOut says for the error of a build which remote bases were not read.
func (b *builder) leftOut(k *flux) string {
	said := ""
	for _, u := range b.g.closure(k.path, k.extra...) {
		for _, s := range b.t.unreadOf(u) {
			said += "; " + s
		}
	}
	return said
}

// kustomized are all directories with a kustomization file, and those that were
// visited, sorted.
func (g *graph) kustomized() []string {
	dirs := g.known()
	for _, f := range g.t.yamls {
		if slices.Contains(kustomizationNames, path.Base(f)) {
			dirs = append(dirs, path.Dir(f))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// unreadIn is the same for what one Kustomization and its parents apply.
func (s *search) unreadIn(k *flux) []string {
	var out []string
	for _, p := range k.lineage() {
		for _, u := range s.g.closure(p.path, p.extra...) {
			out = append(out, s.t.unreadOf(u)...)
		}
	}
	return out
}

func (t *tree) unreadOf(u *unit) []string {
	var out []string
	for _, e := range u.entries {
		if e.remote {
			out = append(out, t.unread(u, e))
		}
	}
	return out
}

// notOurs says why a file is never edited although it was read, or "".
func (t *tree) notOurs(file string) string {
	if isRemotePath(file) {
		return fmt.Sprintf("it stands in a remote base (%s), which belongs to another repository: set the value in spec.values, or by a patch, in this one", file)
	}
	if sub := t.submoduleOf(file); sub != "" {
		return fmt.Sprintf("it lies in the submodule %s, which is another repository: change it there, or set the value in this one", sub)
	}
	return ""
}
