package source

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	argoKind   = regexp.MustCompile(`(?m)^\s*kind:\s*["']?(Application|ApplicationSet)["']?\s*$`)
	argoSource = regexp.MustCompile(`(?m)^\s*-?\s*(?:chart:\s*["']?cilium["']?\s*$|repoURL:.*helm\.cilium\.io|path:.*\bcilium\b)`)
)

// argo says which kind of Argo CD object a file holds that has Cilium as a source
// or in its name, and at which line; "" for none. A file that is no plain YAML is judged by its
// text.
func (t *tree) argo(file string) (kind string, line int) {
	src, err := t.read(file)
	if err != nil {
		return "", 0
	}
	docs, err := parse(file, src)
	if err != nil {
		if m := argoKind.FindSubmatchIndex(src); m != nil && argoSource.Match(src) {
			return string(src[m[2]:m[3]]), 1 + strings.Count(string(src[:m[0]]), "\n")
		}
		return "", 0
	}
	for _, d := range docs {
		if d.id.group() == "argoproj.io" && (d.id.kind == "Application" || d.id.kind == "ApplicationSet") &&
			(strings.Contains(d.id.name, "cilium") || installsCilium(child(d.node, "spec"))) {
			return d.id.kind, d.line
		}
	}
	return "", 0
}

// installsCilium looks for a source with the chart, at any depth: an
// ApplicationSet's stands in its template, or in the elements of a generator.
func installsCilium(n *yaml.Node) bool {
	n = target(n)
	if n == nil {
		return false
	}
	if n.Kind != yaml.MappingNode {
		return slices.ContainsFunc(n.Content, installsCilium)
	}
	for _, p := range pairs(n) {
		v := text(p.value)
		switch p.key {
		case "chart", "app", "name":
			if v == "cilium" {
				return true
			}
		case "repoURL":
			if strings.Contains(v, "helm.cilium.io") || strings.HasSuffix(v, "/cilium") {
				return true
			}
		case "path":
			if slices.Contains(strings.Split(path.Clean(v), "/"), "cilium") {
				return true
			}
		}
		if p.key != "destination" && installsCilium(p.value) {
			return true
		}
	}
	return false
}
