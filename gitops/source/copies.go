package source

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Kinds of [Copy].
const (
	CopyHelmfile  = "helmfile"
	CopyTalos     = "Talos inline manifest"
	CopyEmbedded  = "embedded manifest"
	CopyManifest  = "rendered manifest"
	CopyTerraform = "Terraform"
	CopyK3s       = "k3s HelmChart"
	CopyKustomize = "kustomize helmCharts"
	CopyScript    = "install script"
	CopyJob       = "cilium install job"
)

// Copy is a place that installs Cilium besides Flux, with values of its own:
// most clusters get their network that way before Flux runs in them. What reads
// the very file that Flux reads is no copy.
type Copy struct {
	Kind string
	// File and Line are where the values stand.
	File string
	Line int
	// By is file:line of what names File, when that is another file.
	By string
	// Flags: Values are the keys of a rendered cilium-config; else Helm values.
	Flags  bool
	Values map[string]any
	// Unreadable is why it may hold values that are not known; Values is empty.
	Unreadable string
	// Undecided names the releases among which it cannot be told whose copy it is.
	Undecided string
	// Why is why no edit of it is possible, or "".
	Why string

	at layer
	// later are the layers of the same installation that outweigh this one.
	later []layer
}

// Block is a block scalar that holds YAML text: the index of the document, and
// the path in it.
type Block struct {
	Document int
	Path     []string
}

// CopyValue is one value of a [Copy] and its place.
type CopyValue struct {
	Path  string
	Value any
	File  string
	Line  int
	// Blocks lead, from the file inwards, to the text in which Document and
	// YAMLPath are counted.
	Blocks   []Block
	Document int
	YAMLPath []string
	// Format, if not empty, is how a new value is wrapped; "%s" stands for it.
	Format string
	// Text: only a string may stand there; Setting: no list, for it is one
	// NAME=VALUE.
	Text, Setting bool
	// Why is why it cannot be edited, or "".
	Why string
}

