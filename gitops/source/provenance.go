package source

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/strvals"
)

// Provenance says who decides one Helm value.
type Provenance struct {
	Path  string
	Found bool
	Value any
	// Secret is true when the value comes from a Secret: it must not be shown.
	Secret bool
	// File and Line are where the winning value stands; File is empty when that
	// is not in the repository.
	File     string
	Line     int
	Document int
	// YAMLPath leads to the value in the file, or, in a Block, in the YAML text
	// that the string at Block holds.
	YAMLPath []string
	Block    []string
	// Variable is the post-build variable that the value is, or contains.
	Variable string
	// Chain tells the story in merge order, one sentence per source that sets
	// the path: "a.yaml:52 sets fd00:101::/48, wins".
	Chain []string
	// Opaque names the later sources that may override the value and cannot be
	// read, as "Secret kube-system/cilium-values".
	Opaque []string
}

// spot is one source's setting of a path.
type spot struct {
	part  int
	value any
	at    location
	block []string
	// rawText is the scalar as written, with variables.
	rawText string
	why     string // why it cannot be edited
}

// Where says which source sets a value, for a dotted path such as
// ipMasqAgent.config.nonMasqueradeCIDRs. A path that no source sets is not
// found: the chart's default applies.
func (r *Release) Where(path string) Provenance {
	segs := splitPath(path)
	p := Provenance{Path: path}
	p.Value, p.Found = valueAt(r.Values, segs)
	spots := r.spots(segs)
	win := winner(spots, p.Value)
	for i, s := range spots {
		p.Chain = append(p.Chain, r.sentence(s, i == win, spots, win))
	}
	last := -1
	if win >= 0 {
		last = spots[win].part
	}
	p.Opaque = r.opaqueAfter(last, segs)
	for _, o := range p.Opaque {
		p.Chain = append(p.Chain, fmt.Sprintf("may be overridden by %s, which cannot be read", o))
	}
	if !p.Found || win < 0 {
		return p
	}
	s := spots[win]
	p.File, p.Line, p.Document, p.YAMLPath, p.Block = s.at.file, s.at.line, s.at.doc, s.at.path, s.block
	if isRemotePath(p.File) {
		p.File, p.Line = "", 0
	}
	p.Secret = r.at.parts[s.part].secret
	if m := variableUse.FindStringSubmatch(s.rawText); m != nil {
		p.Variable = m[1]
		p.Secret = p.Secret || r.varsOf(s.part).byName[m[1]].secret
	}
	return p
}

// winner is the last spot that has the merged value; maps are merged, so for
// them it is the last spot.
func winner(spots []spot, merged any) int {
	if _, isMap := merged.(map[string]any); !isMap {
		for i := len(spots) - 1; i >= 0; i-- {
			if equalJSON(spots[i].value, merged) {
				return i
			}
		}
	}
	return len(spots) - 1
}

func (r *Release) sentence(s spot, wins bool, spots []spot, win int) string {
	part := r.at.parts[s.part]
	place := s.at.String()
	if s.at.file == "" {
		place = part.Kind + " " + part.Name
	}
	shown := show(s.value)
	vars := r.variablesIn(s.rawText, r.varsOf(s.part))
	if part.secret {
		shown = "a value from a Secret"
	}
	text := fmt.Sprintf("%s sets %s", place, shown)
	if len(vars) > 0 && !part.secret {
		text = fmt.Sprintf("%s sets %s, %s", place, s.rawText, strings.Join(vars, ", "))
	}
	switch {
	case wins:
		return text + ", wins"
	case spots[win].at.file == "":
		return text + ", overridden"
	case isMap(s.value) && isMap(spots[win].value):
		return text + ", merged with " + spots[win].at.String()
	}
	return text + ", overridden by " + spots[win].at.String()
}

// opaqueAfter names the sources after a part that may set the path and cannot
// be read.
func (r *Release) opaqueAfter(part int, segs []string) []string {
	var out []string
	for i, p := range r.at.parts {
		if i <= part || !p.Unreadable || p.TargetPath != "" && !related(splitPath(p.TargetPath), segs) {
			continue
		}
		name := fmt.Sprintf("%s %s/%s", p.Kind, r.Namespace, p.Name)
		if p.ref.Optional {
			name = "optional " + name
		}
		out = append(out, name)
	}
	return out
}

// related: one path leads to, or above, the other.
func related(a, b []string) bool {
	n := min(len(a), len(b))
	return equalSegs(a[:n], b[:n])
}

func isMap(v any) bool { _, ok := v.(map[string]any); return ok }

// varsOf are the variables that are substituted in a source.
func (r *Release) varsOf(i int) *variables {
	if v := r.at.parts[i].vars; v != nil {
		return v
	}
	return r.at.vars
}

// variablesIn says for each variable of a text where it is set.
func (r *Release) variablesIn(raw string, vars *variables) []string {
	var out []string
	for _, m := range variableUse.FindAllStringSubmatch(raw, -1) {
		v, ok := vars.byName[m[1]]
		switch {
		case ok && v.secret:
			out = append(out, fmt.Sprintf("%s set in %s by %s", m[1], v.at, v.from))
		case ok:
			out = append(out, fmt.Sprintf("%s=%s set in %s", m[1], v.value, v.at))
		case m[2] != "":
			out = append(out, m[1]+" not set, its default applies")
		default:
			out = append(out, m[1]+" not set")
		}
	}
	return out
}

