//go:build linux

package lab

import (
	"net/netip"
	"slices"
)

// Service is a ClusterIP and what is behind it.
type Service struct {
	Namespace, Name string
	// ClusterIPs, at most one per family; [Lab.AddService] chooses them when there are none.
	ClusterIPs []netip.Addr
	Ports      []ServicePort
	// Endpoints are the backends' addresses.
	Endpoints []netip.Addr
}

// ServicePort is a port of a service; Protocol is TCP or UDP, TargetPort 0 the same as Port.
type ServicePort struct {
	Protocol         string
	Port, TargetPort int
}

func (p ServicePort) target() int {
	if p.TargetPort == 0 {
		return p.Port
	}
	return p.TargetPort
}

// firstService is the last part of the first ClusterIP that the lab chooses.
const firstService = 50

// AddService makes a service, and returns it with its ClusterIPs.
func (l *Lab) AddService(s Service) Service {
	l.t.Helper()
	l.mu.Lock()
	if len(s.ClusterIPs) == 0 {
		for _, family := range l.spec.families() {
			s.ClusterIPs = append(s.ClusterIPs, serviceAddr(family, firstService+len(l.services)))
		}
	}
	l.services = append(l.services, s)
	l.mu.Unlock()
	l.must(l.program(l.Nodes...))
	return s
}

// SetEndpoints changes what is behind a service.
func (l *Lab) SetEndpoints(namespace, name string, endpoints ...netip.Addr) {
	l.t.Helper()
	l.mu.Lock()
	for i := range l.services {
		if l.services[i].Namespace == namespace && l.services[i].Name == name {
			l.services[i].Endpoints = endpoints
		}
	}
	l.mu.Unlock()
	l.must(l.program(l.Nodes...))
}

// Services are all services in the order of their making.
func (l *Lab) Services() []Service {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.services)
}

// AddressesOf are all addresses of pods.
func AddressesOf(pods ...*Pod) []netip.Addr {
	var out []netip.Addr
	for _, p := range pods {
		out = append(out, p.IPs()...)
	}
	return out
}
