package source

import (
	"bytes"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

var statedKind = regexp.MustCompile(`kind["']?\s*:\s*["']?([A-Za-z0-9]+)`)

// need is an object without which kustomize refuses a build: the target of a
// patch that names no selector, or the source of a replacement.
type need struct{ kind, name string }

// alsoNeeded widens a choice of files by those that can hold what the patches
// and replacements of the chosen directories need; nil when they need nothing.
func (b *builder) alsoNeeded(k *flux, keep func(file string) bool) func(file string) bool {
	units := b.g.closure(k.path, k.extra...)
	kept := keptUnits(units, k.extra, keep)
	var needs []need
	for _, u := range units {
		if kept[u.dir] {
			needs = append(needs, b.needs(u)...)
		}
	}
	if len(needs) == 0 {
		return nil
	}
	return func(file string) bool {
		if keep(file) {
			return true
		}
		src, err := b.t.read(file)
		return err == nil && slices.ContainsFunc(needs, func(n need) bool { return n.mayBeIn(src) })
	}
}

func (n need) mayBeIn(src []byte) bool {
	if !bytes.Contains(src, []byte(n.name)) {
		return false
	}
	for _, m := range statedKind.FindAllSubmatch(src, -1) {
		if n.kind == "" || string(m[1]) == n.kind {
			return true
		}
	}
	return false
}

func (b *builder) needs(u *unit) []need {
	var out []need
	ofPatch := func(src []byte) {
		docs, _ := parse(u.kfile, src)
		for _, d := range docs {
			if d.id.kind != "" {
				out = append(out, need{d.id.kind, d.id.name})
			}
		}
	}
	ofFile := func(name string, inside func(src []byte)) {
		p, ok := b.g.join(u.dir, name)
		if src, err := b.t.read(p); ok && name != "" && err == nil {
			inside(src)
		}
	}
	for _, n := range items(child(u.node, "patches")) {
		if child(n, "target") == nil {
			ofPatch([]byte(text(child(n, "patch"))))
			ofFile(text(child(n, "path")), ofPatch)
		}
	}
	for _, n := range items(child(u.node, "patchesStrategicMerge")) {
		if isInline(text(n)) {
			ofPatch([]byte(text(n)))
			continue
		}
		ofFile(text(n), ofPatch)
	}
	ofReplacement := func(n *yaml.Node) {
		source := child(n, "source")
		out = append(out, need{text(child(source, "kind")), text(child(source, "name"))})
	}
	for _, n := range items(child(u.node, "replacements")) {
		if child(n, "source") != nil {
			ofReplacement(n)
		}
		ofFile(text(child(n, "path")), func(src []byte) {
			var root yaml.Node
			if yaml.Unmarshal(src, &root) != nil || len(root.Content) == 0 {
				return
			}
			list := root.Content[:1]
			if root.Content[0].Kind == yaml.SequenceNode {
				list = root.Content[0].Content
			}
			for _, r := range list {
				ofReplacement(r)
			}
		})
	}
	return out
}
