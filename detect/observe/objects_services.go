package observe

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

const serviceNameLabel = "kubernetes.io/service-name"

type namespaceObject struct{ header }

func (o *namespaceObject) reduce() (bool, error) {
	o.keepLabels()
	return true, nil
}

func (o *namespaceObject) fill(b *builder) {
	b.namespaces[o.Metadata.Name] = snapshot.Namespace{Name: o.Metadata.Name, Labels: b.sharedLabels(o.Metadata.Labels)}
}

type servicePort struct {
	Name       string             `json:"name,omitempty"`
	Port       int                `json:"port"`
	Protocol   string             `json:"protocol,omitempty"`
	TargetPort intstr.IntOrString `json:"targetPort,omitzero"`
}

type serviceObject struct {
	header
	Spec struct {
		ClusterIP      string            `json:"clusterIP,omitempty"`
		ClusterIPs     []string          `json:"clusterIPs,omitempty"`
		IPFamilyPolicy string            `json:"ipFamilyPolicy,omitempty"`
		Ports          []servicePort     `json:"ports,omitempty"`
		Selector       map[string]string `json:"selector,omitempty"`
	} `json:"spec"`
}

func (o *serviceObject) reduce() (bool, error) {
	o.keepNothing()
	if o.Spec.ClusterIPs == nil && o.Spec.ClusterIP != "" {
		o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
	}
	o.Spec.ClusterIP = ""
	for i, ip := range o.Spec.ClusterIPs {
		if ip == "None" || ip == "" {
			continue
		}
		if _, err := parseAddr(ip); err != nil {
			return false, at(err, "spec", "clusterIPs", i)
		}
	}
	return true, nil
}

func (o *serviceObject) fill(b *builder) {
	s := snapshot.Service{
		Namespace:      o.Metadata.Namespace,
		Name:           o.Metadata.Name,
		ClusterIPs:     addrsOf(o.Spec.ClusterIPs),
		IPFamilyPolicy: o.Spec.IPFamilyPolicy,
		Headless:       slices.Contains(o.Spec.ClusterIPs, "None"),
		Selector:       b.sharedLabels(o.Spec.Selector),
		Source:         o.source(),
	}
	for _, p := range o.Spec.Ports {
		s.Ports = append(s.Ports, snapshot.ServicePort{
			Name: p.Name, Port: p.Port, TargetPort: targetPort(p), Protocol: protocolOrTCP(p.Protocol),
		})
	}
	b.services[o.key()] = s
}

// targetPort is 0 for a named port; an absent one equals the service's port.
func targetPort(p servicePort) int {
	if p.TargetPort.Type == intstr.String {
		n, _ := strconv.Atoi(p.TargetPort.StrVal)
		return n
	}
	if p.TargetPort.IntVal == 0 {
		return p.Port
	}
	return int(p.TargetPort.IntVal)
}

func protocolOrTCP(p string) string {
	if p == "" {
		return "TCP"
	}
	return p
}

type sliceEndpoint struct {
	Addresses  []string `json:"addresses"`
	Conditions struct {
		Ready *bool `json:"ready,omitempty"`
	} `json:"conditions,omitzero"`
}

type endpointSlice struct {
	header
	AddressType string          `json:"addressType,omitempty"`
	Endpoints   []sliceEndpoint `json:"endpoints"`
}

// reduce keeps what is ready: an absent condition counts as ready
// (discovery.k8s.io/v1 EndpointConditions).
func (o *endpointSlice) reduce() (bool, error) {
	service, ok := o.Metadata.Labels[serviceNameLabel]
	if !ok || o.AddressType == "FQDN" {
		return false, nil
	}
	o.keepNothing()
	o.Metadata.Labels = map[string]string{serviceNameLabel: service}
	o.Endpoints = slices.DeleteFunc(o.Endpoints, func(e sliceEndpoint) bool {
		return e.Conditions.Ready != nil && !*e.Conditions.Ready
	})
	for i, e := range o.Endpoints {
		for j, a := range e.Addresses {
			if _, err := parseAddr(a); err != nil {
				return false, at(err, "endpoints", i, "addresses", j)
			}
		}
	}
	return true, nil
}

func (o *endpointSlice) fill(b *builder) {
	key := o.Metadata.Namespace + "/" + o.Metadata.Labels[serviceNameLabel]
	slice := o.Metadata.Name
	if b.slices[key] == nil {
		b.slices[key] = map[string][]string{}
	}
	var addresses []string
	for _, e := range o.Endpoints {
		addresses = append(addresses, e.Addresses...)
	}
	b.slices[key][slice] = addresses
}

type serviceCIDR struct {
	header
	Spec struct {
		CIDRs []string `json:"cidrs"`
	} `json:"spec"`
}

func (o *serviceCIDR) reduce() (bool, error) {
	o.keepNothing()
	return true, checkPrefixes(o.Spec.CIDRs, "spec", "cidrs")
}

func (o *serviceCIDR) fill(b *builder) { b.serviceCIDRs[o.Metadata.Name] = o }