// show prints a value in one line.
func show(v any) string {
	if s, ok := v.(string); ok && s != "" {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(b) > 120 {
		return string(b[:117]) + "..."
	}
	return string(b)
}

// spots lists every source that sets the path, in merge order.
func (r *Release) spots(segs []string) []spot {
	var out []spot
	for i, p := range r.at.parts {
		if !p.found {
			continue
		}
		if p.TargetPath != "" {
			if s, ok := r.targetSpot(i, p, segs); ok {
				out = append(out, s)
			}
			continue
		}
		v, ok := valueAt(p.Values, segs)
		if !ok {
			continue
		}
		if p.Kind == "HelmRelease" && p.patched {
			out = append(out, r.patchedSpots(i, p, segs)...)
		}
		out = append(out, r.spotIn(i, p, segs, v))
	}
	return out
}

// patchedSpots are the settings in the HelmRelease's own file and in patches
// that a later patch replaces.
func (r *Release) patchedSpots(i int, p part, segs []string) []spot {
	full := append([]string{"spec", "values"}, segs...)
	n := lookup(r.at.doc.node, full...)
	want := r.rawInline(segs)
	if n != nil && sameAs(n, want) {
		return nil
	}
	var out []spot
	add := func(n *yaml.Node, at location) {
		var v any
		if n != nil && !sameAs(n, want) && decode(n, &v) == nil && !isMap(v) {
			out = append(out, spot{part: i, value: v, at: at, rawText: text(n), why: "a patch replaces it"})
		}
	}
	add(n, location{file: p.File, doc: p.Document, path: r.at.doc.path(full...), line: keyLine(r.at.doc.node, full...)})
	r.at.mu.Lock()
	patches := r.at.g.patches(r.at.k, r.at.eff)
	r.at.mu.Unlock()
	for _, c := range patches {
		if path, n := c.find(r.at.release, full); n != nil {
			add(n, c.location(path, n))
		}
	}
	return out
}

// targetSpot is for valuesFrom with a targetPath.
func (r *Release) targetSpot(i int, p part, segs []string) (spot, bool) {
	m := map[string]any{}
	if strvals.ParseInto(p.TargetPath+"="+p.data, m) != nil {
		return spot{}, false
	}
	v, ok := valueAt(m, segs)
	at := location{file: p.File, doc: p.Document, line: p.Line, path: p.YAMLPath, env: p.env, format: p.format}
	why := p.Why
	if p.YAMLPath == nil && p.env == "" {
		why = firstOf(why, "the whole file is one value, set through targetPath")
	}
	return spot{part: i, value: v, at: at, rawText: p.raw, why: why}, ok
}

func (r *Release) spotIn(i int, p part, segs []string, v any) spot {
	s := spot{part: i, value: v, at: location{file: p.File, doc: p.Document, line: p.Line}, why: p.Why}
	if p.File == "" {
		return s
	}
	if p.Kind == "HelmRelease" {
		return r.inlineSpot(s, p, segs)
	}
	s.at.path = segs
	n, offset := p.tree()
	if p.Block {
		s.block = p.YAMLPath
	}
	if line := keyLine(n, segs...); line > 0 && !p.patched {
		s.at.line = line + offset
	}
	if n != nil {
		s.rawText = text(lookup(n, segs...))
	}
	return s
}

// inlineSpot finds a value of spec.values in the HelmRelease's file, or in the
// patch that sets it.
func (r *Release) inlineSpot(s spot, p part, segs []string) spot {
	full := append([]string{"spec", "values"}, segs...)
	n := lookup(r.at.doc.node, full...)
	s.at.path = r.at.doc.path(full...)
	if p.patched && !sameAs(n, r.rawInline(segs)) {
		return r.patchSpot(s, segs)
	}
	if line := keyLine(r.at.doc.node, full...); line > 0 {
		s.at.line, s.rawText = line, text(n)
	}
	return s
}

// rawInline is the built value before variables are substituted.
func (r *Release) rawInline(segs []string) any {
	v, _ := valueAt(specValues(r.at.release.object), segs)
	return v
}

func sameAs(n *yaml.Node, built any) bool {
	var raw any
	return n != nil && decode(n, &raw) == nil && equalJSON(raw, built)
}

// tree parses the part's text as written; where only the substituted text is
// YAML, that. offset is to be added to its lines.
func (p *part) tree() (n *yaml.Node, offset int) {
	docs, err := parse(p.File, []byte(p.raw))
	if err != nil || len(docs) == 0 {
		docs, err = parse(p.File, []byte(p.data))
	}
	if err != nil || len(docs) == 0 {
		return nil, 0
	}
	if p.Block {
		offset = p.Line
	}
	return docs[0].node, offset
}

// valueAt follows a path through maps and lists.
func valueAt(v any, segs []string) (any, bool) {
	for _, s := range segs {
		switch t := v.(type) {
		case map[string]any:
			next, ok := t[s]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(strings.Trim(s, "[]"))
			if err != nil || i < 0 || i >= len(t) {
				return nil, false
			}
			v = t[i]
		default:
			return nil, false
		}
	}
	return v, true
}
