package source

import (
	"regexp"
	"slices"
	"strings"
)

// aim gives the patches of a kustomization that name no target that of their
// own object, where a remote base below it is not read: kustomize refuses a
// patch without target whose object is missing, and passes over one with.
func (b *builder) aim(m map[string]any, u *unit) {
	if !b.lacksBase(u) {
		return
	}
	list := anyList(m["patches"])
	var out []any
	for _, v := range list {
		item, ok := v.(map[string]any)
		if !ok || item["target"] != nil {
			out = append(out, v)
			continue
		}
		out = append(out, b.aimed(u, item)...)
	}
	if len(list) > 0 {
		m["patches"] = out
	}
}

// lacksBase reports whether a directory, or one that it builds on, lists a
// remote base that takes no part in the build.
func (b *builder) lacksBase(u *unit) bool {
	return slices.ContainsFunc(b.g.closure(u.dir), func(below *unit) bool {
		return slices.ContainsFunc(below.entries, func(e entry) bool { return e.remote })
	})
}

// aimed is one patch for each object of a patch's text; the patch itself where
// that cannot be read.
func (b *builder) aimed(u *unit, item map[string]any) []any {
	text, _ := item["patch"].(string)
	if name, _ := item["path"].(string); name != "" {
		file, inside := b.g.join(u.dir, name)
		src, err := b.t.read(file)
		if !inside || err != nil {
			return []any{item}
		}
		text = string(src)
	}
	docs, err := parse(u.kfile, []byte(text))
	if err != nil || len(docs) == 0 {
		return []any{item}
	}
	var out []any
	for _, d := range docs {
		var object map[string]any
		if d.id.kind == "" || d.id.name == "" || decode(d.node, &object) != nil {
			return []any{item}
		}
		target := map[string]any{"kind": d.id.kind, "name": regexp.QuoteMeta(d.id.name)}
		if group, version, ok := strings.Cut(d.id.apiVersion, "/"); ok {
			target["group"], target["version"] = group, version
		}
		next := map[string]any{"patch": asYAML(object), "target": target}
		if options, ok := item["options"]; ok {
			next["options"] = options
		}
		out = append(out, next)
	}
	return out
}
