package remediate

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// signatureInput builds what the signatures judge from the steps before.
func (r *Run) signatureInput(ctx context.Context) (*signature.Input, error) {
	in := &signature.Input{Config: r.current.Config, Live: r.live, Rendered: r.current.Complete, RenderFailure: r.renderError}
	in.Settings, r.notices = cilium.Effective(in.Config)
	in.Start = cilium.CheckStart(in.Config)
	switch {
	case r.renderError != "":
		in.Start = cilium.Start{}
	case len(r.doubts) > 0:
		in.Start = cilium.Start{Unknown: in.Start.Unknown}
	}
	if err := r.poolFromConfig(in); err != nil {
		return nil, err
	}
	in.Snapshot = r.snapshot
	in.Where = func(path string) string {
		w := r.release.Where(path)
		return placeOf(w)
	}
	var err error
	if in.DeadKeys, err = r.deadKeys(ctx); err != nil {
		return nil, err
	}
	if err := r.readCopies(ctx); err != nil {
		return nil, err
	}
	in.Copies = r.copyValues()
	in.ModelInput = datapath.Input{Config: in.Config, PerNode: perNode(in.Config, r.snapshot), Snapshot: r.snapshot}
	in.Model, err = datapath.New(in.ModelInput)
	if err != nil {
		return nil, fmt.Errorf("model the datapath: %w", err)
	}
	in.Analysis = in.Model.Analyse()
	return in, nil
}

// poolFromConfig states the operator's pools: with IPAM mode cluster-pool they
// are part of the configuration itself.
func (r *Run) poolFromConfig(in *signature.Input) error {
	if in.Settings.IPAM != "cluster-pool" {
		return nil
	}
	var stated []observe.StatedFact
	for _, family := range in.Families() {
		path := "ipam.operator.clusterPool" + family + "PodCIDRList"
		where := placeOf(r.release.Where(path))
		if where == "" {
			where = "chart default of " + path
		}
		for _, p := range strings.FieldsFunc(in.Config.Values["cluster-pool-"+strings.ToLower(family)+"-cidr"], isSeparator) {
			if _, err := netip.ParsePrefix(p); err == nil {
				stated = append(stated, observe.StatedFact{Kind: observe.StatedPodPool, Value: p, Source: where, IPAM: "cluster-pool"})
			}
		}
	}
	merged, err := observe.Merge(r.snapshot, stated)
	if err != nil {
		return err
	}
	r.snapshot = merged
	return nil
}

func isSeparator(r rune) bool { return r == ' ' || r == ',' }

// placeOf is file:line of a value, or empty.
func placeOf(w source.Provenance) string {
	if !w.Found || w.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", w.File, w.Line)
}

