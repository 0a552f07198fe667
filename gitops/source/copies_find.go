package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

const (
	// maxTextDepth is how deep texts may lie in texts: a patch of talhelper holds an
	// inline manifest, which holds a HelmChart, which holds values.
	maxTextDepth = 4
	// maxTexts bounds the texts within one file.
	maxTexts = 200
	// maxContinued bounds the lines of a command of a script.
	maxContinued = 500
)

// copyHints are byte patterns without which a YAML file installs nothing.
var copyHints = [][]byte{
	[]byte("helmCharts"), []byte("HelmChart"), []byte("releases:"), []byte("cilium-config"), []byte("cilium-cli"),
	[]byte("helm "), []byte("cilium install"),
}

// installs finds every installation of Cilium by something other than Flux, in
// the order of the files.
func installs(ctx context.Context, t *tree) ([]install, error) {
	files := t.installers()
	results := make([][]install, len(files))
	var wg sync.WaitGroup
	workers := max(2, runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(files) && ctx.Err() == nil; i += workers {
				results[i] = newFinder(t, files[i]).find()
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return slices.Concat(results...), nil
}

// installers lists the files that may install something: YAML, Terraform,
// templates of helmfile, and scripts.
func (t *tree) installers() []string {
	var files []string
	if t.disk != nil {
		files = slices.Clone(t.disk.names)
	}
	for p := range t.overlay {
		files = append(files, p)
	}
	slices.Sort(files)
	return slices.DeleteFunc(slices.Compact(files), func(p string) bool {
		b, over := t.overlay[p]
		return over && b == nil || fileKind(p) == "" || noInstaller(p)
	})
}

// noInstaller: archives, snapshots of a cluster, and what tests a change.
func noInstaller(p string) bool {
	for _, seg := range strings.Split(strings.ToLower(p), "/") {
		switch seg {
		case "snapshot", "snapshots", "testdata", "tests", "test", "e2e", ".github", ".gitlab", "docs", "node_modules":
			return true
		}
	}
	return isArchive(p)
}

// fileKind says how a file is read for installations: "yaml", "terraform",
// "template", "script" or "".
func fileKind(p string) string {
	base := strings.ToLower(path.Base(p))
	switch path.Ext(base) {
	case ".yaml", ".yml":
		return "yaml"
	case ".tf":
		return "terraform"
	case ".gotmpl":
		return "template"
	case ".sh", ".bash", ".just", ".mk", ".zsh", ".fish":
		return "script"
	}
	switch base {
	case "justfile", ".justfile", "makefile", ".mise.toml", "mise.toml":
		return "script"
	}
	return ""
}

// finder looks for installations in one file.
type finder struct {
	t     *tree
	file  string
	dir   string
	out   []install
	texts int
}

func newFinder(t *tree, file string) *finder {
	return &finder{t: t, file: file, dir: path.Dir(file)}
}

func (f *finder) find() []install {
	src, err := f.t.read(f.file)
	if err != nil || !containsFold(src, "cilium") || looksEncrypted(src) {
		return nil
	}
	switch fileKind(f.file) {
	case "terraform":
		f.terraform(string(src))
	case "script":
		f.script(string(src), 0)
	case "template":
		if isHelmfile(f.file) {
			f.yaml(src)
		}
	case "yaml":
		f.yaml(src)
	}
	return f.out
}

func isHelmfile(file string) bool {
	return strings.Contains(path.Base(file), "helmfile") || strings.Contains(path.Base(path.Dir(file)), "helmfile.d")
}

func (f *finder) yaml(src []byte) {
	if !slices.ContainsFunc(copyHints, func(h []byte) bool { return bytes.Contains(src, h) }) {
		return
	}
	docs, err := documents(f.file, src)
	if err != nil {
		f.brokenHelmfile(src)
		return
	}
	if slices.ContainsFunc(docs, dumped) {
		return
	}
	f.documents(docs, frame{})
}

// frame is a YAML text: the file itself, or what a scalar of it holds.
type frame struct {
	blocks []Block
	offset int
	fixed  bool
	line   int // of the text, when fixed
	kind   string
	why    string
}

func (fr frame) lineOf(n *yaml.Node) int {
	if fr.fixed {
		return fr.line
	}
	return n.Line + fr.offset
}

func (f *finder) documents(docs []document, fr frame) {
	whole := slices.ContainsFunc(docs, func(d document) bool { return d.id.kind == "DaemonSet" && d.id.name == "cilium" })
	for _, d := range docs {
		if d.id.kind == "HelmRelease" || d.id.kind == "Secret" || isEncrypted(d.node) {
			continue
		}
		f.object(d, fr, whole)
		f.embedded(d.node, nil, d.index, fr)
	}
}

// object reads a document that installs Cilium.
func (f *finder) object(d document, fr frame, whole bool) {
	switch {
	case d.id.kind == "ConfigMap" && d.id.name == "cilium-config":
		f.agentConfig(d, fr, whole)
	case d.id.group() == "helm.cattle.io":
		f.helmChart(d, fr)
	case d.id.kind == "Job" || d.id.kind == "Pod":
		f.job(d, fr)
	case child(d.node, "helmCharts") != nil:
		f.helmCharts(d, fr)
	case d.id.kind == "" && child(d.node, "releases") != nil:
		f.helmfile(d, fr)
	case d.id.kind == "" && child(d.node, "tasks") != nil && len(fr.blocks) == 0:
		f.taskfile(d.node)
	}
}

// embedded looks for texts within the scalars of a document. Aliases are not
// followed.
func (f *finder) embedded(n *yaml.Node, at []string, doc int, fr frame) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.embedded(n.Content[i+1], append(slices.Clip(at), n.Content[i].Value), doc, fr)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			f.embedded(c, append(slices.Clip(at), "["+itoa(i)+"]"), doc, fr)
		}
	case yaml.ScalarNode:
		if f.texts < maxTexts && len(fr.blocks) < maxTextDepth && mayHoldManifest(n.Value) {
			f.texts++
			f.within(n, at, doc, fr)
		}
	}
}

