package breakglass

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/chartutil"
	"github.com/go-logr/logr"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Agreement says whether Git and the cluster agree after an upgrade.
type Agreement struct {
	// Closed: they agree, and Flux has the HelmRelease back.
	Closed bool
	// Waits says what does not agree yet, a sentence each.
	Waits []string
}

// Close compares what the commit says with the HelmRelease in the cluster, with
// Helm's history and with the live cilium-config, and gives the HelmRelease back
// to Flux when all agree. Call it until Agreement.Closed.
//
// values are those of the merged commit. A HelmRelease that break-glass did not
// suspend is not written.
func (e *Executor) Close(ctx context.Context, target types.NamespacedName, commit string, values map[string]any) (*Agreement, error) {
	c, err := e.client()
	if err != nil {
		return nil, err
	}
	hr, err := get(ctx, c, target)
	if err != nil {
		return nil, err
	}
	if values, err = asHelmReads(values); err != nil {
		return nil, err
	}
	a := &Agreement{}
	if err := e.compare(ctx, c, hr, values, a); err != nil || len(a.Waits) > 0 {
		return a, err
	}
	switch have := hr.Annotations[AnnotationCommit]; have {
	case "":
	case commit:
		if err := resume(ctx, c, target, commit); err != nil {
			return a, err
		}
	default:
		a.Waits = append(a.Waits, fmt.Sprintf("HelmRelease %s was suspended for commit %.12s, not for %.12s", target, have, commit))
		return a, nil
	}
	a.Closed = true
	return a, nil
}

// resume takes back what suspend wrote.
func resume(ctx context.Context, c client.Client, target types.NamespacedName, commit string) error {
	return change(ctx, c, target, func(hr *helmv2.HelmRelease) (patch, error) {
		if have := hr.Annotations[AnnotationCommit]; have != commit {
			return patch{}, fmt.Errorf("HelmRelease %s was suspended for commit %.12s meanwhile, not for %.12s", target, have, commit)
		}
		return patch{}, nil
	})
}

func (e *Executor) compare(ctx context.Context, c client.Client, hr *helmv2.HelmRelease, values map[string]any, a *Agreement) error {
	want := digestOf(values)
	said, err := chartutil.ChartValuesFromReferences(ctx, logr.Discard(), c, hr.Namespace, hr.GetValues(), hr.Spec.ValuesFrom...)
	switch {
	case err != nil:
		a.Waits = append(a.Waits, fmt.Sprintf("the values of HelmRelease %s in the cluster cannot be read", client.ObjectKeyFromObject(hr)))
	case digestOf(said) != want:
		a.Waits = append(a.Waits, fmt.Sprintf("HelmRelease %s in the cluster does not hold the commit's values yet: its Kustomization has not applied the commit", client.ObjectKeyFromObject(hr)))
	}
	cfg, err := newAction(e.Config, hr, e.log())
	if err != nil {
		return err
	}
	live, err := last(cfg, releaseName(hr))
	if err != nil {
		return err
	}
	if digestOf(live.Config) != want {
		a.Waits = append(a.Waits, fmt.Sprintf("revision %d of Helm release %s does not have the commit's values", live.Version, live.Name))
	}
	return e.compareConfig(ctx, c, hr, live, a)
}

// compareConfig holds the live cilium-config against the one that the release
// rendered, key by key. No value is shown.
func (e *Executor) compareConfig(ctx context.Context, c client.Client, hr *helmv2.HelmRelease, live *release.Release, a *Agreement) error {
	want, err := configOf(live.Manifest)
	if err != nil {
		return fmt.Errorf("read the manifest of Helm release %s: %w", live.Name, err)
	}
	have := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: hr.GetReleaseNamespace(), Name: configName}
	if err := c.Get(ctx, key, have); err != nil {
		return fmt.Errorf("read ConfigMap %s: %w", key, err)
	}
	if maps.Equal(want, have.Data) {
		return nil
	}
	a.Waits = append(a.Waits, fmt.Sprintf("ConfigMap %s differs from what revision %d of the release rendered, in %v", key, live.Version, differing(want, have.Data)))
	return nil
}

const configName = "cilium-config"

// differing are the first keys that differ.
func differing(a, b map[string]string) []string {
	const most = 5
	var out []string
	for k := range a {
		if v, ok := b[k]; !ok || v != a[k] {
			out = append(out, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out[:min(len(out), most)]
}

// configOf finds cilium-config among the objects of a manifest.
func configOf(manifest string) (map[string]string, error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest)))
	for {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("it holds no ConfigMap %s", configName)
		}
		if err != nil {
			return nil, err
		}
		var o metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(text, &o); err != nil || o.Kind != "ConfigMap" || o.Name != configName {
			continue
		}
		var out corev1.ConfigMap
		if err := yaml.Unmarshal(text, &out); err != nil {
			return nil, fmt.Errorf("ConfigMap %s: %w", configName, err)
		}
		return out.Data, nil
	}
}
