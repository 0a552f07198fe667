package remediate

import (
	"slices"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/signature"
)

// Without routes to pods, no pod reaches another node's address either, since the
// answer has no way back. Twins in the nodes' own network tell that it is the routes.
func TestDetectWithTwins(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 3)
	b.is(func(c mesh.Check, o *v1alpha1.Observation) {
		if c.Family == "IPv6" && c.To.Node != c.From.Node && c.To.Node != "" && !(c.HostNetwork && c.Via == mesh.ViaNodeIP) {
			o.Outcome, o.Received, o.SourceSeen = v1alpha1.OutcomeTimeout, 0, ""
		}
	})
	opts := b.options()
	opts.Probes.Host, opts.For = true, 5*time.Minute // it ends when the failure is confirmed
	d, err := Detect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	is := func(f v1alpha1.Finding) bool {
		return f.Signature == signature.NoRouteBetweenNodes && f.Family == "IPv6" && f.Confidence == v1alpha1.ConfidenceConfirmed
	}
	if !slices.ContainsFunc(d.Result.Findings, is) {
		t.Errorf("findings %+v, pending %+v", d.Result.Findings, d.Result.Pending)
	}
	if d.Heard != 3 || d.Probes != 3 {
		t.Errorf("%d of %d probes heard, want 3 of 3: twins are no probes of pods", d.Heard, d.Probes)
	}
	twins := slices.ContainsFunc(d.Result.Reports, func(r v1alpha1.ProbeReport) bool {
		return slices.ContainsFunc(r.Observations, func(o v1alpha1.Observation) bool { return o.HostNetwork })
	})
	if !twins {
		t.Error("no report of a twin")
	}
}