// perNode are the configurations of nodes that a CiliumNodeConfig overrides.
func perNode(base cilium.Config, s *snapshot.Snapshot) map[string]cilium.Config {
	out := map[string]cilium.Config{}
	for _, nc := range s.NodeConfigs {
		for i := range s.Nodes {
			n := &s.Nodes[i]
			if nc.SelectorExpressions || !selects(nc.Selector, n.Labels) {
				continue
			}
			cfg, ok := out[n.Name]
			if !ok {
				cfg = base
			}
			cfg.Values = maps.Clone(cfg.Values)
			maps.Copy(cfg.Values, nc.Defaults)
			out[n.Name] = cfg
		}
	}
	return out
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func (r *Run) deadKeys(ctx context.Context) ([]signature.DeadKey, error) {
	if r.chart == nil || r.renderError != "" {
		return nil, nil
	}
	opts := r.renderOptions()
	opts.Before = r.rendered
	keys, err := r.chart.NoEffect(ctx, r.release.Values, nil, opts)
	if err != nil {
		return nil, fmt.Errorf("look for values without effect: %w", err)
	}
	var out []signature.DeadKey
	for _, k := range keys {
		w := r.release.Where(k.Path)
		if w.Secret {
			w.Value = "(from a Secret)"
		}
		out = append(out, signature.DeadKey{Path: k.Path, Value: shown(k.Path, w.Value), Source: placeOf(w), RightKey: k.Suggestion})
	}
	return out, nil
}

// planFacts lists what the diagnosis rests on.
func (r *Run) planFacts() v1alpha1.Facts {
	in := r.facts
	f := v1alpha1.Facts{Unknown: []string{}}
	for _, family := range in.Families() {
		for _, c := range in.Snapshot.PodCIDRs(in.Settings.IPAM, family) {
			f.PodCIDRs = append(f.PodCIDRs, v1alpha1.Fact{Value: c.Prefix.String(), Source: c.Source})
		}
		pool, observed := in.Snapshot.Pool(in.Settings.IPAM, family)
		for _, c := range pool {
			f.PodPool = append(f.PodPool, v1alpha1.Fact{Value: c.Prefix.String(), Source: c.Source, ObservedOnly: &observed})
		}
		for _, c := range in.Snapshot.ServiceRange(family) {
			f.ServiceCIDRs = append(f.ServiceCIDRs, v1alpha1.Fact{Value: c.Prefix.String(), Source: c.Source})
		}
		for _, c := range in.Snapshot.NodeAddresses(family) {
			f.NodeAddresses = append(f.NodeAddresses, v1alpha1.Fact{Value: c.Prefix.Addr().String(), Source: c.Source})
		}
		if len(pool) == 0 {
			f.Unknown = append(f.Unknown, family+" pod CIDRs")
		} else if observed {
			f.Unknown = append(f.Unknown, family+" pod pool (only what nodes use is known)")
		}
		if len(in.Snapshot.ServiceRange(family)) == 0 {
			f.Unknown = append(f.Unknown, family+" service CIDRs")
		}
	}
	f.Unknown = append(f.Unknown, r.unknownKinds()...)
	f.Unknown = append(f.Unknown, r.unknown...)
	for _, u := range in.Start.Unknown {
		f.Unknown = append(f.Unknown, "start-up: "+u)
	}
	if r.historyNote != "" {
		f.Unknown = append(f.Unknown, "history: "+r.historyNote)
	}
	sort.Strings(f.Unknown)
	return f
}

func (r *Run) unknownKinds() []string {
	var out []string
	for _, k := range []struct{ kind, what string }{
		{"Node", "nodes"}, {"NetworkPolicy", "NetworkPolicies"}, {"CiliumNetworkPolicy", "CiliumNetworkPolicies"}, {"ProbeReport", "probes"},
	} {
		if !r.snapshot.Read(k.kind) {
			out = append(out, k.what)
		}
	}
	if !r.snapshot.AgentConfig.Known {
		out = append(out, "the live cilium-config")
	}
	return out
}

// keyOfNobody is the notice of a key that the agent has no flag for. The chart
// writes such keys itself, for the operator.
const keyOfNobody = "W19"

func (r *Run) makePlan(ctx context.Context) error {
	p := &r.plan
	p.APIVersion, p.Kind = v1alpha1.APIVersion, "Plan"
	p.Subject = r.subject()
	p.Facts = r.planFacts()
	p.Findings = r.findings
	for _, n := range r.notices {
		if n.ID == keyOfNobody && r.current.Complete {
			continue
		}
		p.Notices = append(p.Notices, v1alpha1.Evidence{Kind: "rule", Text: n.ID + ": " + n.Message, Source: n.Source})
	}
	in := plan.Input{Facts: r.facts, Findings: r.findings, Current: r.current, Render: r.renderSets, History: r.history, Hold: r.hold(),
		Running: len(r.snapshot.AgentDaemonSet.Value.Agents) > 0}
	if r.chart != nil {
		in.Default = r.chart.Default
	}
	plan.Make(in, p)
	leaveOut(p, r.opts.Tried)
	r.caveats(p)
	return nil
}

// hold is why nothing may be proposed, whatever the findings are.
func (r *Run) hold() string {
	if r.postUnknown != "" {
		return "what Flux applies is not known: " + r.postUnknown
	}
	for _, f := range r.findings {
		switch f.Signature {
		case signature.LiveConfigDiffers:
			return "the cluster does not run what this repository renders, so a change computed from it would rest on something that is not live: find out why they differ first"
		case signature.ChartRefusesValues:
			return "the chart does not render with the current values, so nothing can be proven on top of them"
		}
	}
	return ""
}

func (r *Run) subject() v1alpha1.Subject {
	rel := r.release
	s := v1alpha1.Subject{Release: rel.Namespace + "/" + rel.Name, Chart: rel.Chart.Name, Version: rel.Chart.Version, Repository: "."}
	if r.chart != nil {
		s.Version = r.chart.Version
	}
	if head, err := r.repo.Head(); err == nil {
		s.Revision = head
	}
	if r.origin != "" {
		s.Repository = r.origin
	}
	for _, v := range rel.Sources {
		switch {
		case v.Unreadable:
			s.Values = append(s.Values, v1alpha1.ValuesSource{File: v.File, Path: v.Path(),
				Unreadable: fmt.Sprintf("%s %s/%s: %s", v.Kind, rel.Namespace, v.Name, v.Why)})
		case v.File != "":
			s.Values = append(s.Values, v1alpha1.ValuesSource{File: v.File, Path: v.Path()})
		}
	}
	return s
}
