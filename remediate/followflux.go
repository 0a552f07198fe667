package remediate

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// fluxKinds are the groups and versions in which a kind of Flux is served, newest
// first: the fields that are read here are the same in all of them.
func fluxKinds(kind string) []schema.GroupVersionKind {
	group, versions := "source.toolkit.fluxcd.io", []string{"v1", "v1beta2"}
	switch kind {
	case "HelmRelease":
		group, versions = "helm.toolkit.fluxcd.io", []string{"v2", "v2beta2"}
	case "Kustomization":
		group = "kustomize.toolkit.fluxcd.io"
	case "GitRepository", "OCIRepository", "Bucket":
	default:
		return nil
	}
	var out []schema.GroupVersionKind
	for _, v := range versions {
		out = append(out, schema.GroupVersionKind{Group: group, Version: v, Kind: kind})
	}
	return out
}

// fluxObject is what is read of any of them.
type fluxObject struct {
	Metadata struct {
		Generation int64             `json:"generation"`
		Labels     map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Suspend   bool          `json:"suspend"`
		SourceRef fluxReference `json:"sourceRef"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration        int64               `json:"observedGeneration"`
		Conditions                []metav1.Condition  `json:"conditions"`
		LastAppliedRevision       string              `json:"lastAppliedRevision"`
		LastAppliedOriginRevision string              `json:"lastAppliedOriginRevision"`
		Artifact                  *fluxmeta.Artifact  `json:"artifact"`
		History                   []fluxReleaseRecord `json:"history"`
	} `json:"status"`
}

type fluxReference struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// fluxReleaseRecord is one entry of a HelmRelease's history. ConfigDigest is
// chartutil.DigestValues of the release's values, in SHA-256
// (helm-controller 1.6.1, internal/release/observation.go:174).
type fluxReleaseRecord struct {
	Version      int         `json:"version"`
	Status       string      `json:"status"`
	ChartVersion string      `json:"chartVersion"`
	ConfigDigest string      `json:"configDigest"`
	LastDeployed metav1.Time `json:"lastDeployed"`
}

// flux reads one of Flux's objects; nil when it is not there or may not be read.
func (f *Follower) flux(ctx context.Context, kind, namespace, name string) (*fluxObject, error) {
	for _, gvk := range fluxKinds(kind) {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(gvk)
		ok, err := f.get(ctx, namespace, name, u)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		raw, err := u.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", object(kind, namespace, name), err)
		}
		var out fluxObject
		if err := json.Unmarshal(raw, &out); err != nil {
			return nil, fmt.Errorf("read %s: %w", object(kind, namespace, name), err)
		}
		return &out, nil
	}
	return nil, nil
}

// ready is the condition Ready with its message.
func (o *fluxObject) ready() (snapshot.Tri, string) {
	c := meta.FindStatusCondition(o.Status.Conditions, fluxmeta.ReadyCondition)
	if c == nil {
		return snapshot.Unknown, ""
	}
	switch c.Status {
	case metav1.ConditionTrue:
		return snapshot.Yes, c.Message
	case metav1.ConditionFalse:
		return snapshot.No, c.Message
	}
	return snapshot.Unknown, c.Message
}

// newest is the release that was made last, or nil.
func (o *fluxObject) newest() *fluxReleaseRecord {
	var out *fluxReleaseRecord
	for i := range o.Status.History {
		if r := &o.Status.History[i]; out == nil || r.Version > out.Version {
			out = r
		}
	}
	return out
}

// Labels that kustomize-controller puts on what it applies.
const (
	kustomizeName      = "kustomize.toolkit.fluxcd.io/name"
	kustomizeNamespace = "kustomize.toolkit.fluxcd.io/namespace"
)

// release reads the HelmRelease, and from its labels up to the source.
func (l *followLook) release(ctx context.Context) error {
	namespace, name, err := splitName(l.Release)
	if err != nil {
		return err
	}
	hr, err := l.flux(ctx, "HelmRelease", namespace, name)
	if hr == nil || err != nil {
		return err
	}
	r := &l.in.Release
	*r = verify.Release{Object: object("HelmRelease", namespace, name), Generation: hr.Metadata.Generation, Observed: hr.Status.ObservedGeneration, Suspended: hr.Spec.Suspend}
	r.Ready, r.Message = hr.ready()
	if s := hr.newest(); s != nil {
		r.Digest, r.Status, r.ChartVersion, r.Deployed = s.ConfigDigest, s.Status, s.ChartVersion, s.LastDeployed.Time
	}
	return l.kustomization(ctx, hr.Metadata.Labels)
}

// kustomization reads the one that the labels name: the one that applies the
// release.
func (l *followLook) kustomization(ctx context.Context, labels map[string]string) error {
	name, namespace := labels[kustomizeName], labels[kustomizeNamespace]
	if name == "" || namespace == "" {
		return nil
	}
	ks, err := l.flux(ctx, "Kustomization", namespace, name)
	if ks == nil || err != nil {
		return err
	}
	k := verify.Kustomization{Object: object("Kustomization", namespace, name), Revision: ks.Status.LastAppliedRevision, Suspended: ks.Spec.Suspend}
	k.Ready, k.Message = ks.ready()
	if k.Contains, err = l.contains(ctx, k.Revision, ks.Status.LastAppliedOriginRevision); err != nil {
		return err
	}
	l.in.Kustomizations = []verify.Kustomization{k}
	ref := ks.Spec.SourceRef
	if ref.Namespace == "" {
		ref.Namespace = namespace
	}
	return l.source(ctx, ref)
}

// originRevision is where an OCI artifact keeps the commit that it was made of.
const originRevision = "org.opencontainers.image.revision"

// source reads what the Kustomization is made from.
func (l *followLook) source(ctx context.Context, ref fluxReference) error {
	from, err := l.flux(ctx, ref.Kind, ref.Namespace, ref.Name)
	if from == nil || err != nil {
		return err
	}
	s := verify.Source{Object: object(ref.Kind, ref.Namespace, ref.Name), Contains: snapshot.No, Suspended: from.Spec.Suspend}
	s.Ready, s.Message = from.ready()
	if a := from.Status.Artifact; a != nil {
		s.Revision = a.Revision
		if s.Contains, err = l.contains(ctx, a.Revision, a.Metadata[originRevision]); err != nil {
			return err
		}
	}
	l.in.Source = s
	return nil
}

// inRevision finds the commit in a revision of Flux: "main@sha1:HASH", "sha1:HASH",
// formerly "main/HASH". "latest@sha256:HASH" is the digest of an OCI artifact.
var inRevision = regexp.MustCompile(`^(?:.*@sha1:|sha1:|(?:[^@]*/)?)([0-9a-f]{40}|[0-9a-f]{64})$`)

// contains says whether a revision holds the merged commit. Origin is the revision
// that an artifact was made of, where it is not the revision itself.
func (l *followLook) contains(ctx context.Context, revision, origin string) (snapshot.Tri, error) {
	if revision == "" {
		return snapshot.No, nil
	}
	if origin == "" {
		origin = revision
	}
	m := inRevision.FindStringSubmatch(origin)
	switch {
	case m == nil || l.Merged.Commit == "":
		return snapshot.Unknown, nil
	case m[1] == l.Merged.Commit:
		return snapshot.Yes, nil
	case l.Contains == nil:
		return snapshot.Unknown, nil
	}
	return l.Contains(ctx, m[1])
}

// Holds answers [Followed.Contains] from a clone: unknown, where that lacks the
// revision or the history between.
func Holds(clone *repo.Repo, commit string) func(context.Context, string) (snapshot.Tri, error) {
	return func(_ context.Context, revision string) (snapshot.Tri, error) {
		holds, known, err := clone.Contains(revision, commit)
		if err != nil || !known {
			return snapshot.Unknown, err
		}
		return snapshot.TriOf(holds), nil
	}
}
