package datapath

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Namespaces of the pods that an analysis assumes where the snapshot has none.
// They are no valid names, so that they cannot clash with real ones.
const (
	// OpenNamespace has no policy.
	OpenNamespace = "(open)"
	// GuardedNamespace admits pods of the same namespace only.
	GuardedNamespace = "(guarded)"
)

// policiesOf are the snapshot's policies; when nobody read any, one assumed
// policy over [GuardedNamespace] stands for what a cluster usually has.
func policiesOf(s *snapshot.Snapshot) []snapshot.Policy {
	if len(s.Policies) > 0 || s.Read("NetworkPolicy") {
		return s.Policies
	}
	return []snapshot.Policy{{
		Kind: "NetworkPolicy", Namespace: GuardedNamespace, Name: "assumed", Source: "assumed: no policies were read",
		Kubernetes: &networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}},
		},
	}}
}

// podsOf are the pods to analyse: the snapshot's, or assumed ones, one per node
// and namespace, when it has none.
func (w *world) podsOf() (pods []snapshot.Pod, assumed bool) {
	if s := w.in.Snapshot; len(s.Pods) > 0 || s.Read("Pod") {
		return s.Pods, false
	}
	namespaces := w.assumedNamespaces()
	for _, h := range w.hosts {
		for _, ns := range namespaces {
			pods = append(pods, assumedPod(h, ns))
		}
	}
	return pods, true
}

func assumedPod(n *host, namespace string) snapshot.Pod {
	p := snapshot.Pod{Namespace: namespace, Name: "any", Node: n.name, Source: "assumed"}
	for fi := range families() {
		if len(n.alloc[fi]) > 0 {
			p.IPs = append(p.IPs, within(n.alloc[fi][0]))
		}
	}
	return p
}

// assumedNamespaces are one without policies and up to 50 with.
func (w *world) assumedNamespaces() []string {
	seen, out := map[string]bool{OpenNamespace: true}, []string{OpenNamespace}
	for _, p := range w.policies {
		if p.Namespace != "" && !seen[p.Namespace] && len(out) <= 50 {
			seen[p.Namespace] = true
			out = append(out, p.Namespace)
		}
	}
	return out
}
