package source

import (
	"fmt"
	"strings"
)

// Origin is where Flux takes the release's Kustomization from: a GitRepository,
// as the repository itself states it. What stands there is as trustworthy as the
// repository; what is not stated is empty.
type Origin struct {
	// URL and Branch are spec.url and spec.ref.branch.
	URL, Branch string
	// Namespace and Name of the GitRepository.
	Namespace, Name string
	// Secret and ProxySecret are spec.secretRef.name and spec.proxySecretRef.name,
	// in the same namespace.
	Secret, ProxySecret string
	// Source is file:line.
	Source string
}

// Origin finds the GitRepository of the Kustomization that applies the release,
// or what a FluxInstance synchronises where it has none. It is empty when neither
// is in the repository, or an address holds variables.
func (r *Release) Origin() Origin {
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	lineage := r.at.eff.lineage()
	for i := len(lineage) - 1; i >= 0; i-- {
		k := lineage[i]
		if o := k.gitRepository(r.at.ix, r.at.g); o.URL != "" {
			return o
		}
		if o := syncOrigin(k.doc); o.URL != "" {
			return o
		}
		if k.str("sourceRef", "kind") == "GitRepository" && k.str("sourceRef", "name") != "flux-system" {
			return Origin{}
		}
	}
	for _, d := range r.at.ix.syncs {
		if o := syncOrigin(d); o.URL != "" && len(r.at.ix.syncs) == 1 {
			return o
		}
	}
	return Origin{}
}

func (k *flux) gitRepository(ix *index, g *graph) Origin {
	kind, name, ns := k.str("sourceRef", "kind"), k.str("sourceRef", "name"), k.str("sourceRef", "namespace")
	if kind != "GitRepository" || name == "" {
		return Origin{}
	}
	if ns == "" {
		ns = k.namespace()
	}
	for _, d := range g.objects(ix.sources, kind, ns, name) {
		o := Origin{
			URL: text(lookup(d.node, "spec", "url")), Branch: text(lookup(d.node, "spec", "ref", "branch")),
			Namespace: ns, Name: name,
			Secret: text(lookup(d.node, "spec", "secretRef", "name")), ProxySecret: text(lookup(d.node, "spec", "proxySecretRef", "name")),
		}
		if o.checked(d) {
			return o
		}
	}
	return Origin{}
}

// syncOrigin is the source that flux-operator makes for a FluxInstance's
// spec.sync, whose ref is a full reference: refs/heads/main.
func syncOrigin(d document) Origin {
	sync := lookup(d.node, "spec", "sync")
	if d.id.kind != "FluxInstance" || text(child(sync, "kind")) != "GitRepository" {
		return Origin{}
	}
	o := Origin{URL: text(child(sync, "url")), Namespace: d.id.namespace, Name: text(child(sync, "name")), Secret: text(child(sync, "pullSecret"))}
	if o.Name == "" {
		o.Name = "flux-system"
	}
	o.Branch, _ = strings.CutPrefix(text(child(sync, "ref")), "refs/heads/")
	if strings.HasPrefix(o.Branch, "refs/") {
		o.Branch = ""
	}
	if !o.checked(d) {
		return Origin{}
	}
	return o
}

// checked drops what a variable decides; it is false for an address of that kind.
func (o *Origin) checked(d document) bool {
	o.Source = fmt.Sprintf("%s:%d", d.file, d.line)
	for _, field := range []*string{&o.Branch, &o.Secret, &o.ProxySecret} {
		if strings.Contains(*field, "${") {
			*field = ""
		}
	}
	return o.URL != "" && !strings.Contains(o.URL, "${")
}
