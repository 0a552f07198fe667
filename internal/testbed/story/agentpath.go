//go:build linux

package story

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/detect/cilium"
	agents "github.com/remediate-dev/remediate/internal/testbed/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Agents are real cilium-agents. The test binary must run under [agents.Main], as root.
// They are started first with what the chart makes of the repository's values, as
// somebody does who installs Cilium before Flux; from then on the pods of the
// DaemonSet start and end them.
func Agents() *AgentPath { return &AgentPath{pods: map[*Pod]*agents.Pod{}} }

// AgentPath is the datapath of real agents.
type AgentPath struct {
	// Cluster has the agents, once the bed is there.
	Cluster *agents.Cluster

	pods map[*Pod]*agents.Pod
}

// attachTime bounds what the CNI plugin does, which asks the agent.
const attachTime = 2 * time.Minute

func (d *AgentPath) network(t testing.TB, b *Bed) {
	t.Helper()
	d.Cluster = agents.Start(t, agents.Options{Nodes: b.opts.Nodes, WithoutAgents: true, WithoutNodes: true, APIServer: b.opts.APIServer})
	b.Lab, b.Server = d.Cluster.Lab, d.Cluster.Server
}

func (d *AgentPath) nodes(t testing.TB, b *Bed) {
	t.Helper()
	d.Cluster.Restart(t, agents.Render(t, b.Forge.Show(t, branch, ValuesPath)))
	b.step(t, "the agents that Flux will take over run")
	for _, o := range dnsObjects() {
		b.must(t, b.Client.Create(t.Context(), o))
	}
	eventually(t, patience, "cluster DNS runs", func() string {
		have, err := b.Kube.AppsV1().Deployments(ciliumNamespace).Get(t.Context(), dnsName, metav1.GetOptions{})
		if err != nil || have.Status.AvailableReplicas != 1 {
			return fmt.Sprintf("%v, kubelet: %v", err, b.Kubelet.Errors())
		}
		return ""
	})
}

// service: the agents read the API server's objects.
func (d *AgentPath) service(lab.Service) {}

func (d *AgentPath) endpoints(string, string, ...netip.Addr) {}

func (d *AgentPath) apply(node string, cfg cilium.Config) error {
	err := d.Cluster.Node(node).Restart(cfg)
	if refused, ok := errors.AsType[*agents.Refused](err); ok {
		return &kubelet.Crash{Message: refused.Error()}
	}
	return err
}

func (d *AgentPath) stop(node string) { d.Cluster.Node(node).Stop() }

func (d *AgentPath) config(node string) cilium.Config { return d.Cluster.Node(node).Config() }

// attach: whether a pod is guarded is what the NetworkPolicies say.
func (d *AgentPath) attach(o *corev1.Pod, _ bool) (*Pod, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attachTime)
	defer cancel()
	joined, err := d.Cluster.Attach(ctx, o)
	if err != nil {
		return nil, err
	}
	p := newPod(o, joined.Space, joined.Addrs, joined.Start)
	d.pods[p] = joined
	return p, errors.Join(
		p.Sysctl(map[string]string{"ipv4/ping_group_range": "0 2147483647"}),
		d.Cluster.Lab.SetResolver(p.Space, dnsAddrs()...))
}

func (d *AgentPath) detach(p *Pod) error {
	joined := d.pods[p]
	delete(d.pods, p)
	ctx, cancel := context.WithTimeout(context.Background(), attachTime)
	defer cancel()
	return d.Cluster.Detach(ctx, joined)
}

func (d *AgentPath) host(o *corev1.Pod) *Pod {
	n := d.Cluster.Node(o.Spec.NodeName)
	return newPod(o, n.Space, n.Addrs, n.Start)
}

const (
	dnsName  = "coredns"
	dnsLabel = "kube-dns"
)

// dnsAddrs are the ClusterIPs of cluster DNS.
func dnsAddrs() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:101:96::a")}
}

// dnsObjects are what an installation of cluster DNS has, as far as anybody looks.
func dnsObjects() []client.Object {
	labels := map[string]string{"k8s-app": dnsLabel}
	dual := corev1.IPFamilyPolicyRequireDualStack
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ciliumNamespace, Name: dnsLabel, Labels: labels},
		Spec: corev1.ServiceSpec{
			IPFamilyPolicy: &dual, Selector: labels,
			Ports: []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53}, {Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53},
			},
		},
	}
	for _, a := range dnsAddrs() {
		service.Spec.ClusterIPs = append(service.Spec.ClusterIPs, a.String())
	}
	service.Spec.ClusterIP = service.Spec.ClusterIPs[0]
	return []client.Object{service, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ciliumNamespace, Name: dnsName},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: dnsName, Image: "none.invalid/" + dnsName}}},
			},
		},
	}}
}

// startDNS runs cluster DNS in a pod. It knows the Services that the test makes known.
func (b *Bed) startDNS(o *corev1.Pod) (func(), []netip.Addr, error) {
	p, err := b.attach(o, false)
	if err != nil {
		return nil, nil, err
	}
	dns := lab.NewDNS(p.Space)
	dns.Service.ClusterIPs = dnsAddrs()
	dns.Add(sourceController+"."+FluxNamespace+".svc.cluster.local.", sourceAddr())
	if err := dns.Start(); err != nil {
		return nil, nil, err
	}
	b.DNS = dns
	return func() { dns.Stop(); b.detach(p) }, p.IPs(), nil
}
