package remediate

import (
	"context"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/remediate-dev/remediate/examples"
)

// BenchmarkPlanIncident is the whole of `remediate plan` on the incident.
func BenchmarkPlanIncident(b *testing.B) {
	opts := layIncident(b, examples.Default)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Plan(context.Background(), opts); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRenderOnce is what it is measured against: the same chart, loaded and
// rendered once with the incident's values by helm's engine as it is.
func BenchmarkRenderOnce(b *testing.B) {
	opts := layIncident(b, examples.Default)
	res, err := Plan(context.Background(), opts)
	if err != nil {
		b.Fatal(err)
	}
	values := res.values
	b.ReportAllocs()
	for b.Loop() {
		c, err := loader.Load(opts.Chart)
		if err != nil {
			b.Fatal(err)
		}
		caps := common.DefaultCapabilities.Copy()
		top, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "cilium", Namespace: "kube-system", Revision: 1, IsInstall: true}, caps)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := engine.Render(c, top); err != nil {
			b.Fatal(err)
		}
	}
}
