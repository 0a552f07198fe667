package source

import (
	"fmt"
	"slices"
	"strings"
)

// dropForeign takes out the Kustomizations whose source is known to be another
// repository than the one that the entry points synchronise. They are named in
// the index.
func dropForeign(t *tree, ix *index, g *graph, all []*flux) []*flux {
	own := map[string]bool{}
	for _, d := range ix.syncs {
		if u := text(lookup(d.node, "spec", "sync", "url")); u != "" {
			own[text(lookup(d.node, "spec", "sync", "kind"))+" "+repository(u)] = true
		}
	}
	for _, k := range all {
		if u := k.sourceURL(ix, g); u != "" && g.set(k.path)[k.doc.file] {
			own[k.str("sourceRef", "kind")+" "+repository(u)] = true
		}
	}
	return slices.DeleteFunc(all, func(k *flux) bool {
		kind, u := k.str("sourceRef", "kind"), k.sourceURL(ix, g)
		sameKind := false
		for o := range own {
			sameKind = sameKind || strings.HasPrefix(o, kind+" ")
		}
		if u == "" || !sameKind || own[kind+" "+repository(u)] {
			return false
		}
		ix.foreign = append(ix.foreign, fmt.Sprintf("%s takes that from %s %s (%s), another repository: run remediate in a checkout of it",
			k.describe(), kind, k.str("sourceRef", "name"), shownRemote(u)))
		return true
	})
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
	return host + "/" + strings.TrimSuffix(strings.Trim(p, "/"), ".git")
}
