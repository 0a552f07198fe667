//go:build linux

package story

import (
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Datapath carries the cluster's packets: [Model] or [Agents]. The bed calls one of
// its methods at a time.
type Datapath interface {
	// network makes the nodes' networks and starts the API server.
	network(t testing.TB, b *Bed)
	// nodes is called when the API server has the Node objects, and the forge the
	// repository. From then on pods can be attached.
	nodes(t testing.TB, b *Bed)
	// service makes a ClusterIP of which the API server has the objects known.
	service(s lab.Service)
	// endpoints changes what is behind it.
	endpoints(namespace, name string, addrs ...netip.Addr)
	// apply starts a node's agent; the error is a [kubelet.Crash] when it refuses the
	// configuration. stop ends it.
	apply(node string, cfg cilium.Config) error
	stop(node string)
	// config is what a node does.
	config(node string) cilium.Config
	// attach joins a pod to its node; a NetworkPolicy selects guarded ones.
	attach(o *corev1.Pod, guarded bool) (*Pod, error)
	detach(p *Pod) error
	// host is a pod in its node's own network.
	host(o *corev1.Pod) *Pod
}

// Pod is a pod with its network, which may be its node's.
type Pod struct {
	*lab.Space
	Namespace, Name, Node string

	ips   []netip.Addr
	start func(*exec.Cmd) error
}

// IPs are the pod's addresses, at most one per family.
func (p *Pod) IPs() []netip.Addr { return p.ips }

// IP is the pod's address of a family, invalid when it has none.
func (p *Pod) IP(family string) netip.Addr {
	i := slices.IndexFunc(p.ips, func(a netip.Addr) bool { return cidr.Family(a) == family })
	if i < 0 {
		return netip.Addr{}
	}
	return p.ips[i]
}

// Start starts a process in the pod.
func (p *Pod) Start(cmd *exec.Cmd) error { return p.start(cmd) }

func newPod(o *corev1.Pod, space *lab.Space, ips []netip.Addr, start func(*exec.Cmd) error) *Pod {
	return &Pod{Space: space, Namespace: o.Namespace, Name: o.Name, Node: o.Spec.NodeName, ips: ips, start: start}
}

// attach joins a pod and keeps it where tests find it.
func (b *Bed) attach(o *corev1.Pod, guarded bool) (*Pod, error) {
	p, err := b.opts.Datapath.attach(o, guarded)
	if err == nil {
		b.pods[o.Namespace+"/"+o.Name] = p
	}
	return p, err
}

// detach is the end of a pod that attach joined.
func (b *Bed) detach(p *Pod) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(p)
}

func (b *Bed) drop(p *Pod) {
	delete(b.pods, p.Namespace+"/"+p.Name)
	if err := b.opts.Datapath.detach(p); err != nil {
		b.failures = append(b.failures, err)
	}
}

// pod is the pod of a name that runs, nil when there is none.
func (b *Bed) pod(namespace, name string) *Pod {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pods[namespace+"/"+name]
}
