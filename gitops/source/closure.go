package source

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// unit is one directory as kustomize sees it: its kustomization file and what
// that names, or, without one, the manifests below it, as Flux lists them.
type unit struct {
	dir   string
	kfile string     // "" when Flux generates the kustomization
	node  *yaml.Node // of kfile
	doc   int        // index of node's document in kfile
	// entries are the resources, bases and components, in order.
	entries []entry
	// reads are the other files that kfile names: patches, generator sources,
	// configurations.
	reads []string
	// remote are those of them that lie on the network.
	remote []remoteRead
	// problems keep the unit from being built.
	problems []error
}

// entry is one item of resources, bases or components.
type entry struct {
	field, raw string
	path       string // of a file or directory of the repository, else ""
	dir        bool
	remote     bool
	line       int
}

// graph memoises the units of a tree.
type graph struct {
	t      *tree
	units  map[string]*unit
	sets   map[string]map[string]bool
	kfiles map[string]string
	// seed are directories known from an earlier look at the tree.
	seed []string
	// found are manifests that were looked for, by kind, namespace and name.
	found map[string][]document
}

func newGraph(t *tree) *graph {
	return &graph{t: t, units: map[string]*unit{}, sets: map[string]map[string]bool{}, kfiles: map[string]string{}, found: map[string][]document{}}
}

// with is the graph of a tree in which the given files have changed. What does
// not depend on them is taken over: a unit on its kustomization file and on
// which names there are.
func (g *graph) with(t *tree, files map[string][]byte) *graph {
	next := newGraph(t)
	next.seed = g.known()
	for f, b := range files {
		if (b != nil) != g.t.isFile(f) || slices.Contains(kustomizationNames, path.Base(f)) {
			return next
		}
	}
	if g.t.hasLinks() {
		return next
	}
	maps.Copy(next.kfiles, g.kfiles)
	maps.Copy(next.units, g.units)
	for dir, s := range g.sets {
		if !touches(s, files) {
			next.sets[dir] = s
		}
	}
	return next
}

// touches reports whether a set holds one of the files.
func touches(set map[string]bool, files map[string][]byte) bool {
	for f := range files {
		if set[f] {
			return true
		}
	}
	return false
}

