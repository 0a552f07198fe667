package source

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// patch is one patch that a build applies, at the place where it is written.
type patch struct {
	at    location // of the patch's text, path nil for a file of its own
	block bool
	node  *yaml.Node // parsed text
	lines int        // to add to node's lines
	// target is the selector, nil when the patch names its object.
	target *yaml.Node
}

// patchSpot finds the patch that gives a value of spec.values: the last one, in
// order of application, that sets the path to what the build shows.
func (r *Release) patchSpot(s spot, segs []string) spot {
	want := r.rawInline(segs)
	s.at.line, s.why = 0, "a patch that could not be traced sets it"
	s.at.path = nil
	r.at.mu.Lock()
	patches := r.at.g.patches(r.at.k, r.at.eff)
	r.at.mu.Unlock()
	for _, p := range patches {
		full, n := p.find(r.at.release, append([]string{"spec", "values"}, segs...))
		if n == nil || !sameAs(n, want) {
			continue
		}
		s.at = p.location(full, n)
		s.block, s.at.block = s.at.block, nil
		s.why, s.rawText = "", text(n)
	}
	if s.at.line == 0 {
		s.at.line = r.Line
	}
	return s
}

// location is where a node of the patch is written.
func (p patch) location(full []string, n *yaml.Node) location {
	at := location{file: p.at.file, doc: p.at.doc, path: full, line: n.Line + p.lines}
	if p.block {
		at.block = p.at.path
	}
	return at
}

// find returns the path and node with which a patch of an object sets a value,
// or nil.
func (p patch) find(o built, path []string) ([]string, *yaml.Node) {
	if !p.fits(o) {
		return nil, nil
	}
	if p.node.Kind == yaml.SequenceNode {
		return p.operation(path)
	}
	return path, lookup(p.node, path...)
}

// fits reports whether a patch is for an object: by its target, whose fields
// are regular expressions for the whole name, else by the names in the patch.
// Names may have got a prefix or a suffix since. Labels are not looked at.
func (p patch) fits(o built) bool {
	if p.target != nil {
		kind, name := text(child(p.target, "kind")), text(child(p.target, "name"))
		return matches(kind, o.id.kind) && (matches(name, o.id.name) || o.madeFrom(name))
	}
	kind, name := text(child(p.node, "kind")), text(lookup(p.node, "metadata", "name"))
	return (kind == "" || kind == o.id.kind) && (name == "" || o.madeFrom(name))
}

func matches(pattern, s string) bool {
	if pattern == "" || pattern == s {
		return true
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	return err == nil && re.MatchString(s)
}

// operation reads a JSON patch whose path is the value's, or leads above it.
func (p patch) operation(path []string) ([]string, *yaml.Node) {
	var full []string
	var found *yaml.Node
	for i, op := range p.node.Content {
		if o := text(child(op, "op")); o != "add" && o != "replace" {
			continue
		}
		at := pointer(text(child(op, "path")))
		if len(at) == 0 || len(at) > len(path) || !equalSegs(at, path[:len(at)]) {
			continue
		}
		rest := path[len(at):]
		if n := lookup(child(op, "value"), rest...); n != nil {
			full, found = append([]string{"[" + itoa(i) + "]", "value"}, rest...), n
		}
	}
	return full, found
}

func equalSegs(a, b []string) bool {
	for i := range a {
		if strings.Trim(a[i], "[]") != strings.Trim(b[i], "[]") {
			return false
		}
	}
	return true
}

// pointer splits a JSON pointer (RFC 6901).
func pointer(p string) []string {
	if !strings.HasPrefix(p, "/") {
		return nil
	}
	segs := strings.Split(p[1:], "/")
	for i := range segs {
		segs[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(segs[i])
	}
	return segs
}

// patches lists all patches of the build in order of application: those of
// bases first, then of overlays, then of the Flux Kustomization.
func (g *graph) patches(k, eff *flux) []patch {
	var out []patch
	units := g.closure(eff.path, eff.extra...)
	for _, u := range slices.Backward(units) {
		out = append(out, g.unitPatches(u)...)
	}
	if d := k.doc; d.node != nil {
		out = append(out, inlinePatches(d.file, d.index, lookup(d.node, "spec", "patches"), d.path("spec", "patches")...)...)
	}
	return out
}

func (g *graph) unitPatches(u *unit) []patch {
	var out []patch
	for _, field := range []string{"patchesStrategicMerge", "patchesJson6902", "patches"} {
		list := child(u.node, field)
		out = append(out, inlinePatches(u.kfile, u.doc, list, field)...)
		for _, n := range items(list) {
			name, target := text(n), child(n, "target")
			if field != "patchesStrategicMerge" {
				name = text(child(n, "path"))
			}
			if f, ok := join(u.dir, name); ok && name != "" && !strings.Contains(name, "\n") {
				out = append(out, g.filePatches(f, target)...)
			}
		}
	}
	return out
}

// inlinePatches reads patches written as strings inside another file.
func inlinePatches(file string, doc int, list *yaml.Node, path ...string) []patch {
	var out []patch
	for i, item := range items(list) {
		at := append(slices.Clone(path), "["+itoa(i)+"]")
		n := target(item)
		var selector *yaml.Node
		if n.Kind == yaml.MappingNode {
			n, selector, at = child(n, "patch"), child(n, "target"), append(at, "patch")
		} else if !strings.Contains(text(n), "\n") {
			continue
		}
		lines := 0
		if n = target(n); n != nil {
			lines = n.Line
		}
		if n != nil && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
			lines--
		}
		for _, root := range roots(text(n)) {
			if root == nil {
				continue
			}
			out = append(out, patch{at: location{file: file, doc: doc, path: at, line: n.Line}, block: true, node: root, lines: lines, target: selector})
		}
	}
	return out
}

func (g *graph) filePatches(file string, selector *yaml.Node) []patch {
	src, err := g.t.read(file)
	if err != nil {
		return nil
	}
	file = g.t.real(file)
	var out []patch
	for i, root := range roots(string(src)) {
		if root == nil {
			continue
		}
		out = append(out, patch{at: location{file: file, doc: i, line: root.Line}, node: root, target: selector})
	}
	return out
}

// roots are the top nodes of a text's documents, mappings or lists; nil stands
// for a document that is empty or grows without bound.
func roots(src string) []*yaml.Node {
	var out []*yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(src))
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			return out
		}
		var root *yaml.Node
		if len(n.Content) == 1 && n.Content[0].Kind != yaml.ScalarNode && guard("patch", n.Content[0]) == nil {
			root = n.Content[0]
		}
		out = append(out, root)
	}
}
