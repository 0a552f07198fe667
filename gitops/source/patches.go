package source

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// patch is one patch that a build applies, at the place where it is written.
type patch struct {
	at    location // of the patch's text, path nil for a file of its own
	block bool
	node  *yaml.Node // parsed text
	lines int        // to add to node's lines
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
		full, n := p.sets(r.Name, segs)
		if n == nil || !sameAs(n, want) {
			continue
		}
		s.at = location{file: p.at.file, doc: p.at.doc, path: full, line: n.Line + p.lines}
		s.why, s.block, s.rawText = "", nil, text(n)
		if p.block {
			s.block = p.at.path
		}
	}
	if s.at.line == 0 {
		s.at.line = r.Line
	}
	return s
}

// sets returns the path and node with which a patch sets a value, or nil.
func (p patch) sets(name string, segs []string) ([]string, *yaml.Node) {
	if p.node.Kind == yaml.SequenceNode {
		return p.operation(segs)
	}
	if k := text(child(p.node, "kind")); k != "" && k != "HelmRelease" {
		return nil, nil
	}
	full := append([]string{"spec", "values"}, segs...)
	return full, lookup(p.node, full...)
}

// operation reads a JSON patch whose path is the value's, or leads above it.
func (p patch) operation(segs []string) ([]string, *yaml.Node) {
	var full []string
	var found *yaml.Node
	for i, op := range p.node.Content {
		if o := text(child(op, "op")); o != "add" && o != "replace" {
			continue
		}
		at := pointer(text(child(op, "path")))
		if len(at) < 2 || at[0] != "spec" || at[1] != "values" || len(at)-2 > len(segs) || !equalSegs(at[2:], segs[:len(at)-2]) {
			continue
		}
		rest := segs[len(at)-2:]
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
	for i := len(units) - 1; i >= 0; i-- {
		out = append(out, g.unitPatches(units[i])...)
	}
	if d := k.doc; d.node != nil {
		out = append(out, inlinePatches(d.file, d.index, lookup(d.node, "spec", "patches"), "spec", "patches")...)
	}
	return out
}

func (g *graph) unitPatches(u *unit) []patch {
	var out []patch
	for _, field := range []string{"patchesStrategicMerge", "patchesJson6902", "patches"} {
		list := child(u.node, field)
		out = append(out, inlinePatches(u.kfile, 0, list, field)...)
		for _, n := range items(list) {
			name := text(n)
			if field != "patchesStrategicMerge" {
				name = text(child(n, "path"))
			}
			if f, ok := join(u.dir, name); ok && name != "" && !strings.Contains(name, "\n") {
				out = append(out, g.filePatches(f)...)
			}
		}
	}
	return out
}

// inlinePatches reads patches written as strings inside another file.
func inlinePatches(file string, doc int, list *yaml.Node, path ...string) []patch {
	var out []patch
	for i, item := range items(list) {
		at := append(append([]string{}, path...), "["+itoa(i)+"]")
		n := item
		if item.Kind == yaml.MappingNode {
			n, at = child(item, "patch"), append(at, "patch")
		}
		if !strings.Contains(text(n), "\n") {
			continue
		}
		for _, root := range roots(text(n)) {
			out = append(out, patch{at: location{file: file, doc: doc, path: at, line: n.Line}, block: true, node: root, lines: n.Line})
		}
	}
	return out
}

func (g *graph) filePatches(file string) []patch {
	src, err := g.t.read(file)
	if err != nil {
		return nil
	}
	var out []patch
	for i, root := range roots(string(src)) {
		out = append(out, patch{at: location{file: file, doc: i, line: root.Line}, node: root})
	}
	return out
}

// roots are the top nodes of a text's documents, mappings or lists.
func roots(src string) []*yaml.Node {
	var out []*yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(src))
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			return out
		}
		if len(n.Content) == 1 && guard("patch", n.Content[0]) == nil {
			out = append(out, n.Content[0])
		}
	}
}
