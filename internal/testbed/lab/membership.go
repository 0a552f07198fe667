//go:build linux

package lab

import (
	"github.com/remediate-dev/remediate/detect/mesh"
)

// TargetLabel tells probes' pods apart: open, guarded or host.
const TargetLabel = "remediate.dev/target"

// Membership is what a prober is told of this lab: the pods with the label
// [TargetLabel], the ClusterIPs of these services, and cluster DNS, which may be nil.
func (l *Lab) Membership(d *DNS, services ...Service) mesh.Membership {
	m := mesh.Membership{Version: 1}
	for _, n := range l.Nodes {
		member := mesh.Member{Node: n.Name, NodeIPs: n.IPs()}
		for _, p := range n.Pods() {
			target := &mesh.Target{Namespace: p.Namespace, Pod: p.Name, IPs: p.IPs()}
			switch p.Labels[TargetLabel] {
			case "open":
				member.Open = target
			case "guarded":
				member.Guarded = target
			case "host":
				member.Host = target
			}
		}
		m.Members = append(m.Members, member)
	}
	for _, s := range services {
		m.Services = append(m.Services, s.ClusterIPs...)
	}
	if d != nil {
		m.DNS = mesh.DNS{Services: d.Service.ClusterIPs, Pods: d.Pod.IPs(), Name: "kubernetes.default.svc.cluster.local."}
	}
	return m
}

// Probes are the pods of the two targets on each node, for [Spec.Daemons].
func Probes() []PodSpec {
	const namespace = "remediate-probe"
	return []PodSpec{
		{Namespace: namespace, Name: namespace, Labels: map[string]string{TargetLabel: "open"}},
		{Namespace: namespace, Name: namespace + "-guarded", Labels: map[string]string{TargetLabel: "guarded"}, Guarded: true, OpenPorts: []int{mesh.BackendPort, mesh.BackendHTTPPort}},
	}
}
