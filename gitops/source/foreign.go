package source

import (
	"fmt"
	"slices"
	"strings"
)

// dropForeign takes out the Kustomizations whose source is known to be another
// repository than this one, and names them in the index. Where the repository's
// own address is not known, those that do not take the source that Flux's
// bootstrap makes are kept with a doubt.
func dropForeign(t *tree, ix *index, g *graph, all []*flux) []*flux {
	own := ownSources(ix, g, all)
	bootstrapped := map[string]bool{}
	for _, k := range all {
		if k.str("sourceRef", "name") == "flux-system" {
			bootstrapped[k.str("sourceRef", "kind")] = true
		}
	}
	return slices.DeleteFunc(all, func(k *flux) bool {
		kind, name, u := k.str("sourceRef", "kind"), k.str("sourceRef", "name"), k.sourceURL(ix, g)
		switch {
		case u == "" || own[kind][repository(u)] || slices.ContainsFunc(ix.remotes, func(r string) bool { return repository(r) == repository(u) }):
			return false
		case len(own[kind]) > 0:
			ix.foreign = append(ix.foreign, fmt.Sprintf("%s takes that from %s %s (%s), another repository: run remediate in a checkout of it",
				k.describe(), kind, name, shownRemote(u)))
			return true
		case bootstrapped[kind] && name != "flux-system":
			k.doubt = fmt.Sprintf("%s takes %s from %s %s (%s), which may be another repository than the one of flux-system: what it applies is not known then",
				k, k.path, kind, name, shownRemote(u))
		}
		return false
	})
}

// dropCircular takes out the Kustomizations in doubt that would apply what applies
// them: what they apply is another repository's directory of the same name.
func dropCircular(ix *index, g *graph, all []*flux) []*flux {
	a := newApplying(g, all)
	a.doubtful = true
	looked := 0
	return slices.DeleteFunc(slices.Clone(all), func(k *flux) bool {
		if k.doubt == "" || looked >= maxCompared {
			return false
		}
		looked++
		below := slices.DeleteFunc(slices.Clone(a.gives(k)), func(o *flux) bool { return o == k })
		circular := a.reach(below...)[k]
		if circular {
			ix.foreign = append(ix.foreign, k.doubt)
		}
		return circular
	})
}

// ownSources are the addresses of this repository by kind of source: those that
// a FluxInstance synchronises or that the source flux-system has; without one,
// those of the Kustomizations that hold themselves.
func ownSources(ix *index, g *graph, all []*flux) map[string]map[string]bool {
	own := map[string]map[string]bool{}
	add := func(kind, u string) {
		if own[kind] == nil {
			own[kind] = map[string]bool{}
		}
		own[kind][repository(u)] = true
	}
	for _, d := range ix.syncs {
		if u := text(lookup(d.node, "spec", "sync", "url")); u != "" && !strings.Contains(u, "${") {
			add(text(lookup(d.node, "spec", "sync", "kind")), u)
		}
	}
	for _, named := range []bool{true, false} {
		if !named && len(own) > 0 {
			break
		}
		for _, k := range all {
			if (k.str("sourceRef", "name") == "flux-system") != named || !named && !g.applies(k, k.doc.file) {
				continue
			}
			if u := k.sourceURL(ix, g); u != "" {
				add(k.str("sourceRef", "kind"), u)
			}
		}
	}
	return own
}

// notHere says that a Kustomization applies a path which this repository does
// not have.
func (k *flux) notHere(ix *index, g *graph) string {
	from := k.str("sourceRef", "kind") + " " + k.str("sourceRef", "name")
	if u := k.sourceURL(ix, g); u != "" {
		from += " (" + shownRemote(u) + ")"
	}
	return fmt.Sprintf("%s (%s:%d) applies %q of %s, which is not in this repository: run remediate in a checkout of the one that has it",
		k, k.doc.file, k.doc.line, k.str("path"), from)
}

// sourceURL is the address of the Kustomization's source, "" when its object is
// not in the repository.
func (k *flux) sourceURL(ix *index, g *graph) string {
	kind, name, ns := k.str("sourceRef", "kind"), k.str("sourceRef", "name"), k.str("sourceRef", "namespace")
	if name == "" {
		return ""
	}
	if ns == "" {
		ns = k.namespace()
	}
	for _, d := range g.objects(ix.sources, kind, ns, name) {
		if u := text(lookup(d.node, "spec", "url")); u != "" && !strings.Contains(u, "${") {
			return u
		}
	}
	return ""
}

// repository is host and path of an address, by which the forms of one
// repository's address are alike.
func repository(u string) string {
	u = strings.ToLower(u)
	if _, rest, ok := strings.Cut(u, "://"); ok {
		u = rest
	} else {
		u = strings.Replace(u, ":", "/", 1)
	}
	_, u, _ = cutLast(u, "@")
	host, p, _ := strings.Cut(u, "/")
	host, _, _ = strings.Cut(host, ":")
	for _, p := range []string{"ssh.", "altssh."} { // GitHub's and GitLab's hosts for SSH on port 443
		host = strings.TrimPrefix(host, p)
	}
	return host + "/" + strings.TrimSuffix(strings.Trim(p, "/"), ".git")
}
