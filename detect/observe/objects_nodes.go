package observe

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

type nodeAddress struct {
	Type    string `json:"type"`
	Address string `json:"address,omitempty"`
	IP      string `json:"ip,omitempty"`
}

type nodeObject struct {
	header
	Spec struct {
		PodCIDR  string   `json:"podCIDR,omitempty"`
		PodCIDRs []string `json:"podCIDRs,omitempty"`
	} `json:"spec"`
	Status struct {
		Addresses  []nodeAddress `json:"addresses,omitempty"`
		Conditions []condition   `json:"conditions,omitempty"`
		NodeInfo   struct {
			KubeletVersion string `json:"kubeletVersion,omitempty"`
		} `json:"nodeInfo,omitzero"`
	} `json:"status"`
}

func (o *nodeObject) reduce() (bool, error) {
	o.keepLabels()
	if o.Spec.PodCIDRs == nil && o.Spec.PodCIDR != "" {
		o.Spec.PodCIDRs = []string{o.Spec.PodCIDR}
	}
	o.Spec.PodCIDR = ""
	o.Status.Conditions = readyOnly(o.Status.Conditions)
	for i := range o.Status.Conditions {
		o.Status.Conditions[i].Reason, o.Status.Conditions[i].Message = "", ""
	}
	o.Status.Addresses = slices.DeleteFunc(o.Status.Addresses, func(a nodeAddress) bool {
		return a.Type != "InternalIP" && a.Type != "ExternalIP"
	})
	for i, a := range o.Status.Addresses {
		if _, err := parseAddr(a.Address); err != nil {
			return false, at(err, "status", "addresses", i, "address")
		}
	}
	return true, checkPrefixes(o.Spec.PodCIDRs, "spec", "podCIDRs")
}

func (o *nodeObject) fill(b *builder) {
	n := b.node(o.Metadata.Name)
	n.Source = o.source()
	n.PodCIDRs = prefixesOf(o.Spec.PodCIDRs)
	n.Labels = b.sharedLabels(o.Metadata.Labels)
	n.Ready = readyOf(o.Status.Conditions)
	n.InternalIPs, n.ExternalIPs = nil, nil
	for _, a := range o.Status.Addresses {
		addNodeAddress(n, a.Type, a.Address)
	}
	if v := o.Status.NodeInfo.KubeletVersion; v != "" {
		b.kubelets.add(v, o.source())
	}
}

func addNodeAddress(n *snapshot.Node, kind, address string) {
	a, err := parseAddr(address)
	if err != nil {
		return
	}
	switch kind {
	case "InternalIP":
		n.InternalIPs = appendNew(n.InternalIPs, a)
	case "ExternalIP":
		n.ExternalIPs = appendNew(n.ExternalIPs, a)
	case "CiliumInternalIP":
		n.CiliumInternalIPs = appendNew(n.CiliumInternalIPs, a)
	}
}

func readyOf(cs []condition) snapshot.Tri {
	for _, c := range cs {
		if c.Type == "Ready" && c.Status != "Unknown" {
			return snapshot.TriOf(c.Status == "True")
		}
	}
	return snapshot.Unknown
}

type poolAllocation struct {
	Pool  string   `json:"pool"`
	CIDRs []string `json:"cidrs,omitempty"`
}

type ciliumNode struct {
	header
	Spec struct {
		Addresses []nodeAddress `json:"addresses,omitempty"`
		IPAM      struct {
			PodCIDRs []string `json:"podCIDRs,omitempty"`
			Pools    struct {
				Allocated []poolAllocation `json:"allocated,omitempty"`
			} `json:"pools,omitzero"`
		} `json:"ipam,omitzero"`
	} `json:"spec"`
}

func (o *ciliumNode) reduce() (bool, error) {
	o.keepNothing()
	for i, a := range o.Spec.Addresses {
		if _, err := parseAddr(a.IP); err != nil {
			return false, at(err, "spec", "addresses", i, "ip")
		}
	}
	for i, p := range o.Spec.IPAM.Pools.Allocated {
		if err := checkPrefixes(p.CIDRs, "spec", "ipam", "pools", "allocated", i, "cidrs"); err != nil {
			return false, err
		}
	}
	return true, checkPrefixes(o.Spec.IPAM.PodCIDRs, "spec", "ipam", "podCIDRs")
}

func (o *ciliumNode) fill(b *builder) {
	b.ciliumNodes[o.Metadata.Name] = o
}

// merge adds the CiliumNode to the node of the same name. Addresses that the
// Node object has keep their place.
func (o *ciliumNode) merge(n *snapshot.Node) {
	if n.Source == "" {
		n.Source = o.source()
	}
	for _, a := range o.Spec.Addresses {
		addNodeAddress(n, a.Type, a.IP)
	}
	n.CiliumPodCIDRs = prefixesOf(o.Spec.IPAM.PodCIDRs)
	for _, p := range o.Spec.IPAM.Pools.Allocated {
		n.CiliumPodCIDRs = append(n.CiliumPodCIDRs, prefixesOf(p.CIDRs)...)
	}
}

// fieldError is a value that cannot be right, with the path that leads to it.
type fieldError struct {
	path []any
	err  error
}

func (e *fieldError) Error() string { return pathString(e.path) + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

func at(err error, path ...any) error { return &fieldError{path: path, err: err} }

func pathString(path []any) string {
	out := ""
	for _, p := range path {
		switch p := p.(type) {
		case int:
			out += fmt.Sprintf("[%d]", p)
		case string:
			if out != "" {
				out += "."
			}
			out += p
		}
	}
	return out
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", clip(s))
	}
	return a.Unmap(), nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is not a CIDR such as 10.0.0.0/16 or fd00::/64", clip(s))
	}
	return p.Masked(), nil
}

func checkPrefixes(values []string, path ...any) error {
	for i, s := range values {
		if _, err := parsePrefix(s); err != nil {
			return at(err, append(slices.Clone(path), i)...)
		}
	}
	return nil
}

func prefixesOf(values []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range values {
		if p, err := parsePrefix(s); err == nil {
			out = appendNew(out, p)
		}
	}
	return out
}

func addrsOf(values []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range values {
		if a, err := parseAddr(s); err == nil {
			out = appendNew(out, a)
		}
	}
	return out
}

func appendNew[T comparable](xs []T, x T) []T {
	if slices.Contains(xs, x) {
		return xs
	}
	return append(xs, x)
}

// clip shortens a value from the input for an error message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
