package breakglass

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/remediate/delivery"
)

// AnnotationCommit on a HelmRelease says that break-glass suspended it, and for
// which commit. Without it a suspended HelmRelease was suspended by somebody
// else and is left alone.
const AnnotationCommit = delivery.AnnotationBreakGlass

// FieldManager owns spec.suspend and the annotation while break-glass lasts.
// kustomize-controller takes back what kubectl wrote, and leaves alone what
// others did (1.9.5, internal/controller/kustomization_controller.go).
const FieldManager = delivery.FieldManager

// Executor acts. All that it does is done with Config's rights.
type Executor struct {
	// Config is the access of the ServiceAccount that may do it; see [As].
	Config *rest.Config
	// Log takes what Helm says; nil drops it.
	Log *slog.Logger
}

// Task is one upgrade.
type Task struct {
	delivery.Request
	// Values are the release's, merged as Flux merges them, from Request.Commit.
	Values map[string]any
	// Chart is the path of the chart that the commit names: a folder or an archive.
	Chart string
}

// Outcome is what was done, or found to be done already.
type Outcome struct {
	// Revision of the Helm release, and ConfigDigest as helm-controller computes it.
	Revision     int
	ConfigDigest string
	// Already: an earlier run did it.
	Already bool
}

// Do does the upgrade when [delivery.Request.Check] allows it. It may be called
// again: what is done already is not done twice. Errors that match
// [delivery.ErrRefused] do not go away by calling it again.
func (e *Executor) Do(ctx context.Context, t Task) (*Outcome, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	c, err := e.client()
	if err != nil {
		return nil, err
	}
	hr, err := get(ctx, c, t.Target)
	if err != nil {
		return nil, err
	}
	if err := fit(hr); err != nil {
		return nil, err
	}
	cfg, err := newAction(e.Config, hr, e.log())
	if err != nil {
		return nil, err
	}
	return t.do(ctx, c, cfg, hr)
}

func (t Task) do(ctx context.Context, c client.Client, cfg *action.Configuration, hr *helmv2.HelmRelease) (*Outcome, error) {
	values, err := asHelmReads(t.Values)
	if err != nil {
		return nil, err
	}
	live, err := last(cfg, releaseName(hr))
	if err != nil {
		return nil, err
	}
	if live.Info.Status.IsPending() {
		return nil, fmt.Errorf("Helm release %s is %s: another upgrade runs, or was cut off; try again later, or see helm history", live.Name, live.Info.Status)
	}
	chrt, err := loadChart(t.Chart, live)
	if err != nil {
		return nil, refuse("%w", err)
	}
	if err := fitChart(hr, chrt); err != nil {
		return nil, err
	}
	if want := digestOf(values); digestOf(live.Config) == want && hr.Annotations[AnnotationCommit] == t.Commit {
		return attempted(live, want)
	}
	if err := suspend(ctx, c, t.Target, t.Commit); err != nil {
		return nil, err
	}
	return outcome(upgrade(ctx, cfg, hr, live, chrt, values))
}

// attempted: the commit was brought in, or that failed. There is one attempt for
// each approval: a second one would fail as the first did.
func attempted(live *release.Release, digest string) (*Outcome, error) {
	if live.Info.Status == common.StatusDeployed {
		return &Outcome{Revision: live.Version, ConfigDigest: digest, Already: true}, nil
	}
	return nil, refuse("revision %d of Helm release %s, made for this commit, is %s: see helm history; the HelmRelease stays suspended until a person resumes it", live.Version, live.Name, live.Info.Status)
}

func outcome(r *release.Release, err error) (*Outcome, error) {
	if err != nil {
		return nil, err
	}
	return &Outcome{Revision: r.Version, ConfigDigest: digestOf(r.Config)}, nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", delivery.ErrRefused, fmt.Errorf(format, args...))
}

// fit refuses HelmReleases for which an upgrade from here would not be the one
// that helm-controller does.
func fit(hr *helmv2.HelmRelease) error {
	name := client.ObjectKeyFromObject(hr)
	switch {
	case !hr.DeletionTimestamp.IsZero():
		return refuse("HelmRelease %s is being deleted", name)
	case hr.Spec.Suspend && hr.Annotations[AnnotationCommit] == "":
		return refuse("HelmRelease %s was suspended by somebody else, who wants it left as it is; resume it first", name)
	case hr.Spec.KubeConfig != nil:
		return refuse("HelmRelease %s installs into another cluster (spec.kubeConfig)", name)
	case hr.GetUpgrade().PreserveValues:
		return refuse("HelmRelease %s preserves values of earlier releases (spec.upgrade.preserveValues), so the commit alone does not say what they are", name)
	}
	return nil
}

func fitChart(hr *helmv2.HelmRelease, c *chart.Chart) error {
	if p := hr.GetUpgrade().CRDs; p != "" && p != helmv2.Skip && len(c.CRDObjects()) > 0 {
		return refuse("HelmRelease %s also upgrades the chart's CRDs (spec.upgrade.crds: %s)", client.ObjectKeyFromObject(hr), p)
	}
	return nil
}

// suspend keeps helm-controller from putting the old values back; see the
// package comment. It looks again before it writes: helm-controller writes its
// status to the same object.
func suspend(ctx context.Context, c client.Client, target types.NamespacedName, commit string) error {
	return change(ctx, c, target, func(hr *helmv2.HelmRelease) (patch, error) {
		return patch{suspend: true, commit: commit}, fit(hr)
	})
}

// patch is what break-glass writes to a HelmRelease; nil removes a field.
type patch struct{ suspend, commit any }

// change patches the HelmRelease as it was judged: what somebody else changes in
// between has it judged again.
func change(ctx context.Context, c client.Client, target types.NamespacedName, judge func(*helmv2.HelmRelease) (patch, error)) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		hr, err := get(ctx, c, target)
		if err != nil {
			return err
		}
		p, err := judge(hr)
		if err != nil {
			return err
		}
		text, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": hr.ResourceVersion, "annotations": map[string]any{AnnotationCommit: p.commit}},
			"spec":     map[string]any{"suspend": p.suspend},
		})
		if err != nil {
			return err
		}
		if err := c.Patch(ctx, hr, client.RawPatch(types.MergePatchType, text), client.FieldOwner(FieldManager)); err != nil {
			return fmt.Errorf("set spec.suspend of HelmRelease %s: %w", target, err)
		}
		return nil
	})
}

// asHelmReads brings values into the types that Helm has after reading YAML.
func asHelmReads(values map[string]any) (map[string]any, error) {
	text, err := yaml.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("the commit's values: %w", err)
	}
	out := map[string]any{}
	if err := yaml.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("the commit's values: %w", err)
	}
	return out, nil
}

func get(ctx context.Context, c client.Client, name types.NamespacedName) (*helmv2.HelmRelease, error) {
	hr := &helmv2.HelmRelease{}
	if err := c.Get(ctx, name, hr); err != nil {
		return nil, fmt.Errorf("read HelmRelease %s: %w", name, err)
	}
	return hr, nil
}

func (e *Executor) client() (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, helmv2.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c, err := client.New(e.Config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("access for break-glass: %w", err)
	}
	return c, nil
}

func (e *Executor) log() *slog.Logger {
	if e.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Log
}