// known lists the directories that were or had been visited, sorted.
func (g *graph) known() []string {
	dirs := append(sortedKeys(g.units), g.seed...)
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

func (g *graph) kfile(dir string) string {
	if f, ok := g.kfiles[dir]; ok {
		return f
	}
	f := g.findKfile(dir)
	g.kfiles[dir] = f
	return f
}

func (g *graph) findKfile(dir string) string {
	for _, n := range kustomizationNames {
		if p := path.Join(dir, n); g.t.isFile(p) {
			return p
		}
	}
	return ""
}

func (g *graph) unit(dir string) *unit {
	if u, ok := g.units[dir]; ok {
		return u
	}
	u := &unit{dir: dir, kfile: g.kfile(dir)}
	g.units[dir] = u
	if u.kfile == "" {
		g.listManifests(u)
	} else {
		g.readKustomization(u)
	}
	return u
}

// listManifests does what Flux does for a path without a kustomization file:
// take every YAML file, and a subdirectory with a kustomization file as one.
func (g *graph) listManifests(u *unit) {
	taken := ""
	for _, f := range g.t.under(u.dir) {
		if taken != "" && strings.HasPrefix(f, taken+"/") {
			continue
		}
		if d := g.firstKustomized(u.dir, path.Dir(f)); d != "" {
			taken = d
			u.entries = append(u.entries, entry{field: "resources", path: d, dir: true})
			continue
		}
		u.entries = append(u.entries, entry{field: "resources", path: f})
	}
}

// firstKustomized is the highest directory from below top down to dir that has
// a kustomization file, or "".
func (g *graph) firstKustomized(top, dir string) string {
	var found string
	for d := dir; d != top && d != "." && d != "/"; d = path.Dir(d) {
		if g.kfile(d) != "" {
			found = d
		}
	}
	return found
}

func (g *graph) readKustomization(u *unit) {
	docs, err := g.t.documents(u.kfile)
	if err != nil {
		u.problems = append(u.problems, err)
		return
	}
	if len(docs) == 0 {
		u.node = &yaml.Node{Kind: yaml.MappingNode}
		return
	}
	u.node, u.doc = docs[0].node, docs[0].index
	for _, field := range []string{"resources", "bases", "components"} {
		for _, n := range items(child(u.node, field)) {
			g.addEntry(u, field, n)
		}
	}
	g.addReads(u)
}

func items(n *yaml.Node) []*yaml.Node {
	if n = target(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

func (g *graph) addEntry(u *unit, field string, n *yaml.Node) {
	e := entry{field: field, raw: text(n), line: n.Line}
	p, inside := g.join(u.dir, e.raw)
	switch {
	case isRemote(e.raw):
		g.remoteEntry(&e)
	case !inside:
		u.fail(n, "%s names %q, which %w: keep it in the repository and name it relative to this file", field, e.raw, ErrOutside)
	case g.t.isFile(p):
		e.path = p
	case g.t.absent(p) != nil:
		u.fail(n, "%s lists %q, which %w", field, e.raw, g.t.absent(p))
	case g.t.isDir(p):
		e.path, e.dir = p, true
	default:
		_, err := g.t.read(p)
		u.fail(n, "%s lists %q: %w", field, e.raw, err)
	}
	u.entries = append(u.entries, e)
}

func (u *unit) fail(n *yaml.Node, format string, args ...any) {
	u.problems = append(u.problems, fmt.Errorf("%s:%d: "+format, append([]any{u.kfile, n.Line}, args...)...))
}

// isRemote reports whether kustomize would fetch an entry. The list is that of
// kustomize's repository specifications.
func isRemote(s string) bool {
	l := strings.ToLower(s)
	for _, p := range []string{"git::", "gh:", "ssh://", "https://", "http://", "file://", "git@", "github.com:", "github.com/", "gitlab.com/", "bitbucket.org/"} {
		if strings.HasPrefix(l, p) {
			return true
		}
	}
	return strings.Contains(l, "://") || strings.Contains(l, "?ref=")
}

// addReads collects the files that are not resources.
func (g *graph) addReads(u *unit) {
	read := func(field string, n *yaml.Node) {
		if name := text(n); name != "" && !isInline(name) {
			g.addRead(u, field, n, name)
		}
	}
	for _, field := range []string{"configurations", "crds", "transformers", "generators", "validators", "patchesStrategicMerge"} {
		for _, n := range items(child(u.node, field)) {
			read(field, n)
		}
	}
	for _, field := range []string{"patches", "patchesJson6902", "replacements"} {
		for _, n := range items(child(u.node, field)) {
			read(field, child(n, "path"))
		}
	}
	read("openapi", lookup(u.node, "openapi", "path"))
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		for _, gen := range items(child(u.node, field)) {
			for _, n := range items(child(gen, "files")) {
				_, name := generatorFile(text(n))
				g.addRead(u, field, n, name)
			}
			for _, n := range envFiles(gen) {
				read(field, n)
			}
		}
	}
}

// isInline reports whether an item that may be a path is YAML text instead.
func isInline(item string) bool {
	return strings.Contains(item, "\n") || strings.HasPrefix(item, "{")
}

// generatorFile splits an item of a generator's files, KEY=PATH or PATH.
func generatorFile(item string) (key, file string) {
	if k, f, ok := strings.Cut(item, "="); ok && !isRemote(k) {
		return k, f
	}
	key, _, _ = strings.Cut(item, "?")
	return path.Base(key), item
}

func (g *graph) addRead(u *unit, field string, n *yaml.Node, name string) {
	p, inside := g.join(u.dir, name)
	switch {
	case isRemote(name):
		u.remote = append(u.remote, remoteRead{field: field, address: name, line: n.Line})
	case !inside:
		u.fail(n, "%q %w: keep the file in the repository and name it relative to this one", name, ErrOutside)
	case g.t.absent(p) != nil:
		u.fail(n, "%q %w", name, g.t.absent(p))
	case g.t.isDir(p) && !g.t.isFile(p):
		u.reads = append(u.reads, g.files(p)...)
	default:
		u.reads = append(u.reads, p)
	}
}

// closure lists the units that building dir needs, dir first. extra are the
// components that a Flux Kustomization adds.
func (g *graph) closure(dir string, extra ...string) []*unit {
	var list []*unit
	seen := map[string]bool{}
	var visit func(d string)
	visit = func(d string) {
		if seen[d] {
			return
		}
		seen[d] = true
		u := g.unit(d)
		list = append(list, u)
		for _, e := range u.entries {
			if e.dir {
				visit(e.path)
			}
		}
	}
	visit(dir)
	for _, c := range extra {
		visit(c)
	}
	return list
}

// set is the set of files that building dir reads.
func (g *graph) set(dir string) map[string]bool {
	if s, ok := g.sets[dir]; ok {
		return s
	}
	s := map[string]bool{}
	g.sets[dir] = s
	for _, u := range g.closure(dir) {
		if u.kfile != "" {
			s[u.kfile], s[g.t.real(u.kfile)] = true, true
		}
		for _, e := range u.entries {
			if e.path != "" && !e.dir {
				s[e.path], s[g.t.real(e.path)] = true, true
			}
		}
		for _, f := range u.reads {
			s[f], s[g.t.real(f)] = true, true
		}
	}
	return s
}

func (g *graph) files(dir string) []string {
	s := sortedKeys(g.set(dir))
	return slices.Clone(s)
}
