package datapath

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// maxPorts is how many named ports of one policy class are asked about.
const maxPorts = 8

// policyPorts are the numeric ports that each policy names for ingress, by the
// policy's source.
func (w *world) policyPorts() map[string][]policy.Port {
	out := map[string][]policy.Port{}
	for i := range w.policies {
		p := &w.policies[i]
		var ports []policy.Port
		if p.Kubernetes != nil {
			ports = kubernetesPorts(p)
		}
		for _, spec := range p.Cilium {
			ports = append(ports, ciliumPorts(spec)...)
		}
		if len(ports) > 0 {
			out[p.Source] = sortPorts(append(out[p.Source], ports...))
		}
	}
	return out
}

func kubernetesPorts(p *snapshot.Policy) []policy.Port {
	var out []policy.Port
	for _, rule := range p.Kubernetes.Ingress {
		for _, port := range rule.Ports {
			if port.Port == nil || port.Port.StrVal != "" {
				continue
			}
			protocol := string(corev1.ProtocolTCP)
			if port.Protocol != nil {
				protocol = string(*port.Protocol)
			}
			out = append(out, policy.Port{Protocol: protocol, Number: int(port.Port.IntVal), ICMPType: -1})
		}
	}
	return out
}

// ciliumPorts reads ingress[].toPorts[].ports[] as far as it has the usual form.
func ciliumPorts(spec map[string]any) []policy.Port {
	var out []policy.Port
	for _, rule := range objects(spec["ingress"]) {
		for _, to := range objects(rule["toPorts"]) {
			for _, port := range objects(to["ports"]) {
				number, err := strconv.Atoi(text(port["port"]))
				if err != nil || number <= 0 || number > 65535 {
					continue
				}
				protocol := strings.ToUpper(text(port["protocol"]))
				if protocol == "" || protocol == "ANY" {
					protocol = "TCP"
				}
				out = append(out, policy.Port{Protocol: protocol, Number: number, ICMPType: -1})
			}
		}
	}
	return out
}

func objects(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func sortPorts(ports []policy.Port) []policy.Port {
	slices.SortFunc(ports, func(a, b policy.Port) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Number, b.Number))
	})
	return slices.Compact(ports)
}
