//go:build linux

package story

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Model is a lab whose nodes do what our model says of a configuration.
func Model() Datapath { return &modelPath{} }

type modelPath struct{ lab *lab.Lab }

func (d *modelPath) network(t testing.TB, b *Bed) {
	t.Helper()
	d.lab = lab.New(t, lab.Spec{Nodes: b.opts.Nodes})
	b.Lab, b.DNS = d.lab, d.lab.StartDNS(d.lab.Nodes[0])
	b.step(t, "the network is there")
	// Without a default route the server must be told which address it has.
	flags := append([]string{"--advertise-address=192.0.2.1", "--service-cluster-ip-range=" + serviceRange}, b.opts.APIServer...)
	b.Server = testbed.Start(t, flags...)
}

func (d *modelPath) nodes(t testing.TB, b *Bed) {
	t.Helper()
	for _, n := range d.lab.Nodes {
		b.addCiliumNode(t, n)
	}
}

func (d *modelPath) service(s lab.Service) { d.lab.AddService(s) }

func (d *modelPath) endpoints(namespace, name string, addrs ...netip.Addr) {
	d.lab.SetEndpoints(namespace, name, addrs...)
}

func (d *modelPath) apply(node string, cfg cilium.Config) error {
	if err := d.lab.Node(node).Apply(cfg); err != nil {
		return &kubelet.Crash{Message: err.Error()}
	}
	return nil
}

// stop: nothing undoes what an agent did when it ends.
func (d *modelPath) stop(string) {}

func (d *modelPath) config(node string) cilium.Config { return d.lab.Node(node).Config() }

func (d *modelPath) attach(o *corev1.Pod, guarded bool) (*Pod, error) {
	spec := lab.PodSpec{Namespace: o.Namespace, Name: o.Name, Labels: o.Labels, Guarded: guarded}
	if o.Labels[deploy.LabelTarget] == v1alpha1.TargetGuarded {
		spec.OpenPorts = []int{deploy.BackendEchoPort, deploy.BackendHTTPPort}
	}
	p := d.lab.Node(o.Spec.NodeName).AddPod(spec)
	return newPod(o, p.Space, p.IPs(), p.Space.Start), nil
}

// detach: a lab's pods stay.
func (d *modelPath) detach(*Pod) error { return nil }

func (d *modelPath) host(o *corev1.Pod) *Pod {
	n := d.lab.Node(o.Spec.NodeName)
	return newPod(o, n.Space, n.IPs(), n.Space.Start)
}