// Copies lists the copies of the release's values in the repository, by file,
// line and kind. Of several clusters' copies those count that lie nearest to
// this release; where that does not decide, [Copy.Undecided] says so. Archives,
// encrypted files and snapshots hold none. It reads the whole tree once.
func (r *Release) Copies(ctx context.Context) ([]Copy, error) {
	found, err := installs(ctx, r.at.t)
	if err != nil {
		return nil, err
	}
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	ours := r.sourceFiles()
	snapshots, err := r.snapshots()
	if err != nil {
		return nil, err
	}
	var out []Copy
	for _, in := range found {
		for i := range in.layers {
			in.layers[i].same = in.layers[i].same || ours[in.layers[i].file] || r.generates(in.layers[i])
		}
		for i, l := range in.layers {
			if l.same || l.empty() || r.applies(l) || below(snapshots, l.file) {
				continue
			}
			c := l.copy(in, in.layers[i+1:])
			if r.claims(&c) {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Copy) int { return strings.Compare(a.sortKey()+a.Kind+a.By, b.sortKey()+b.Kind+b.By) })
	return slices.CompactFunc(out, func(a, b Copy) bool { return a.sortKey() == b.sortKey() }), nil
}

// sortKey tells the copies of a repository apart: several installations may
// name one file.
func (c *Copy) sortKey() string {
	return fmt.Sprintf("%s\x00%09d\x00%s\x00", c.File, c.Line, c.at.key())
}

// Where says whether the copy decides a value, and where: a Helm value's path,
// or with Flags a key of cilium-config.
func (c *Copy) Where(path string) (CopyValue, bool) {
	segs := splitPath(path)
	if c.Flags {
		segs = []string{path}
	}
	v, ok := valueAt(c.Values, segs)
	if !ok || len(segs) == 0 {
		return CopyValue{}, false
	}
	for _, l := range c.later {
		if _, outweighed := valueAt(l.values, segs); outweighed {
			return CopyValue{}, false
		}
	}
	out := CopyValue{Path: path, Value: v, File: c.File, Line: c.Line, Blocks: c.at.blocks, Document: c.at.doc, Text: c.Flags, Why: c.Why}
	c.at.locate(&out, segs)
	return out, true
}

// Reread is the copy's values once files have changed. The error says that the
// copy is no longer there.
func (c *Copy) Reread(r *Release, files map[string][]byte) (map[string]any, error) {
	f := newFinder(r.at.t.with(files), c.File)
	for _, l := range f.valuesOf(c.at) {
		if l.key() == c.at.key() {
			return l.values, nil
		}
	}
	return nil, fmt.Errorf("%s:%d: %s is not found there again", c.File, c.Line, c.Kind)
}

// install is one installation of Cilium: its sources of values in merge order.
type install struct {
	kind string
	// at is file:line of what installs.
	at     string
	layers []layer
}

// layer is one source of values of an installation.
type layer struct {
	file   string
	line   int
	blocks []Block
	doc    int
	path   []string
	// node is the mapping that holds the values; nil for settings.
	node   *yaml.Node
	offset int // to be added to the node's lines
	// fixed: the text's lines are not those of the file.
	fixed bool
	flags bool
	// whole: the document holds nothing but values.
	whole      bool
	values     map[string]any
	settings   []setting
	same       bool
	unreadable string
	why        string
}

// setting is one NAME=VALUE, as for helm's --set.
type setting struct {
	path, value string
	line        int
	yamlPath    []string
	format      string
	// text: a bool or a number is written as a string.
	text bool
}

// key tells the layers of one file apart.
func (l *layer) key() string {
	var b strings.Builder
	for _, k := range l.blocks {
		fmt.Fprintf(&b, "%d:%s|", k.Document, joinPath(k.Path))
	}
	fmt.Fprintf(&b, "%d:%s:%d", l.doc, joinPath(l.path), len(l.settings))
	return b.String()
}

func (l *layer) empty() bool { return len(l.values) == 0 && l.unreadable == "" }

func (l layer) copy(in install, later []layer) Copy {
	c := Copy{Kind: in.kind, File: l.file, Line: l.line, Flags: l.flags, Values: l.values, Unreadable: l.unreadable, Why: l.why, at: l, later: later}
	if by, _, _ := strings.Cut(in.at, ":"); by != l.file {
		c.By = in.at
	}
	if c.Values == nil {
		c.Values = map[string]any{}
	}
	return c
}

// locate fills in the place of a value that the layer has.
func (l *layer) locate(v *CopyValue, segs []string) {
	if l.node == nil {
		v.Setting = true
		l.locateSetting(v)
		return
	}
	v.YAMLPath = append(slices.Clone(l.path), segs...)
	if !l.fixed {
		v.Line = keyLine(l.node, segs...) + l.offset
	}
	v.Why = firstOf(v.Why, sharedBy(l.node, segs))
	if s := text(lookup(l.node, segs...)); strings.Contains(s, "${") || strings.Contains(s, "{{") {
		v.Why = firstOf(v.Why, "it holds a variable")
	}
}

func (l *layer) locateSetting(v *CopyValue) {
	for _, s := range slices.Backward(l.settings) {
		if s.path != v.Path {
			continue
		}
		v.Line, v.YAMLPath, v.Format, v.Text = s.line, s.yamlPath, s.format, s.text
		if s.yamlPath == nil {
			v.Why = firstOf(v.Why, "it is no YAML")
		}
		return
	}
	v.Why = firstOf(v.Why, "several settings make it up")
}

// sharedBy is why an edit of the value would change others too, or "".
func sharedBy(n *yaml.Node, segs []string) string {
	for _, seg := range segs {
		if n.Kind == yaml.AliasNode {
			return "an anchor shares it with others"
		}
		next := step(n, seg)
		if n.Kind == yaml.MappingNode && !slices.Contains(n.Content, next) {
			return "it comes from a merge key"
		}
		n = next
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return "an anchor shares it with others"
	}
	return ""
}
