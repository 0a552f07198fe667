package breakglass

import (
	"errors"
	"strings"
	"testing"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/google/go-cmp/cmp"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/remediate/delivery"
)

// The story: Flux is cut off, the upgrade is done with the rights of
// config/break-glass, Flux comes back, and takes over without a change.
func TestBreakGlass(t *testing.T) {
	b := newBed(t)
	e := b.install()
	first := b.lastRevision()
	b.flux.stop()

	got, err := e.Do(t.Context(), b.task(whole))
	if err != nil {
		t.Fatal(err)
	}
	if got.Already || got.Revision != first+1 || got.ConfigDigest != digestOf(b.values(whole)) {
		t.Errorf("outcome %+v after revision %d", got, first)
	}
	if have := b.config()["ipv6-native-routing-cidr"]; have != whole {
		t.Errorf("cilium-config has %s, want %s", have, whole)
	}
	if hr := b.helmRelease(); !hr.Spec.Suspend || hr.Annotations[AnnotationCommit] != merged {
		t.Errorf("suspend %v for %q", hr.Spec.Suspend, hr.Annotations[AnnotationCommit])
	}
	t.Run("again", func(t *testing.T) {
		again, err := e.Do(t.Context(), b.task(whole))
		if err != nil || !again.Already || again.Revision != got.Revision || b.lastRevision() != got.Revision {
			t.Errorf("%+v, %v; the last revision is %d", again, err, b.lastRevision())
		}
	})

	t.Run("rights", func(t *testing.T) { b.rights(e) })

	b.flux = b.startFlux()
	b.ask()
	t.Run("Git has not arrived", func(t *testing.T) {
		a, err := e.Close(t.Context(), cilium, merged, b.values(whole))
		if err != nil || a.Closed || !contains(a.Waits, "does not hold the commit's values yet") {
			t.Errorf("%+v, %v", a, err)
		}
		if !b.helmRelease().Spec.Suspend {
			t.Error("resumed too early")
		}
	})

	b.apply(whole)
	before := b.objects()
	a, err := e.Close(t.Context(), cilium, merged, b.values(whole))
	if err != nil || !a.Closed {
		t.Fatalf("%+v, %v", a, err)
	}
	if hr := b.helmRelease(); hr.Spec.Suspend || hr.Annotations[AnnotationCommit] != "" {
		t.Errorf("not given back: %v %v", hr.Spec.Suspend, hr.Annotations)
	}
	b.ask()
	b.until("Flux adopts the release", func() bool { return b.lastRevision() == got.Revision+1 && ready(b.helmRelease()) })
	b.sameRelease(got.Revision, got.Revision+1)
	if diff := cmp.Diff(before, b.objects()); diff != "" {
		t.Errorf("Flux changed objects when it adopted the release (-before +after):\n%s", diff)
	}
	if have := b.helmRelease().Status.History.Latest().ConfigDigest; have != got.ConfigDigest {
		t.Errorf("Flux computes the digest %s of the values, break-glass %s", have, got.ConfigDigest)
	}
}

// sameRelease: what break-glass stored is what helm-controller stores for the
// same commit.
func (b *bed) sameRelease(ours, theirs int) {
	b.t.Helper()
	x, y := b.history(ours), b.history(theirs)
	type stored struct {
		Name, Namespace, Manifest, ApplyMethod, Chart string
		Config                                        map[string]any
		Labels                                        map[string]string
		Hooks                                         int
	}
	of := func(r *release.Release) stored {
		return stored{r.Name, r.Namespace, r.Manifest, r.ApplyMethod, r.Chart.Metadata.Version, r.Config, r.Labels, len(r.Hooks)}
	}
	if diff := cmp.Diff(of(y), of(x)); diff != "" {
		b.t.Errorf("releases differ (-helm-controller's +ours):\n%s", diff)
	}
	for _, part := range []string{"team: network", "patched: \"yes\"", "mirror.example/operator", "helm.toolkit.fluxcd.io/name: cilium"} {
		if !strings.Contains(x.Manifest, part) {
			b.t.Errorf("no %q in the manifest: a post-renderer did not run", part)
		}
	}
}

// objects are the versions of what decides the agents' configuration and restart.
func (b *bed) objects() map[string]string {
	b.t.Helper()
	out := map[string]string{}
	r := b.history(b.lastRevision())
	for _, o := range objectsOf(b.t, r.Manifest) {
		have := o.DeepCopy()
		if err := b.client.Get(b.t.Context(), client.ObjectKeyFromObject(o), have); err != nil {
			b.t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		out[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = have.GetResourceVersion()
	}
	return out
}

// Why the HelmRelease is suspended: without it Flux takes the upgraded release
// for a foreign one and puts the old values back.
func TestFluxPutsOldValuesBack(t *testing.T) {
	b := newBed(t)
	e := &Executor{Config: b.admin}
	got, err := e.Do(t.Context(), b.task(whole))
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"spec":{"suspend":false}}`)
	if err := b.client.Patch(t.Context(), b.helmRelease(), client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
	b.until("Flux upgrades the release that it does not know", func() bool { return b.lastRevision() > got.Revision && ready(b.helmRelease()) })
	if have := b.config()["ipv6-native-routing-cidr"]; have != patchy {
		t.Errorf("cilium-config has %s; Flux no longer puts the old values back, and suspending may not be needed", have)
	}
}

func TestRefusesWhatDoesNotFit(t *testing.T) {
	tests := []struct {
		name   string
		change func(*helmv2.HelmRelease)
		want   string
	}{
		{"suspended by a person", func(hr *helmv2.HelmRelease) { hr.Spec.Suspend = true }, "suspended by somebody else"},
		{"another cluster", func(hr *helmv2.HelmRelease) { hr.Spec.KubeConfig = &metaKubeConfig }, "another cluster"},
		{"preserved values", func(hr *helmv2.HelmRelease) { hr.Spec.Upgrade = &helmv2.Upgrade{PreserveValues: true} }, "preserves values"},
		{"plain", func(*helmv2.HelmRelease) {}, ""},
		{"suspended by break-glass", func(hr *helmv2.HelmRelease) {
			hr.Spec.Suspend, hr.Annotations = true, map[string]string{AnnotationCommit: merged}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hr := &helmv2.HelmRelease{ObjectMeta: named("cilium")}
			tt.change(hr)
			err := fit(hr)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!errors.Is(err, delivery.ErrRefused) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
