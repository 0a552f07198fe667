package source

import (
	"fmt"
	"path"
	"slices"
	"strings"

	kustypes "sigs.k8s.io/kustomize/api/types"
	sigsyaml "sigs.k8s.io/yaml"
)

// PostRenderer is one item of spec.postRenderers: a kustomize run on what Helm
// rendered, before it is applied.
type PostRenderer struct {
	// kustomize holds the fields of a kustomization as they stand there.
	kustomize map[string]any
	// Unknown says why it cannot be applied here; empty if it can.
	Unknown string
}

// postFields are the fields of spec.postRenderers[].kustomize: patches and
// images, and until v2beta2 the two older forms of patches (helm-controller
// 1.4, api/v2/helmrelease_types.go and api/v2beta2).
var postFields = []string{"patches", "images", "patchesStrategicMerge", "patchesJson6902"}

func postRenderers(v any) []PostRenderer {
	list, _ := v.([]any)
	var out []PostRenderer
	for _, item := range list {
		m, _ := item.(map[string]any)
		k, _ := m["kustomize"].(map[string]any)
		p := PostRenderer{kustomize: k}
		if k == nil || len(m) != 1 {
			p.Unknown = "it is no kustomize post-renderer"
		}
		for _, f := range sortedKeys(k) {
			if !slices.Contains(postFields, f) {
				p.Unknown = "it has the field " + f
			}
		}
		out = append(out, p)
	}
	return out
}

// PostRender applies the release's post-renderers to rendered objects, as
// helm-controller does, and returns them in the same order. Patches for other
// objects than these are passed over. The error says which post-renderer
// cannot be applied.
func (r *Release) PostRender(objects []map[string]any) ([]map[string]any, error) {
	for i, p := range r.PostRenderers {
		var err error
		if p.Unknown != "" {
			err = fmt.Errorf("%s", p.Unknown)
		} else {
			objects, err = p.apply(objects)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: spec.postRenderers[%d] of HelmRelease %s/%s: %w", r.File, r.Line, i, r.Namespace, r.Name, err)
		}
	}
	return objects, nil
}

func (p PostRenderer) apply(objects []map[string]any) ([]map[string]any, error) {
	k := map[string]any{"apiVersion": kustypes.KustomizationVersion, "kind": kustypes.KustomizationKind}
	fs := newFS()
	var names []any
	for i, o := range objects {
		b, err := sigsyaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("object-%d.yaml", i)
		if err := fs.WriteFile(path.Join(memoryRoot, name), b); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	k["resources"] = names
	if images, ok := p.kustomize["images"]; ok {
		k["images"] = images
	}
	patches, err := p.patches()
	if err != nil {
		return nil, err
	}
	if len(patches) > 0 {
		k["patches"] = patches
	}
	b, err := sigsyaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := fs.WriteFile(path.Join(memoryRoot, "kustomization.yaml"), b); err != nil {
		return nil, err
	}
	m, err := runKustomize(fs, memoryRoot, false)
	if err != nil {
		return nil, fmt.Errorf("kustomize: %w", err)
	}
	out := make([]map[string]any, 0, m.Size())
	for _, res := range m.Resources() {
		o, err := res.Map()
		if err != nil {
			return nil, fmt.Errorf("kustomize: read %s %s: %w", res.GetKind(), res.GetName(), err)
		}
		out = append(out, o)
	}
	return out, nil
}

// patches are all patches, in the order in which kustomize applies the fields,
// each with a target: without one kustomize refuses a patch for an object that
// is not among those given to it.
func (p PostRenderer) patches() ([]any, error) {
	var out []any
	add := func(target map[string]any, patch any) error {
		text, err := patchText(patch)
		if err != nil {
			return err
		}
		if target == nil {
			return addTargeted(&out, text)
		}
		out = append(out, map[string]any{"target": target, "patch": text})
		return nil
	}
	for _, patch := range anyList(p.kustomize["patchesStrategicMerge"]) {
		if err := add(nil, patch); err != nil {
			return nil, err
		}
	}
	for _, field := range []string{"patchesJson6902", "patches"} {
		for _, item := range anyList(p.kustomize[field]) {
			m, _ := item.(map[string]any)
			target, _ := m["target"].(map[string]any)
			if err := add(target, m["patch"]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}

func patchText(patch any) (string, error) {
	if s, ok := patch.(string); ok {
		return s, nil
	}
	b, err := sigsyaml.Marshal(patch)
	return string(b), err
}

// addTargeted adds the merge patches of a text, each with the object that it
// names as its target.
func addTargeted(out *[]any, text string) error {
	docs, err := parse("patch", []byte(text))
	if err != nil {
		return err
	}
	if len(docs) == 0 {
		return fmt.Errorf("a patch without a target names no object")
	}
	for _, d := range docs {
		if d.id.kind == "" || d.id.name == "" {
			return fmt.Errorf("a patch without a target names no object")
		}
		var obj map[string]any
		if err := decode(d.node, &obj); err != nil {
			return err
		}
		one, err := sigsyaml.Marshal(obj)
		if err != nil {
			return err
		}
		target := map[string]any{"kind": d.id.kind, "name": "^" + strings.ReplaceAll(d.id.name, ".", `\.`) + "$"}
		*out = append(*out, map[string]any{"target": target, "patch": string(one)})
	}
	return nil
}
