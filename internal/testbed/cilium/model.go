//go:build linux

package cilium

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Snapshot is what the model would read of the cluster: its own nodes and pods, and
// the policies and namespaces that the API server has.
func (c *Cluster) Snapshot(ctx context.Context) (*snapshot.Snapshot, error) {
	s := &snapshot.Snapshot{Origin: "the cluster", ReadKinds: map[string]bool{"NetworkPolicy": true, "Pod": true, "Node": true, "Service": true}}
	for _, n := range c.Nodes {
		s.Nodes = append(s.Nodes, snapshot.Node{
			Name: n.Name, InternalIPs: n.Addrs, CiliumInternalIPs: n.routers, PodCIDRs: n.Network.PodCIDRs(),
			Ready: snapshot.Yes, APIServer: snapshot.No,
		})
	}
	for _, p := range c.Pods() {
		s.Pods = append(s.Pods, snapshot.Pod{Namespace: p.Namespace, Name: p.Name, Node: p.Node.Name, IPs: p.Addrs, Labels: p.Labels, Identity: p.Identity})
	}
	namespaces, err := c.Kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, ns := range namespaces.Items {
		s.Namespaces = append(s.Namespaces, snapshot.Namespace{Name: ns.Name, Labels: ns.Labels})
	}
	return s, errors.Join(c.readPolicies(ctx, s), c.readServices(ctx, s))
}

func (c *Cluster) readPolicies(ctx context.Context, s *snapshot.Snapshot) error {
	list, err := c.Kube.NetworkingV1().NetworkPolicies("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		s.Policies = append(s.Policies, snapshot.Policy{
			Kind: "NetworkPolicy", Namespace: p.Namespace, Name: p.Name, Source: "NetworkPolicy " + p.Namespace + "/" + p.Name, Kubernetes: &p.Spec,
		})
	}
	for _, kind := range []string{"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"} {
		found := &unstructured.UnstructuredList{}
		found.SetGroupVersionKind(schema.GroupVersionKind{Group: "cilium.io", Version: "v2", Kind: kind})
		if err := c.Client.List(ctx, found); err != nil {
			return err
		}
		for _, o := range found.Items {
			s.Policies = append(s.Policies, ciliumPolicy(kind, o))
		}
	}
	return nil
}

func ciliumPolicy(kind string, o unstructured.Unstructured) snapshot.Policy {
	p := snapshot.Policy{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Source: kind + " " + o.GetNamespace() + "/" + o.GetName()}
	if spec, ok := o.Object["spec"].(map[string]any); ok {
		p.Cilium = append(p.Cilium, spec)
	}
	specs, _ := o.Object["specs"].([]any)
	for _, each := range specs {
		if spec, ok := each.(map[string]any); ok {
			p.Cilium = append(p.Cilium, spec)
		}
	}
	return p
}

func (c *Cluster) readServices(ctx context.Context, s *snapshot.Snapshot) error {
	services, err := c.Kube.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	found, err := c.Kube.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	parse := func(text string) netip.Addr {
		a, err := netip.ParseAddr(text)
		errs = append(errs, err)
		return a
	}
	for _, o := range services.Items {
		out := snapshot.Service{Namespace: o.Namespace, Name: o.Name, Source: "Service " + o.Namespace + "/" + o.Name, Selector: o.Spec.Selector}
		for _, ip := range o.Spec.ClusterIPs {
			out.ClusterIPs = append(out.ClusterIPs, parse(ip))
		}
		for _, p := range o.Spec.Ports {
			out.Ports = append(out.Ports, snapshot.ServicePort{Name: p.Name, Port: int(p.Port), TargetPort: p.TargetPort.IntValue(), Protocol: string(p.Protocol)})
		}
		for _, slice := range found.Items {
			if slice.Namespace != o.Namespace || slice.Labels["kubernetes.io/service-name"] != o.Name {
				continue
			}
			for _, e := range slice.Endpoints {
				for _, a := range e.Addresses {
					out.Endpoints = append(out.Endpoints, parse(a))
				}
			}
		}
		s.Services = append(s.Services, out)
	}
	return errors.Join(errs...)
}

