package source

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kustypes "sigs.k8s.io/kustomize/api/types"
)

// kustomizationText is the kustomization that Flux would build: the file's
// own, with the Flux Kustomization's settings added at the top. Fields that
// kustomize calls deprecated are written as those that it has for them now,
// because it warns of them on the process's standard error.
func (b *builder) kustomizationText(k *flux, u *unit, lists map[string][]any, top bool) ([]byte, error) {
	m := map[string]any{}
	if u.node != nil {
		if err := u.node.Decode(&m); err != nil {
			return nil, atLine(u.kfile, err)
		}
	}
	empty := u.kfile != "" && isEmptyKustomization(m)
	for _, f := range []string{"resources", "bases", "components"} {
		delete(m, f)
	}
	if !empty {
		// An empty list keeps a kustomization from being refused as empty when
		// none of what it lists takes part in this build.
		m["resources"] = slices.Concat([]any{}, lists["resources"], lists["bases"])
	}
	if len(lists["components"]) > 0 {
		m["components"] = lists["components"]
	}
	if _, ok := m["apiVersion"]; !ok {
		m["apiVersion"], m["kind"] = kustypes.KustomizationVersion, kustypes.KustomizationKind
	}
	u.leaveUnread(m)
	b.modernise(m, u)
	b.aim(m, u)
	if top {
		addFlux(m, k)
	}
	return yaml.Marshal(m)
}

// isEmptyKustomization reports whether kustomize refuses a kustomization as
// empty: nothing but its kind is stated (kustomize api v0.21.2,
// types/kustomization.go, CheckEmpty, after the lists of two old fields were
// added to those of the new ones). An empty list counts as stated.
func isEmptyKustomization(m map[string]any) bool {
	for f, v := range m {
		switch list, isList := v.([]any); {
		case f == "apiVersion", f == "kind", v == nil, v == "":
		case isList && len(list) == 0 && slices.Contains([]string{"bases", "imageTags", "helmChartInflationGenerator"}, f):
		default:
			return false
		}
	}
	return true
}

// modernise rewrites deprecated fields so that the build gives the same: a
// strategic merge patch goes before the patches, as kustomize applies it; a JSON
// patch becomes a transformer of the same kind, because kustomize applies it
// after names, namespaces, labels and annotations. vars have no such form.
func (b *builder) modernise(m map[string]any, u *unit) {
	take := func(field string) []any {
		list := anyList(m[field])
		delete(m, field)
		return list
	}
	var patches, transformers []any
	for _, v := range take("patchesStrategicMerge") {
		s, _ := v.(string)
		if p, inside := b.g.join(u.dir, s); inside && b.t.isFile(p) {
			patches = append(patches, map[string]any{"path": s})
			continue
		}
		patches = append(patches, map[string]any{"patch": s})
	}
	for i, v := range take("patchesJson6902") {
		transformers = append(transformers, jsonPatcher(i, v))
	}
	prepend(m, "patches", patches)
	prepend(m, "transformers", transformers)
	if tags := take("imageTags"); len(tags) > 0 {
		m["images"] = append(slices.Clone(anyList(m["images"])), tags...)
	}
	if labels, _ := m["commonLabels"].(map[string]any); len(labels) > 0 {
		m["labels"] = append(slices.Clone(anyList(m["labels"])), map[string]any{"pairs": labels, "includeSelectors": true})
	}
	delete(m, "commonLabels")
}

func prepend(m map[string]any, field string, first []any) {
	if len(first) > 0 {
		m[field] = append(first, anyList(m[field])...)
	}
}

// jsonPatcher is kustomize's own transformer for an item of patchesJson6902.
func jsonPatcher(i int, item any) string {
	patch, _ := item.(map[string]any)
	t := map[string]any{
		"apiVersion": "builtin", "kind": "PatchJson6902Transformer",
		"metadata": map[string]any{"name": "patchesJson6902-" + itoa(i)},
	}
	for from, to := range map[string]string{"target": "target", "path": "path", "patch": "jsonOp"} {
		if v, ok := patch[from]; ok {
			t[to] = v
		}
	}
	return asYAML(t)
}