func mayHoldManifest(s string) bool {
	if !strings.Contains(s, "\n") || !strings.Contains(s, "cilium") {
		return false
	}
	return slices.ContainsFunc(copyHints, func(h []byte) bool { return strings.Contains(s, string(h)) })
}

func (f *finder) within(n *yaml.Node, at []string, doc int, fr frame) {
	docs, err := documents(f.file, []byte(n.Value))
	if err != nil {
		return
	}
	inner := fr.enter(n, at, doc)
	f.documents(docs, inner)
}

// enter is the frame of the text that a scalar holds.
func (fr frame) enter(n *yaml.Node, at []string, doc int) frame {
	in := frame{blocks: append(slices.Clip(fr.blocks), Block{doc, slices.Clone(at)}), kind: fr.kind, why: fr.why, fixed: fr.fixed, line: fr.line}
	if slices.Contains(at, "inlineManifests") || inJSONPatch(at) {
		in.kind = CopyTalos
	}
	if n.Style&yaml.LiteralStyle == 0 {
		in.why = "its text is folded or quoted: write it as a literal block (|)"
		if !in.fixed {
			in.fixed, in.line = true, n.Line+fr.offset
		}
		return in
	}
	in.offset = fr.offset + n.Line
	return in
}

// inJSONPatch: the path is that of a manifest in a JSON patch of a machine
// configuration, [i].value.contents.
func inJSONPatch(at []string) bool {
	return len(at) >= 2 && at[len(at)-1] == "contents" && slices.Contains(at, "value")
}

// documents parses all documents that are mappings or lists, within the bounds
// of [parse].
func documents(file string, src []byte) ([]document, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var docs []document
	for i := 0; ; i++ {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, explainYAML(file, src, err)
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) == 0 || n.Content[0].Kind == yaml.ScalarNode {
			continue
		}
		root := n.Content[0]
		if err := guard(file, root); err != nil {
			return nil, err
		}
		docs = append(docs, document{file: file, index: i, node: root, line: root.Line, id: identify(root)})
	}
}

// dumped: the document was read from a cluster, not written for one.
func dumped(d document) bool {
	switch d.id.kind {
	case "Node", "CiliumNode", "CiliumEndpoint", "ProbeReport":
		return true
	}
	return lookup(d.node, "metadata", "resourceVersion") != nil || lookup(d.node, "metadata", "uid") != nil
}
