package remediate

import (
	"maps"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

// DeliverOptions add to an assessment what a plan does not know.
type DeliverOptions struct {
	// API is whether Flux's controllers, by app, reach the API server.
	API map[string]delivery.Reach
	// BreakGlass is the policy's spec.breakGlass.enabled.
	BreakGlass bool
	// Commit is the merge's hash, once there is one.
	Commit string
}

// delivering is what of a run says whether and how its change arrives.
type delivering struct {
	facts  *delivery.Facts
	target delivery.Target
	chart  string
}

// Deliver says whether Flux brings a candidate's change in once it is merged,
// and what a person can do otherwise. An empty candidate stands for the values
// as the checkout has them, which is right after the merge.
func (res *Result) Deliver(candidate string, opts DeliverOptions) (delivery.Assessment, []delivery.Step) {
	facts := delivery.Facts{}
	if res.deliver.facts != nil {
		facts = *res.deliver.facts
	}
	facts.API, facts.BreakGlass = maps.Clone(opts.API), opts.BreakGlass
	a := delivery.Assess(&facts)
	t := res.deliver.target
	t.Commit = opts.Commit
	if t.ValuesHidden == "" && secretInside(res.values) {
		t.ValuesHidden = "one of them looks like a credential, or is named like one"
	}
	if t.ValuesHidden == "" {
		t.Values = res.values
	}
	for _, c := range res.Plan.Candidates {
		if c.ID != candidate {
			continue
		}
		t.Restart = c.Rollout.Restart
		for _, change := range c.Changes {
			t.Changes = withValue(t.Changes, change.Path, change.To)
			if t.Values != nil {
				t.Values = withValue(t.Values, change.Path, change.To)
			}
		}
	}
	return a, delivery.Instructions(&a, &t)
}

// Values are the release's as the checkout has them, merged as Flux merges them.
// They are shared: do not change them.
func (res *Result) Values() map[string]any { return res.values }

// ChartPath is the chart that the plan was rendered with, a folder or an
// archive; empty when there was none. One that lies in a clone goes with it.
func (res *Result) ChartPath() string { return res.deliver.chart }

// withValue is a copy of values with one value set.
func withValue(values map[string]any, path string, to any) map[string]any {
	out := maps.Clone(values)
	if out == nil {
		out = map[string]any{}
	}
	key, rest, nested := strings.Cut(path, ".")
	if !nested {
		out[key] = to
		return out
	}
	below, _ := out[key].(map[string]any)
	out[key] = withValue(below, rest, to)
	return out
}

// delivering reads the facts of a run that is complete.
func (r *Run) delivering() delivering {
	d := delivering{facts: &delivery.Facts{Namespace: "flux-system"}, chart: r.chartPath}
	if r.facts != nil && r.facts.Snapshot != nil {
		d.facts = delivery.FactsOf(r.facts.Snapshot, r.liveModel(), "")
	}
	rel, origin := r.release, r.release.Origin()
	d.target = delivery.Target{
		Namespace: rel.Namespace, Name: rel.Name, Release: rel.ReleaseName, TargetNamespace: rel.TargetNamespace,
		Version: rel.Chart.Version, PostRenderers: len(rel.PostRenderers) > 0,
		Remote: withoutPassword(origin.URL), Branch: origin.Branch, ValuesHidden: whyHidden(rel),
	}
	chart := rel.Chart
	chart.URL = repo.Redact(chart.URL)
	d.target.Chart, d.target.Repository = chartArgument(chart)
	d.target.PlainHTTP = chart.Insecure
	d.target.Kustomization = liveKustomization(rel, d.facts.Consumers[delivery.KustomizeController])
	return d
}

// liveModel is of what the cluster has: once a change is merged, what the checkout
// renders carries packets that are still lost.
func (r *Run) liveModel() *datapath.Model {
	if r.live == nil || maps.Equal(r.live.Values, r.facts.Config.Values) {
		return r.facts.Model
	}
	m, err := datapath.New(datapath.Input{Config: *r.live, PerNode: perNode(*r.live, r.snapshot), Snapshot: r.snapshot})
	if err != nil {
		return r.facts.Model
	}
	return m
}

// withoutPassword is a URL that may be shown, or nothing.
func withoutPassword(raw string) string {
	if repo.Redact(raw) != raw {
		return ""
	}
	return raw
}

// liveKustomization is NAMESPACE/NAME of the Kustomization that applies the
// release, where the cluster has exactly one of that name.
func liveKustomization(rel *source.Release, live []snapshot.FluxObject) string {
	if len(rel.Kustomizations) == 0 {
		return ""
	}
	last := strings.TrimPrefix(rel.Kustomizations[len(rel.Kustomizations)-1], "Kustomization ")
	stated, _, _ := strings.Cut(last, " ")
	var found []string
	for _, o := range live {
		if full := o.Namespace + "/" + o.Name; full == stated || o.Name == stated {
			found = append(found, full)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// whyHidden says why a release's values must not be shown, or are not known.
func whyHidden(rel *source.Release) string {
	i := slices.IndexFunc(rel.Sources, func(s source.ValuesSource) bool { return s.Kind == "Secret" || s.Unreadable })
	switch {
	case i >= 0:
		return "some of them come from " + rel.Sources[i].Kind + " " + rel.Sources[i].Name
	case len(rel.Missing) > 0:
		return rel.Missing[0]
	case len(rel.Unresolved) > 0:
		return "some of them hold variables that are not known"
	}
	return ""
}

// chartArgument is a chart as the helm program takes it.
func chartArgument(c source.Chart) (chart, repository string) {
	switch {
	case c.Kind == "OCIRepository":
		return c.URL, ""
	case c.Kind == "GitRepository":
		return "./" + strings.TrimPrefix(c.Path, "./"), ""
	case strings.HasPrefix(c.URL, "oci://"):
		return strings.TrimSuffix(c.URL, "/") + "/" + c.Name, ""
	}
	return c.Name, c.URL
}

// deliveryText is the section of a pull request that says that Flux cannot bring
// the change; empty when nothing says so.
func (res *Result) deliveryText(candidate string) string {
	if res.deliver.facts == nil {
		return ""
	}
	a, steps := res.Deliver(candidate, DeliverOptions{})
	if a.Arrives != delivery.No {
		return ""
	}
	return delivery.Markdown(&a, steps)
}
