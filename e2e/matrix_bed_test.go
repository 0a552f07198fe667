//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/e2e/matrix"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// start builds the bed under the configurations of its first stage.
func (r *bedRun) start(t *testing.T) {
	t.Helper()
	st := &r.Stages[0]
	var configs [matrix.Nodes]agent.Config
	for n := range configs {
		configs[n] = r.renderConfig(t, st.Config(n))
		r.running[n] = st.Config(n)
	}
	r.build(t, configs)
}

// build makes the cluster and what is on it.
func (r *bedRun) build(t *testing.T, configs [matrix.Nodes]agent.Config) {
	t.Helper()
	o := cilium.Options{Nodes: matrix.Nodes, Segments: r.Segments, RouterHasPodRoutes: r.RouterHasPodRoutes, MTU: r.MTU, Release: r.release}
	o.WithoutAgents = true // until the nodes have all their addresses
	r.Cluster = cilium.Start(t, o)
	r.address(t)
	errs := make([]error, len(r.Nodes))
	var wg sync.WaitGroup
	for i, n := range r.Nodes {
		wg.Go(func() { errs[i] = n.Restart(configs[i]) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	r.Log(t, "the agents run")
	r.ends, r.services = map[string]*cilium.Host{}, map[string]*cilium.Service{}
	for _, n := range r.Nodes {
		r.ends[n.Name] = n.Host
	}
	r.populate(t)
	r.wire(t)
	r.Log(t, "the bed is there")
}

// address gives nodes further addresses and their default routes a source.
func (r *bedRun) address(t *testing.T) {
	t.Helper()
	if r.RouteSource {
		for _, n := range r.Nodes {
			for family, flag := range map[string]string{cidr.IPv4: "-4", cidr.IPv6: "-6"} {
				must(t, n, "ip", flag, "route", "replace", "default", "via", r.Lab.Gateway(family, n.Network.Segment).String(), "dev", "eth0", "src", n.IP(family).String())
			}
		}
	}
	if !r.MoreAddresses {
		return
	}
	second := r.Nodes[1]
	var external []corev1.NodeAddress
	for name, addrs := range matrix.Further() {
		for _, a := range addrs {
			must(t, second, "ip", "address", "add", fmt.Sprintf("%s/%d", a, map[bool]int{true: 24, false: 64}[a.Is4()]), "dev", "eth0")
			if name == matrix.External {
				external = append(external, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: a.String()})
			}
		}
	}
	r.relist(t, second.Name, func(list []corev1.NodeAddress) []corev1.NodeAddress { return append(list, external...) })
	r.relist(t, r.Nodes[2].Name, func(list []corev1.NodeAddress) []corev1.NodeAddress {
		return slices.DeleteFunc(list, func(a corev1.NodeAddress) bool { return strings.Contains(a.Address, ":") })
	})
}

// relist changes the addresses in a Node object.
func (r *bedRun) relist(t *testing.T, name string, change func([]corev1.NodeAddress) []corev1.NodeAddress) {
	t.Helper()
	o, err := r.Kube.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o.Status.Addresses = change(o.Status.Addresses)
	if _, err := r.Kube.CoreV1().Nodes().UpdateStatus(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, n *cilium.Node, name string, args ...string) {
	t.Helper()
	if out, err := n.Run(t.Context(), name, args...); err != nil {
		t.Fatalf("%s: %v: %s", n.Name, err, out)
	}
}

func (r *bedRun) renderConfig(t *testing.T, name string) agent.Config {
	t.Helper()
	c, err := matrix.ConfigOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return cilium.RenderRelease(t, r.release, matrix.Base, c.Values)
}

// populate makes pods, services and hosts outside.
func (r *bedRun) populate(t *testing.T) {
	t.Helper()
	var specs []cilium.PodSpec
	for _, p := range matrix.Pods() {
		specs = append(specs, cilium.PodSpec{Namespace: p.Namespace, Name: p.Name, Node: r.Nodes[p.Node].Name, Labels: p.Labels})
	}
	for _, p := range r.AddPods(t, specs...) {
		r.ends[p.Name] = p.Host
		if number, ok := strings.CutPrefix(p.Name, "b"); ok {
			r.services["s"+number] = r.AddService(t, cilium.Service{Namespace: p.Namespace, Name: "s" + number, Backends: []*cilium.Pod{p}})
		}
	}
	for _, h := range matrix.Hosts() {
		r.ends[h.Name] = r.AddHost(t, h.Name, 0, append(slices.Clone(h.Addrs), h.Link...)...)
		if r.Segments > 1 {
			continue // what is beyond the segment is used on one only
		}
		for i, link := range h.Link {
			r.Reach(t, h.Addrs[i], link.Addr())
		}
	}
}

// wire makes the path between the nodes what the bed says, until mend.
func (r *bedRun) wire(t *testing.T) {
	t.Helper()
	r.mend()
	switch {
	case r.PathMTU == 0:
	case r.TooBig:
		if out, err := r.Lab.Router.Run(t.Context(), "ip", "link", "set", "dev", "br1", "mtu", fmt.Sprint(r.PathMTU)); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	default:
		r.unwire = r.Lab.Cut(lab.Cut{LongerThan: r.PathMTU})
	}
}

// mend lets the wire carry everything: agents that start have long packets to send, and
// give up without an answer.
func (r *bedRun) mend() {
	if r.unwire != nil {
		r.unwire()
		r.unwire = nil
	}
}

// enter brings the bed into a state: policies, API server and configurations.
func (r *bedRun) enter(t *testing.T, st *matrix.Stage) {
	t.Helper()
	for _, name := range r.policies {
		if !slices.Contains(st.Policies, name) {
			r.DeletePolicy(t, policyText(t, name))
		}
	}
	r.setAPIServer(t, st.APIServer)
	r.mend()
	errs := make([]error, len(r.Nodes))
	var wg sync.WaitGroup
	for i, n := range r.Nodes {
		if want := st.Config(i); r.running[i] != want {
			cfg := r.renderConfig(t, want)
			r.running[i] = want
			wg.Go(func() { errs[i] = n.Restart(cfg) })
		}
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%s: %v", st.Name, err)
	}
	for _, name := range st.Policies {
		if !slices.Contains(r.policies, name) {
			r.ApplyPolicy(t, policyText(t, name))
		}
	}
	r.wire(t)
	r.policies = st.Policies
	r.Log(t, st.Name)
}

func policyText(t *testing.T, name string) string {
	t.Helper()
	p, err := matrix.PolicyOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return p.YAML
}

// setAPIServer has the cluster believe that a node runs a kube-apiserver, as its
// EndpointSlice says; the agents then give its address another identity.
func (r *bedRun) setAPIServer(t *testing.T, node string) {
	t.Helper()
	if node == r.api {
		return
	}
	address := "192.0.2.1" // no node's
	if node != "" {
		address = r.Node(node).IP(cidr.IPv4).String()
	}
	for family, a := range map[string]string{"IPv4": address, "IPv6": ""} {
		if family == "IPv6" {
			a = "2001:db8:ffff::1"
			if node != "" {
				a = r.Node(node).IP(cidr.IPv6).String()
			}
		}
		r.Apply(t, fmt.Sprintf(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kubernetes-%s
  namespace: default
  labels: {kubernetes.io/service-name: kubernetes}
addressType: %s
endpoints: [{addresses: ["%s"], conditions: {ready: true}}]
ports: [{name: https, port: 6443, protocol: TCP}]
`, strings.ToLower(family), family, a))
	}
	r.api = node
}
