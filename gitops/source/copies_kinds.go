package source

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/strvals"
)

// add notes an installation that has anything to say.
func (f *finder) add(kind, at string, layers ...layer) {
	if slices.ContainsFunc(layers, func(l layer) bool { return len(l.values) > 0 || l.unreadable != "" }) {
		f.out = append(f.out, install{kind: kind, at: at, layers: layers})
	}
}

func (f *finder) place(line int) string { return f.file + ":" + itoa(line) }

// mapping is the layer of a mapping of values.
func (f *finder) mapping(n *yaml.Node, fr frame, doc int, at ...string) layer {
	l := layer{file: f.t.real(f.file), line: fr.lineOf(n), blocks: fr.blocks, doc: doc, path: at, node: target(n), offset: fr.offset, fixed: fr.fixed, why: fr.why}
	if n.Kind == yaml.AliasNode {
		l.why = firstOf(l.why, "an anchor shares it with others")
	}
	if decode(n, &l.values) != nil {
		l.values = nil
	}
	return l
}

// named is the layer of a values file that something in dir names.
func (f *finder) named(raw string) (layer, bool) {
	file, ok := f.resolve(raw)
	if !ok {
		return layer{}, false
	}
	src, err := f.t.read(file)
	if err != nil {
		return layer{}, false
	}
	l := layer{file: f.t.real(file), line: 1, whole: true}
	if strings.Contains(string(src), "{{") && !isYAMLName(file) {
		l.same = readsElsewhere(string(src))
		l.unreadable = "it is a template"
		return l, true
	}
	if looksEncrypted(src) {
		l.unreadable = "it is encrypted"
		return l, true
	}
	docs, err := parse(file, src)
	if err != nil {
		l.unreadable = "it is no plain YAML"
		return l, true
	}
	if len(docs) == 0 {
		return l, true
	}
	own := newFinder(f.t, file).mapping(docs[0].node, frame{}, docs[0].index)
	own.whole = true
	return own, true
}

// readsElsewhere: a template takes its values from another file, as those do
// that read the HelmRelease.
func readsElsewhere(src string) bool {
	for _, word := range []string{"readFile", "exec ", "yq", "HelmRelease", "helmrelease", ".Files", "tpl "} {
		if strings.Contains(src, word) {
			return true
		}
	}
	return false
}

// leadingVariables are variables and templates at the start of a path, which
// stand for a directory.
var leadingVariables = regexp.MustCompile(`^.*(?:\}\}|\}|\$\([^)]*\)|\$[A-Za-z_][A-Za-z0-9_]*)/?`)

// resolve finds the file that a path in some script or template means: seen
// from the file's directory, from the root, or, behind a variable, from any
// directory between.
func (f *finder) resolve(raw string) (string, bool) {
	raw = strings.TrimPrefix(strings.Trim(strings.TrimSpace(raw), `"'`), "file://")
	rel := leadingVariables.ReplaceAllString(raw, "")
	if rel == "" || isRemote(rel) {
		return "", false
	}
	dirs := []string{f.dir, "."}
	if rel != raw {
		for d := f.dir; d != "."; d = path.Dir(d) {
			dirs = append(dirs, d)
		}
	}
	for _, d := range dirs {
		if p, ok := join(d, strings.TrimPrefix(rel, "/")); ok && f.t.isFile(p) {
			return p, true
		}
	}
	return "", false
}

// isCilium: a chart's name or URL ends in cilium.
func isCilium(chart string) bool {
	base, _, _ := strings.Cut(path.Base(strings.TrimSpace(chart)), ":")
	base, _, _ = strings.Cut(base, "@")
	return strings.TrimSuffix(base, ".tgz") == "cilium"
}

// agentConfig is a rendered cilium-config. On its own it counts when the file
// holds the agents too, or lies where clusters are made.
func (f *finder) agentConfig(d document, fr frame, whole bool) {
	data := target(child(d.node, "data"))
	if data == nil || data.Kind != yaml.MappingNode {
		return
	}
	l := f.mapping(data, fr, d.index, "data")
	l.flags, l.line = true, fr.lineOf(d.node)
	kind := fr.kind
	switch {
	case kind != "":
	case len(fr.blocks) > 0:
		kind = CopyEmbedded
	case whole || forBootstrap(f.file):
		kind = CopyManifest
		l.why = "the chart rendered it: render it again with the new values"
	default:
		return
	}
	f.add(kind, f.place(l.line), l)
}

func forBootstrap(file string) bool {
	for _, word := range []string{"bootstrap", "talos", "terraform", "ansible", "cloud-init"} {
		if strings.Contains(strings.ToLower(path.Dir(file)), word) {
			return true
		}
	}
	return false
}

// helmChart is k3s's and RKE2's HelmChart or HelmChartConfig.
func (f *finder) helmChart(d document, fr frame) {
	spec := child(d.node, "spec")
	if !isCilium(text(child(spec, "chart"))) && strings.TrimPrefix(d.id.name, "rke2-") != "cilium" {
		return
	}
	var layers []layer
	at := []string{"spec", "valuesContent"}
	if n := target(child(spec, "valuesContent")); n != nil && n.Kind == yaml.ScalarNode {
		inner := fr.enter(n, at, d.index)
		if docs, err := documents(f.file, []byte(n.Value)); err == nil && len(docs) > 0 {
			layers = append(layers, f.mapping(docs[0].node, inner, docs[0].index))
		}
	}
	if set := target(child(spec, "set")); set != nil && set.Kind == yaml.MappingNode {
		layers = append(layers, f.settingsOf(set, fr, d.index))
	}
	f.add(CopyK3s, f.place(fr.lineOf(d.node)), layers...)
}

