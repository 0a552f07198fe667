package signature

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// FluxIsAVictim is the id of the signature about Flux' own traffic.
const FluxIsAVictim = "flux-is-a-victim"

func fluxVictim() Signature {
	return Signature{
		ID:       FluxIsAVictim,
		Title:    "Flux itself cannot fetch its artifacts",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "kustomize-controller and helm-controller fetch every artifact from source-controller over the pod network, and Flux ships NetworkPolicies for its namespace. " +
			"When that path is broken, a fix that is merged does not reconcile by itself.",
		Shows:     []string{"Kustomizations and HelmReleases with 'failed to download archive … i/o timeout'"},
		DependsOn: []string{"pods and policies of the Flux namespace, or messages of Flux objects"},
		Confirms:  []string{"a Flux object whose message tells of a time-out and names source-controller, or an address that leads to it"},
		Refutes:   []string{"Flux objects that are Ready at the repository's head"},
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "a cause of it"},
		},
		Versions: "all",
		Sources:  []string{"fluxcd/flux2 manifests/policies"},
		Detect:   detectFluxVictim,
	}
}

func detectFluxVictim(in *Input) []v1alpha1.Finding {
	f := v1alpha1.Finding{
		Signature: FluxIsAVictim, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePredicted,
		Summary: "Flux cannot fetch from source-controller, so a merged fix does not reconcile by itself",
	}
	for _, o := range in.Snapshot.Flux {
		if o.Ready == snapshot.No && fetchTimedOut(in.Snapshot, o.Message) {
			f.Confidence = v1alpha1.ConfidenceConfirmed
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "log", Source: o.Source, Text: explained(in.Snapshot, o.Message)})
		}
	}
	for _, p := range FluxPaths(in.Snapshot) {
		for _, family := range in.Families() {
			r, ok := p.Trace(in.Model, family)
			if !ok || r.Delivered != snapshot.No {
				continue
			}
			f.Family = family
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "model", Source: "datapath",
				Text: fmt.Sprintf("%s on %s → %s on %s over %s: %s", p.From.Name, p.From.Node, p.To.Name, p.To.Node, family, r.Reason)})
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if f.Confidence != v1alpha1.ConfidenceConfirmed {
		f.Lacked = append(f.Lacked, "a Flux object whose message says that fetching from source-controller timed out")
	}
	return []v1alpha1.Finding{f}
}

// fetchTimedOut: nothing came from source-controller, by its name or by an address
// that leads to it.
func fetchTimedOut(s *snapshot.Snapshot, message string) bool {
	if !timedOut(message) {
		return false
	}
	m := strings.ToLower(message)
	return strings.Contains(m, "source-controller") || strings.Contains(m, "failed to download archive") ||
		slices.ContainsFunc(named(s, message), func(o owned) bool { return o.serves(s, "source-controller") })
}

// FluxPath is one fetch: a controller's pod to source-controller's.
type FluxPath struct{ From, To *snapshot.Pod }

// FluxPaths are the fetches that a reconcile depends on.
func FluxPaths(s *snapshot.Snapshot) []FluxPath {
	var from []*snapshot.Pod
	var to *snapshot.Pod
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.HostNetwork || p.Node == "" {
			continue
		}
		switch app(p) {
		case "source-controller":
			to = p
		case "kustomize-controller", "helm-controller":
			from = append(from, p)
		}
	}
	if to == nil {
		return nil
	}
	out := make([]FluxPath, 0, len(from))
	for _, f := range from {
		if f.Namespace == to.Namespace {
			out = append(out, FluxPath{From: f, To: to})
		}
	}
	return out
}

func app(p *snapshot.Pod) string {
	for _, key := range []string{"app", "app.kubernetes.io/component", "app.kubernetes.io/name"} {
		if v := p.Labels[key]; v != "" {
			return v
		}
	}
	return ""
}

// Trace follows the fetch over one address family; ok is false when a pod has
// no address of it or there is no model.
func (p FluxPath) Trace(m *datapath.Model, family string) (datapath.Result, bool) {
	return p.TraceOn(m, family, p.From.Node)
}

// TraceOn follows the fetch as if the controller ran on the given node.
func (p FluxPath) TraceOn(m *datapath.Model, family, node string) (datapath.Result, bool) {
	f, ok := p.Flow(family)
	if m == nil || !ok {
		return datapath.Result{}, false
	}
	f.From.Node = node
	return m.Trace(f), true
}

// Flow is the fetch over one address family, to the port that source-controller
// listens on; ok is false when a pod has no address of it.
func (p FluxPath) Flow(family string) (f datapath.Flow, ok bool) {
	from, okFrom := datapath.PodEnd(p.From, family)
	to, okTo := datapath.PodEnd(p.To, family)
	return datapath.Flow{From: from, To: to, Family: family, Protocol: "TCP", Port: 9090}, okFrom && okTo
}
