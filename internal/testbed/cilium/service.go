//go:build linux

package cilium

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// Service is a ClusterIP of both families with the ports that peers answer at.
type Service struct {
	Namespace, Name string
	Backends        []*Pod
	// ClusterIPs are the API server's choice.
	ClusterIPs []netip.Addr
}

// serviceTime is how long the agents may take to translate a service.
const serviceTime = time.Minute

// AddService makes a service with its EndpointSlices, and returns it with its
// addresses when every agent that runs translates them.
func (c *Cluster) AddService(t testing.TB, s Service) *Service {
	t.Helper()
	must(t, c.createNamespace(t.Context(), s.Namespace))
	dual := corev1.IPFamilyPolicyRequireDualStack
	o, err := c.Kube.CoreV1().Services(s.Namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name},
		Spec:       corev1.ServiceSpec{IPFamilyPolicy: &dual, Ports: servicePorts()},
	}, metav1.CreateOptions{})
	must(t, err)
	for _, text := range o.Spec.ClusterIPs {
		a, err := netip.ParseAddr(text)
		must(t, err)
		s.ClusterIPs = append(s.ClusterIPs, a)
		must(t, c.addEndpoints(t.Context(), s, cidr.Family(a)))
	}
	for _, n := range c.Nodes {
		if n.agent == nil {
			continue
		}
		must(t, n.agent.until("service "+s.Name+" was translated", serviceTime, func() error { return n.translates(t.Context(), s) }))
	}
	return &s
}

func servicePorts() []corev1.ServicePort {
	return []corev1.ServicePort{
		{Name: "tcp", Protocol: corev1.ProtocolTCP, Port: TCPPort},
		{Name: "udp", Protocol: corev1.ProtocolUDP, Port: UDPPort},
	}
}

func (c *Cluster) addEndpoints(ctx context.Context, s Service, family string) error {
	kind, ready := discoveryv1.AddressTypeIPv6, true
	if family == cidr.IPv4 {
		kind = discoveryv1.AddressTypeIPv4
	}
	o := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: s.Name + "-" + strings.ToLower(family), Labels: map[string]string{discoveryv1.LabelServiceName: s.Name}},
		AddressType: kind,
	}
	for _, p := range servicePorts() {
		o.Ports = append(o.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &p.Port})
	}
	for _, p := range s.Backends {
		o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{p.IP(family).String()}, NodeName: &p.Node.Name,
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	_, err := c.Kube.DiscoveryV1().EndpointSlices(s.Namespace).Create(ctx, o, metav1.CreateOptions{})
	return err
}

// translates says whether the node's BPF maps have all backends of a service.
func (n *Node) translates(ctx context.Context, s Service) error {
	table, err := n.Debug(ctx, "bpf", "lb", "list")
	if err != nil {
		return err
	}
	for _, vip := range s.ClusterIPs {
		for _, p := range s.Backends {
			backend := p.IP(cidr.Family(vip))
			if !strings.Contains(table, vip.String()) || !strings.Contains(table, backend.String()) {
				return fmt.Errorf("no backend %s of %s in\n%s", backend, vip, table)
			}
		}
	}
	return nil
}

// IP is the service's address of a family, invalid when it has none.
func (s *Service) IP(family string) netip.Addr {
	for _, a := range s.ClusterIPs {
		if cidr.Family(a) == family {
			return a
		}
	}
	return netip.Addr{}
}
