package breakglass

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/Masterminds/semver/v3"
	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/chartutil"
	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// writeAsHelmController makes Helm own the fields that it writes under the name
// that helm-controller writes under (1.6.1, main.go). Under any other name the
// fields would have two owners, and one that a later chart drops would stay.
// Helm keeps the name in a variable of the package, so this holds for the
// process.
var writeAsHelmController = sync.OnceFunc(func() { kube.ManagedFieldsManager = "helm-controller" })

// newAction opens the storage that helm-controller uses: Secrets, in the
// release's storage namespace.
func newAction(cfg *rest.Config, hr *helmv2.HelmRelease, log *slog.Logger) (*action.Configuration, error) {
	writeAsHelmController()
	g, err := newGetter(cfg, hr.GetReleaseNamespace())
	if err != nil {
		return nil, err
	}
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("access to Helm's storage: %w", err)
	}
	out := action.NewConfiguration(action.ConfigurationSetLogger(log.Handler()))
	client := kube.New(g)
	client.SetLogger(log.Handler())
	out.RESTClientGetter, out.KubeClient = g, client
	out.Releases = storage.Init(driver.NewSecrets(clients.CoreV1().Secrets(hr.GetStorageNamespace())))
	out.Releases.SetLogger(log.Handler())
	return out, nil
}

// last is the newest entry of the release's history.
func last(cfg *action.Configuration, name string) (*release.Release, error) {
	r, err := cfg.Releases.Last(name)
	switch {
	case errors.Is(err, driver.ErrReleaseNotFound):
		return nil, fmt.Errorf("Helm has no release %s: break-glass upgrades, it does not install", name)
	case err != nil:
		return nil, fmt.Errorf("read the history of Helm release %s: %w", name, err)
	}
	out, ok := r.(*release.Release)
	if !ok {
		return nil, fmt.Errorf("Helm release %s is not of chart API v2", name)
	}
	return out, nil
}

// loadChart reads the chart, which must be the one that is live: the same
// name, and the same version but for what helm-controller adds to it after "+"
// from the digest of an OCI artifact. The live one's version is taken, so that
// the release is the one that helm-controller would store.
func loadChart(path string, live *release.Release) (*chart.Chart, error) {
	c, err := loader.Load(path)
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	if live.Chart == nil || live.Chart.Metadata == nil {
		return nil, fmt.Errorf("Helm release %s does not name its chart", live.Name)
	}
	have := live.Chart.Metadata
	if c.Name() != have.Name || !sameVersion(c.Metadata.Version, have.Version) {
		return nil, fmt.Errorf("the commit's chart is %s %s and the live one %s %s: break-glass changes values, never the chart; let a person upgrade it",
			c.Name(), c.Metadata.Version, have.Name, have.Version)
	}
	c.Metadata.Version = have.Version
	return c, nil
}

func sameVersion(a, b string) bool {
	va, errA := semver.StrictNewVersion(a)
	vb, errB := semver.StrictNewVersion(b)
	return a == b || errA == nil && errB == nil && va.Equal(vb)
}

// upgrade runs helm upgrade with the settings that helm-controller derives from
// the HelmRelease (1.6.1, internal/action/upgrade.go), but that it does not wait
// for the workloads: on a broken network they may never be ready, and whether
// the agents run the change is watched by itself.
func upgrade(ctx context.Context, cfg *action.Configuration, hr *helmv2.HelmRelease, live *release.Release, c *chart.Chart, values map[string]any) (*release.Release, error) {
	spec := hr.GetUpgrade()
	u := action.NewUpgrade(cfg)
	serverSide := live.ApplyMethod == string(release.ApplyMethodServerSideApply)
	switch spec.ServerSideApply {
	case helmv2.ServerSideApplyEnabled:
		serverSide = true
	case helmv2.ServerSideApplyDisabled:
		serverSide = false
	}
	u.ServerSideApply = fmt.Sprint(serverSide)
	u.ForceConflicts = serverSide
	u.ForceReplace = spec.Force && !serverSide
	u.Namespace = hr.GetReleaseNamespace()
	u.ResetValues = true
	u.MaxHistory = hr.GetMaxHistory()
	u.Timeout = spec.GetTimeout(hr.GetTimeout()).Duration
	u.TakeOwnership = !spec.DisableTakeOwnership
	u.WaitStrategy = kube.HookOnlyStrategy
	u.DisableHooks = spec.DisableHooks
	u.DisableOpenAPIValidation = spec.DisableOpenAPIValidation
	u.SkipSchemaValidation = spec.DisableSchemaValidation
	u.CleanupOnFail = spec.CleanupOnFail
	u.Devel = true
	u.PostRenderer = postRenderersOf(hr)
	if s := hr.GetPostRenderStrategy(); s != "" {
		u.PostRenderStrategy = action.PostRenderStrategy(s)
	}
	r, err := u.RunWithContext(ctx, live.Name, c, values)
	if err != nil {
		return nil, fmt.Errorf("helm upgrade of %s in %s: %w", live.Name, u.Namespace, err)
	}
	out, ok := r.(*release.Release)
	if !ok {
		return nil, fmt.Errorf("Helm release %s is not of chart API v2", live.Name)
	}
	return out, nil
}

// digestOf is a HelmRelease's status.history[].configDigest.
func digestOf(values map[string]any) string {
	return chartutil.DigestValues(digest.Canonical, values).String()
}
