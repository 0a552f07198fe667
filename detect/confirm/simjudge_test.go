package confirm_test

import (
	"fmt"
	"slices"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

func (w *world) input() signature.Input {
	s := &snapshot.Snapshot{ReadKinds: map[string]bool{"Node": true}}
	for i, n := range w.nodes {
		node := snapshot.Node{Name: n.name, InternalIPs: both(nodeKind, i, 1), Source: "Node " + n.name, Labels: map[string]string{}}
		if w.zones > 0 {
			node.Labels["topology.kubernetes.io/zone"] = fmt.Sprintf("zone-%d", i%w.zones)
		}
		s.Nodes = append(s.Nodes, node)
	}
	return signature.Input{Snapshot: s}
}

// confirmed are the signatures that are confirmed now, each once, but mild ones.
func (w *world) confirmed(in signature.Input) []string {
	var out []string
	for _, f := range w.tracker.Judge(w.now, in).Findings {
		if f.Confidence == v1alpha1.ConfidenceConfirmed && f.Severity != v1alpha1.SeverityInfo && !slices.Contains(out, f.Signature) {
			out = append(out, f.Signature)
		}
	}
	slices.Sort(out)
	return out
}