// Model is detect/datapath's model of the cluster as its agents are configured now.
func (c *Cluster) Model(ctx context.Context) (*datapath.Model, error) {
	s, err := c.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	in := datapath.Input{Config: c.Nodes[0].Config(), PerNode: map[string]cilium.Config{}, Snapshot: s, Topology: c.Lab.Topology()}
	for _, n := range c.Nodes {
		in.PerNode[n.Name] = n.Config()
	}
	return datapath.New(in)
}

// End is a flow's end as the model names it.
func (c *Cluster) End(h *Host, family string) datapath.End {
	if p := c.podOf(h); p != nil {
		return datapath.End{Kind: datapath.EndPod, Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Node: p.Node.Name, Addr: p.IP(family)}
	}
	if n := c.nodeOf(h); n != nil {
		return datapath.End{Kind: datapath.EndNode, Node: n.Name, Addr: n.Host.IP(family)}
	}
	return datapath.End{Kind: datapath.EndOutside, Addr: h.IP(family)}
}

// Traced is the flow as the model takes it. Sizes become those of IP packets, but of
// TCP that of the transfer.
func (c *Cluster) Traced(f Flow) datapath.Flow {
	out := datapath.Flow{From: c.End(f.From, f.Family), To: c.End(f.To, f.Family), Family: f.Family, Protocol: f.Protocol, Port: f.Port, Size: f.Size}
	if f.Service != nil {
		backend := out.To
		out.To = datapath.End{Kind: datapath.EndService, Namespace: f.Service.Namespace, Name: f.Service.Name, Addr: f.Service.IP(f.Family), Backend: &backend}
	}
	if out.Port == 0 {
		out.Port = map[string]int{"TCP": TCPPort, "UDP": UDPPort}[f.Protocol]
	}
	if f.Size > 0 && f.Protocol != "TCP" {
		out.Size += map[string]int{"IPv4": 28, "IPv6": 48}[f.Family]
	}
	return out
}

// Compare says in which columns an observation and a prediction differ, and which the
// prediction leaves open. A column that was not observed is not compared.
func Compare(o Observation, r datapath.Result) (wrong, open []string) {
	check := func(column, saw, predicted, why string) {
		switch {
		case saw == "" || saw == predicted:
		case predicted == "":
			open = append(open, fmt.Sprintf("%s: %s was seen (%s)", column, saw, why))
		default:
			wrong = append(wrong, fmt.Sprintf("%s: %s was seen, %s predicted (%s)", column, saw, predicted, why))
		}
	}
	if r.Source != datapath.SourceOutside {
		check("result", yesNo(o.Result == Reached), delivered(r), r.Reason)
	}
	check("source", string(o.Source), string(r.Source), r.MasqueradeWhy)
	check("identity", o.Identity, r.Identity, r.Reason)
	check("verdict", o.Verdict, decision(r.Verdict), r.Verdict.Reason)
	check("egress verdict", o.Egress, decision(r.Egress), r.Egress.Reason)
	check("drop", o.DropReason, r.DropReason, r.Reason)
	check("masquerade", string(o.MasqueradeBy), string(r.MasqueradeBy), r.MasqueradeWhy)
	return wrong, open
}

func yesNo(b bool) string {
	if b {
		return "reached"
	}
	return "not reached"
}

func delivered(r datapath.Result) string {
	if r.Delivered == snapshot.Unknown {
		return ""
	}
	return yesNo(r.Delivered == snapshot.Yes)
}

// decision: what no policy selects has no verdict event.
func decision(d policy.Decision) string {
	switch {
	case d.Verdict == policy.Unknown:
		return ""
	case d.Audited:
		return "audit"
	case !d.Enforced:
		return "no event"
	}
	return d.Verdict.String()
}
