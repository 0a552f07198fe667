package controller

import (
	"context"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Labels that kustomize-controller puts on what it applies.
const (
	labelKustomization          = "kustomize.toolkit.fluxcd.io/name"
	labelKustomizationNamespace = "kustomize.toolkit.fluxcd.io/namespace"
	// mostParents bounds how far Kustomizations are followed upwards: one may say of
	// itself that it applies itself, as Flux's own does.
	mostParents = 8
)

// applying are the Kustomizations that bring a release in.
type applying struct {
	// direct applies the HelmRelease; nil when nothing says so.
	direct *kustomizev1.Kustomization
	// path is that of the topmost one: the cluster's.
	path string
}

// applied follows the labels from the HelmRelease up.
func (r *resolver) applied(ctx context.Context, t *target) (applying, error) {
	var out applying
	labels, seen := t.object.Labels, map[string]bool{}
	for range mostParents {
		name, namespace := labels[labelKustomization], labels[labelKustomizationNamespace]
		if name == "" || namespace == "" || seen[namespace+"/"+name] {
			break
		}
		seen[namespace+"/"+name] = true
		k := &kustomizev1.Kustomization{}
		if err := r.get(ctx, "Kustomization", namespace, name, k, "the labels of HelmRelease "+t.name()+" name it: give the repository as spec.git"); err != nil {
			return out, err
		}
		if out.direct == nil {
			out.direct, t.release.Kustomization = k, namespace+"/"+name
		}
		if k.Spec.Suspend && t.release.Suspended == "" {
			t.release.Suspended = "Kustomization " + namespace + "/" + name
		}
		if out.direct.Spec.SourceRef == k.Spec.SourceRef || k == out.direct {
			out.path = clusterPath(k.Spec.Path)
		}
		labels = k.Labels
	}
	return out, nil
}

// source is the GitRepository that the Kustomization is made from.
func (a applying) source(t *target) (v1alpha1.SourceReference, error) {
	if a.direct == nil {
		return v1alpha1.SourceReference{}, stalled(v1alpha1.NotFoundReason,
			"HelmRelease %s is applied by no Kustomization (it lacks the label %s), so its repository is not known: give it as spec.sourceRef or spec.git", t.name(), labelKustomization)
	}
	ref := a.direct.Spec.SourceRef
	if ref.Kind != v1alpha1.DefaultSourceKind {
		return v1alpha1.SourceReference{}, stalled(v1alpha1.InvalidSpecReason,
			"Kustomization %s is made from %s %s, which nobody can open a pull request at: give the Git repository that it is made of as spec.git", t.release.Kustomization, ref.Kind, ref.Name)
	}
	out := v1alpha1.SourceReference{Kind: ref.Kind, Name: ref.Name, Namespace: ref.Namespace}
	if out.Namespace == "" {
		out.Namespace = a.direct.Namespace
	}
	return out, nil
}