// settingsOf reads a mapping of paths to values.
func (f *finder) settingsOf(set *yaml.Node, fr frame, doc int) layer {
	l := layer{file: f.t.real(f.file), line: fr.lineOf(set), blocks: fr.blocks, doc: doc, path: []string{"spec", "set"}, why: fr.why}
	for i := 0; i+1 < len(set.Content); i += 2 {
		k, v := set.Content[i], set.Content[i+1]
		l.set(setting{path: k.Value, value: text(v), line: fr.lineOf(k), yamlPath: []string{"spec", "set", k.Value}, text: isString(v)})
	}
	return l
}

// set adds NAME=VALUE as helm reads it; what helm does not read is passed over.
func (l *layer) set(s setting) {
	if s.path == "" || strings.Contains(s.value, "${") || strings.Contains(s.value, "{{") || strings.HasPrefix(s.value, "$") {
		return
	}
	if l.values == nil {
		l.values = map[string]any{}
	}
	if strvals.ParseInto(s.path+"="+s.value, l.values) == nil {
		l.settings = append(l.settings, s)
	}
}

// helmCharts is the field of a kustomization that kustomize, and not Flux, reads.
func (f *finder) helmCharts(d document, fr frame) {
	for i, h := range items(child(d.node, "helmCharts")) {
		if !isCilium(text(child(h, "name"))) {
			continue
		}
		var layers []layer
		files := []*yaml.Node{child(h, "valuesFile")}
		for _, n := range append(files, items(child(h, "additionalValuesFiles"))...) {
			if l, ok := f.named(text(n)); ok && text(n) != "" {
				l.same = inGenerator(d.node, text(n))
				layers = append(layers, l)
			}
		}
		if in := child(h, "valuesInline"); in != nil && target(in).Kind == yaml.MappingNode {
			layers = append(layers, f.mapping(in, fr, d.index, "helmCharts", "["+itoa(i)+"]", "valuesInline"))
		}
		f.add(CopyKustomize, f.place(fr.lineOf(h)), layers...)
	}
}

// inGenerator: a kustomization makes a ConfigMap or Secret of a file as well.
func inGenerator(kustomization *yaml.Node, name string) bool {
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		for _, gen := range items(child(kustomization, field)) {
			for _, n := range items(child(gen, "files")) {
				if _, file := generatorFile(text(n)); path.Clean(file) == path.Clean(name) {
					return true
				}
			}
		}
	}
	return false
}

// helmfile reads the releases of a helmfile.
func (f *finder) helmfile(d document, fr frame) {
	for i, rel := range items(child(d.node, "releases")) {
		if target(rel).Kind != yaml.MappingNode || !isCilium(text(child(rel, "chart"))) {
			continue
		}
		at := []string{"releases", "[" + itoa(i) + "]"}
		var layers []layer
		for j, v := range items(child(rel, "values")) {
			layers = append(layers, f.helmfileValues(v, fr, d.index, append(slices.Clone(at), "values", "["+itoa(j)+"]"))...)
		}
		set := layer{file: f.t.real(f.file), blocks: fr.blocks, doc: d.index, path: append(slices.Clone(at), "set"), why: fr.why}
		for j, s := range items(child(rel, "set")) {
			set.line = firstLine(set.line, fr.lineOf(s))
			set.set(setting{path: text(child(s, "name")), value: text(child(s, "value")), line: fr.lineOf(child0(s, "value")),
				yamlPath: append(slices.Clone(set.path), "["+itoa(j)+"]", "value"), text: isString(child(s, "value"))})
		}
		f.add(CopyHelmfile, f.place(fr.lineOf(rel)), append(layers, set)...)
	}
}

func isString(n *yaml.Node) bool { return n != nil && target(n).ShortTag() == "!!str" }

func firstLine(have, next int) int {
	if have > 0 {
		return have
	}
	return next
}

// child0 is the child, or the node itself.
func child0(n *yaml.Node, key string) *yaml.Node {
	if c := child(n, key); c != nil {
		return c
	}
	return n
}

// helmfileValues is one entry of a release's values: a file or a mapping.
func (f *finder) helmfileValues(v *yaml.Node, fr frame, doc int, at []string) []layer {
	if target(v).Kind == yaml.MappingNode {
		return []layer{f.mapping(v, fr, doc, at...)}
	}
	if l, ok := f.named(text(v)); ok {
		return []layer{l}
	}
	return nil
}

// brokenHelmfile names a helmfile that is a template, unless it takes Cilium's
// values from elsewhere.
func (f *finder) brokenHelmfile(src []byte) {
	if !isHelmfile(f.file) || readsElsewhere(string(src)) || !strings.Contains(string(src), "chart:") {
		return
	}
	f.add(CopyHelmfile, f.place(1), layer{file: f.t.real(f.file), line: 1, unreadable: "it is a template"})
}

// valuesOf reads the layers of the file again, to compare them with what an
// edit intended.
func (f *finder) valuesOf(was layer) []layer {
	if was.whole {
		if l, ok := f.named(path.Base(f.file)); ok {
			return []layer{l}
		}
		return nil
	}
	var out []layer
	for _, in := range f.find() {
		for _, l := range in.layers {
			if l.file == was.file {
				out = append(out, l)
			}
		}
	}
	return out
}
