package breakglass

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/apis/kustomize"
	"helm.sh/helm/v4/pkg/postrenderer"
	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // helm-controller labels with the same transformers
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

// postRenderers change what Helm rendered, one after the other, as those of
// helm-controller do (1.6.1, internal/postrender/build.go): spec.postRenderers,
// spec.commonMetadata, and at last the labels that name the HelmRelease.
type postRenderers []func([]byte) ([]byte, error)

var _ postrenderer.PostRenderer = postRenderers(nil)

func postRenderersOf(hr *helmv2.HelmRelease) postRenderers {
	var out postRenderers
	for _, r := range hr.Spec.PostRenderers {
		if k := r.Kustomize; k != nil {
			out = append(out, func(in []byte) ([]byte, error) { return kustomized(k, in) })
		}
	}
	if m := hr.Spec.CommonMetadata; m != nil {
		out = append(out, func(in []byte) ([]byte, error) { return marked(in, m.Labels, m.Annotations) })
	}
	origin := map[string]string{
		helmv2.GroupVersion.Group + "/name":      hr.Name,
		helmv2.GroupVersion.Group + "/namespace": hr.Namespace,
	}
	return append(out, func(in []byte) ([]byte, error) { return marked(in, origin, nil) })
}

// Run is Helm's interface.
func (p postRenderers) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	text := in.Bytes()
	for _, r := range p {
		var err error
		if text, err = r(text); err != nil {
			return nil, fmt.Errorf("post-renderer of the HelmRelease: %w", err)
		}
	}
	return bytes.NewBuffer(text), nil
}

// marked sets labels and annotations on the metadata of every object.
func marked(in []byte, labels, annotations map[string]string) ([]byte, error) {
	if len(labels) == 0 && len(annotations) == 0 {
		return in, nil
	}
	objects, err := resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory()).NewResMapFromBytes(in)
	if err != nil {
		return nil, err
	}
	at := func(path string) []kustypes.FieldSpec {
		return []kustypes.FieldSpec{{Path: path, CreateIfNotPresent: true}}
	}
	if len(labels) > 0 {
		t := &builtins.LabelTransformerPlugin{Labels: maps.Clone(labels), FieldSpecs: at("metadata/labels")}
		if err := t.Transform(objects); err != nil {
			return nil, err
		}
	}
	if len(annotations) > 0 {
		t := &builtins.AnnotationsTransformerPlugin{Annotations: maps.Clone(annotations), FieldSpecs: at("metadata/annotations")}
		if err := t.Transform(objects); err != nil {
			return nil, err
		}
	}
	return objects.AsYaml()
}

// kustomized runs kustomize in memory, with its built-in plugins only.
func kustomized(k *helmv2.Kustomize, in []byte) ([]byte, error) {
	const input = "helm-output.yaml"
	cfg := kustypes.Kustomization{
		TypeMeta:  kustypes.TypeMeta{APIVersion: kustypes.KustomizationVersion, Kind: kustypes.KustomizationKind},
		Resources: []string{input},
	}
	for _, i := range k.Images {
		cfg.Images = append(cfg.Images, kustypes.Image{Name: i.Name, NewName: i.NewName, NewTag: i.NewTag, Digest: i.Digest})
	}
	for _, p := range k.Patches {
		cfg.Patches = append(cfg.Patches, kustypes.Patch{Patch: p.Patch, Target: selector(p.Target)})
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	fs := filesys.MakeFsInMemory()
	if err := fs.WriteFile(input, in); err != nil {
		return nil, err
	}
	if err := fs.WriteFile("kustomization.yaml", text); err != nil {
		return nil, err
	}
	built, err := krusty.MakeKustomizer(&krusty.Options{
		LoadRestrictions: kustypes.LoadRestrictionsRootOnly,
		PluginConfig:     kustypes.DisabledPluginConfig(),
	}).Run(fs, ".")
	if err != nil {
		return nil, err
	}
	return built.AsYaml()
}

func selector(s *kustomize.Selector) *kustypes.Selector {
	if s == nil {
		return nil
	}
	return &kustypes.Selector{
		ResId:         resid.ResId{Gvk: resid.Gvk{Group: s.Group, Version: s.Version, Kind: s.Kind}, Name: s.Name, Namespace: s.Namespace},
		LabelSelector: s.LabelSelector, AnnotationSelector: s.AnnotationSelector,
	}
}
