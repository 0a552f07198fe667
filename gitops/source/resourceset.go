package source

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// generated is what a ResourceSet of the Flux Operator makes that matters here.
type generated struct {
	set   document
	kinds []string // HelmRelease, Kustomization
	// paths are the spec.path of its Kustomizations, up to the first template
	// expression.
	paths []string
}

// resourceSets are the ResourceSets that generate Kustomizations or
// HelmReleases.
func (ix *index) resourceSets() []generated {
	var out []generated
	for _, d := range ix.sets {
		g := generated{set: d}
		for _, n := range items(lookup(d.node, "spec", "resources")) {
			g.add(n)
		}
		for _, n := range roots(text(lookup(d.node, "spec", "resourcesTemplate"))) {
			g.add(n)
		}
		if slices.Sort(g.kinds); len(g.kinds) > 0 {
			out = append(out, g)
		}
	}
	return out
}

func (g *generated) add(n *yaml.Node) {
	kind := text(child(n, "kind"))
	api := text(child(n, "apiVersion"))
	if !strings.HasPrefix(api, "kustomize.toolkit.fluxcd.io/") && !strings.HasPrefix(api, "helm.toolkit.fluxcd.io/") {
		return
	}
	if !slices.Contains(g.kinds, kind) {
		g.kinds = append(g.kinds, kind)
	}
	if p, _, _ := strings.Cut(text(lookup(n, "spec", "path")), "<<"); p != "" && kind == "Kustomization" {
		g.paths = append(g.paths, strings.TrimPrefix(strings.TrimPrefix(p, "./"), "/"))
	}
}

func (g generated) String() string {
	var what []string
	for _, k := range g.kinds {
		what = append(what, k+"s")
	}
	return fmt.Sprintf("ResourceSet %s (%s:%d) generates %s, which is not read",
		strings.TrimPrefix(g.set.id.namespace+"/"+g.set.id.name, "/"), g.set.file, g.set.line, strings.Join(what, " and "))
}

// generatedHints says of the ResourceSets that a release may come from them.
func (s *search) generatedHints() []string {
	var out []string
	for _, g := range s.ix.resourceSets() {
		out = append(out, g.String()+": write the Cilium release, and the Kustomization that applies it, as manifests")
	}
	return out
}

// doubts says what may apply the release otherwise than it was read: a source
// that may be another repository, and a ResourceSet that makes the Kustomization
// which applies the entry point's file.
func (r *resolver) doubts() []string {
	var out []string
	chain := r.eff.lineage()
	for _, k := range chain {
		if k.doubt != "" {
			out = append(out, k.doubt)
		}
	}
	top := firstOf(chain[0].doc.file, chain[0].path+"/")
	for _, g := range r.ix.resourceSets() {
		if slices.ContainsFunc(g.paths, func(p string) bool { return p != "" && strings.HasPrefix(top, p) }) && !chain[0].bootstraps() {
			out = append(out, fmt.Sprintf("%s: what it patches or substitutes in %s is not known", g, strings.TrimSuffix(top, "/")))
		}
	}
	return out
}