// addFlux applies what kustomize-controller adds to the top kustomization.
func addFlux(m map[string]any, k *flux) {
	m["buildMetadata"] = []any{kustypes.OriginAnnotations}
	for from, to := range map[string]string{"targetNamespace": "namespace", "namePrefix": "namePrefix", "nameSuffix": "nameSuffix"} {
		if v := k.str(from); v != "" {
			m[to] = v
		}
	}
	for _, list := range []string{"patches", "images"} {
		if more, ok := k.spec[list].([]any); ok {
			own, _ := m[list].([]any)
			m[list] = append(slices.Clone(own), more...)
		}
	}
	for _, d := range k.extra {
		own, _ := m["components"].([]any)
		m["components"] = append(slices.Clone(own), relative(k.path, d))
	}
}

// unreadMark starts the text that stands in a build for a file on the network,
// unreadDir is where these lie.
const (
	unreadMark = "remediate: not read: "
	unreadDir  = "/unread"
)

// remoteRead is a file on the network that a kustomization names among its
// patches, configurations or the sources of a generator.
type remoteRead struct {
	field, address string
	line           int
}

func (r remoteRead) why(u *unit) string {
	return fmt.Sprintf("%s:%d: %s would be fetched over the network, which is not done: keep a copy in the repository", u.kfile, r.line, shownRemote(r.address))
}

// unread are the notes for a release that is built with a kustomization: one for
// all that it generates of files on the network, and one for each other file.
func (u *unit) unread() []string {
	var out []string
	var first *remoteRead
	more := 0
	for i, r := range u.remote {
		switch {
		case !r.generates():
			out = append(out, r.why(u)+"; it may change the release")
		case first == nil:
			first = &u.remote[i]
		default:
			more++
		}
	}
	if first == nil {
		return out
	}
	said := first.why(u)
	if more > 0 {
		said += fmt.Sprintf(" (and %d more in this file)", more)
	}
	return append(out, said)
}

func (r remoteRead) generates() bool {
	return r.field == "configMapGenerator" || r.field == "secretGenerator"
}

// unreadFile is the stand-in for the i-th remote file of a unit.
func unreadFile(u *unit, i int) string { return path.Join(unreadDir, u.dir, itoa(i)) }

// unreadText takes from a built text why it could not be read.
func unreadText(s string) (why string, unread bool) { return strings.CutPrefix(s, unreadMark) }

// leaveUnread takes files on the network out of a kustomization; where a
// generator makes a key of one, the key stays, with a stand-in.
func (u *unit) leaveUnread(m map[string]any) {
	if len(u.remote) == 0 {
		return
	}
	remote := func(v any) bool {
		item, _ := v.(map[string]any)
		s, isText := v.(string)
		return isText && !isInline(s) && isRemote(s) || isRemote(stringAt(item, "path"))
	}
	for f, v := range m {
		if list, ok := v.([]any); ok && f != "resources" && f != "components" {
			m[f] = slices.DeleteFunc(slices.Clone(list), remote)
		}
	}
	if o, ok := m["openapi"].(map[string]any); ok && isRemote(stringAt(o, "path")) {
		delete(m, "openapi")
	}
	for _, f := range []string{"configMapGenerator", "secretGenerator"} {
		for _, gen := range anyList(m[f]) {
			u.replaceUnread(gen)
		}
	}
}

func (u *unit) replaceUnread(gen any) {
	g, _ := gen.(map[string]any)
	if g == nil {
		return
	}
	files := anyList(g["files"])
	for i, v := range files {
		s, _ := v.(string)
		key, name := generatorFile(s)
		at := slices.IndexFunc(u.remote, func(r remoteRead) bool { return r.generates() && r.address == name })
		if at >= 0 {
			files[i] = key + "=" + unreadFile(u, at)
		}
	}
	if envs, ok := g["envs"].([]any); ok {
		g["envs"] = slices.DeleteFunc(envs, func(v any) bool { s, _ := v.(string); return isRemote(s) })
	}
	if isRemote(stringAt(g, "env")) {
		delete(g, "env")
	}
}
