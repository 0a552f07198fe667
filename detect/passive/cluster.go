package passive

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Cluster reads from one cluster. Nothing in it is needed: what is off, or what the
// user may not ask, is said and left out.
type Cluster struct {
	Config *rest.Config
	// Namespace of Cilium: kube-system.
	Namespace string
	// Within is how long the agents, and then Relay, may take in all.
	Within time.Duration
	// Snapshot tells whose addresses are whose.
	Snapshot *snapshot.Snapshot
}

const (
	agentSelector = "k8s-app=cilium"
	relaySelector = "k8s-app=hubble-relay"
	relayPort     = 4245
	// mostAgents is how many are asked at most: each is a request through the API server.
	mostAgents = 50
)

// Metrics asks the agents, a sample of them in large clusters.
func (c Cluster) Metrics(ctx context.Context) (read []snapshot.AgentMetrics, unread []string) {
	ctx, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return nil, []string{fmt.Sprintf("the agents' metrics: %v", err)}
	}
	pods, err := c.running(ctx, client, agentSelector)
	if err != nil {
		return nil, []string{fmt.Sprintf("the agents' metrics: %v", err)}
	}
	if len(pods) > mostAgents {
		pods = pods[:mostAgents]
	}
	return Metrics(ctx, client.CoreV1().RESTClient(), pods)
}

// Hubble asks Hubble Relay, where there is one. An empty reason and no observation
// mean that there is none or that it saw nothing of the kind.
func (c Cluster) Hubble(ctx context.Context, since time.Time) (seen []v1alpha1.Observation, unread string) {
	ctx, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	client, err := kubernetes.NewForConfig(c.Config)
	if err == nil {
		var pods []*corev1.Pod
		if pods, err = c.running(ctx, client, relaySelector); err == nil && len(pods) == 0 {
			return nil, ""
		}
		if err == nil {
			seen, err = c.relay(pods[0]).Observations(ctx, since)
		}
	}
	if err != nil {
		return nil, "Hubble's flows: " + err.Error()
	}
	return seen, ""
}

func (c Cluster) relay(pod *corev1.Pod) Hubble {
	return Hubble{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return Forward(ctx, c.Config, pod.Namespace, pod.Name, relayPort)
		},
		NodeOf: c.nodeOf, PodNode: c.podNode,
	}
}

func (c Cluster) nodeOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	for i := range c.Snapshot.Nodes {
		n := &c.Snapshot.Nodes[i]
		if slices.Contains(slices.Concat(n.InternalIPs, n.ExternalIPs, n.CiliumInternalIPs), a) {
			return n.Name
		}
	}
	return ""
}

func (c Cluster) podNode(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	for i := range c.Snapshot.Pods {
		if p := &c.Snapshot.Pods[i]; !p.HostNetwork && slices.Contains(p.IPs, a) {
			return p.Node
		}
	}
	return ""
}

func (c Cluster) running(ctx context.Context, client kubernetes.Interface, selector string) ([]*corev1.Pod, error) {
	list, err := client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: 500})
	if err != nil {
		return nil, err
	}
	var out []*corev1.Pod
	for i := range list.Items {
		if list.Items[i].Status.Phase == corev1.PodRunning {
			out = append(out, &list.Items[i])
		}
	}
	return out, nil
}
