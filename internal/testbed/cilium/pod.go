//go:build linux

package cilium

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// PodSpec is a pod to make.
type PodSpec struct {
	Namespace, Name string
	// Node by name.
	Node   string
	Labels map[string]string
}

// Pod is a pod that the CNI plugin has joined to its node. As a [Host] it is the
// pod's network.
type Pod struct {
	*Host
	Namespace string
	Node      *Node
	Labels    map[string]string
	// Identity is the number that Cilium gave to its labels. It may be another after
	// a restart of its node's agent.
	Identity int64
	// Device is the node's end of its veth.
	Device string

	uid       string
	container string
}

// podTime is how long a pod may take until its programs are loaded.
const podTime = 2 * time.Minute

// AddPods makes pods whose nodes' agents are ready, and their namespaces, and returns
// when each has an identity and its own programs.
func (c *Cluster) AddPods(t testing.TB, specs ...PodSpec) []*Pod {
	t.Helper()
	pods := make([]*Pod, len(specs))
	errs := make([]error, len(specs))
	for _, s := range specs {
		must(t, c.createNamespace(t.Context(), s.Namespace))
	}
	var wg sync.WaitGroup
	for i, s := range specs {
		wg.Go(func() { pods[i], errs[i] = c.addPod(t.Context(), s) })
	}
	wg.Wait()
	for _, p := range pods {
		if p != nil {
			c.mu.Lock()
			c.pods = append(c.pods, p)
			c.mu.Unlock()
		}
	}
	must(t, errors.Join(errs...))
	return pods
}

// addPod returns a pod also with an error when there is one to close.
func (c *Cluster) addPod(ctx context.Context, s PodSpec) (*Pod, error) {
	p, err := c.newPod(s)
	if err != nil {
		return nil, err
	}
	name := s.Namespace + "/" + s.Name
	if err := p.create(ctx); err != nil {
		return p, fmt.Errorf("pod %s: %w", name, err)
	}
	if err := p.join(ctx); err != nil {
		return p, fmt.Errorf("pod %s: %w", name, err)
	}
	if err := p.report(ctx); err != nil {
		return p, fmt.Errorf("pod %s: %w", name, err)
	}
	return p, p.untilProgrammed()
}

func (p *Pod) untilProgrammed() error {
	return p.Node.agent.until("the programs of pod "+p.Namespace+"/"+p.Name+" were there", podTime, p.programmed)
}

// newPod makes a pod's namespace and cgroup.
func (c *Cluster) newPod(s PodSpec) (*Pod, error) {
	n := c.Node(s.Node)
	if n == nil {
		return nil, fmt.Errorf("pod %s/%s is to run on %q, and there is no such node", s.Namespace, s.Name, s.Node)
	}
	name := s.Namespace + "/" + s.Name
	space, err := c.Lab.NewSpace(name, map[string]string{"ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/accept_ra": "0"})
	if err != nil {
		return nil, err
	}
	group := filepath.Join(n.group, strings.ReplaceAll(name, "/", "-"))
	if err := os.Mkdir(group, 0o755); err != nil {
		return nil, err
	}
	p := &Pod{
		Host:      &Host{Name: s.Name, Space: space, cluster: c, group: group},
		Namespace: s.Namespace, Node: n, Labels: s.Labels,
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	// Shorter ones make device names that the kernel refuses.
	p.container = hex.EncodeToString(raw)
	return p, nil
}

// create makes the pod's object.
func (p *Pod) create(ctx context.Context) error {
	o, err := p.cluster.Kube.CoreV1().Pods(p.Namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Labels: p.Labels},
		Spec: corev1.PodSpec{
			NodeName: p.Node.Name, ServiceAccountName: "default", AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{Name: "main", Image: "none.invalid/main"}},
		},
	}, metav1.CreateOptions{})
	if err == nil {
		p.uid = string(o.UID)
	}
	return err
}

// join has the CNI plugin make the pod's device and tell the agent.
func (p *Pod) join(ctx context.Context) error {
	out, err := p.plugin(ctx, "ADD")
	if err != nil {
		return err
	}
	var result struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
		Interfaces []struct{ Name, Sandbox string } `json:"interfaces"`
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		return fmt.Errorf("the CNI plugin's answer %q: %w", out, err)
	}
	for _, ip := range result.IPs {
		p.Addrs = append(p.Addrs, ip.Address.Addr())
	}
	for _, i := range result.Interfaces {
		if i.Sandbox == "" {
			p.Device = i.Name
		}
	}
	slices.SortFunc(p.Addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return nil
}

// plugin runs the CNI plugin as a container runtime does (CNI specification 1.0).
func (p *Pod) plugin(ctx context.Context, what string) (string, error) {
	cmd := p.Node.command(ctx, p.cluster.cni)
	cmd.Env = append(cmd.Env,
		"CNI_COMMAND="+what, "CNI_CONTAINERID="+p.container, "CNI_NETNS="+p.Space.Path(), "CNI_IFNAME=eth0",
		"CNI_PATH="+filepath.Dir(p.cluster.cni),
		fmt.Sprintf("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=%s", p.Namespace, p.Name, p.uid))
	cmd.Stdin = strings.NewReader(`{"cniVersion": "0.3.1", "name": "cilium", "type": "cilium-cni"}`)
	return p.Node.output(cmd)
}

// report writes the status that a kubelet would.
func (p *Pod) report(ctx context.Context) error {
	o, err := p.cluster.Kube.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	o.Status.Phase = corev1.PodRunning
	o.Status.PodIPs = nil
	for _, a := range p.Addrs {
		o.Status.PodIPs = append(o.Status.PodIPs, corev1.PodIP{IP: a.String()})
		o.Status.PodIP = o.Status.PodIPs[0].IP
	}
	for _, a := range p.Node.Addrs {
		o.Status.HostIPs = append(o.Status.HostIPs, corev1.HostIP{IP: a.String()})
		o.Status.HostIP = o.Status.HostIPs[0].IP
	}
	o.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	_, err = p.cluster.Kube.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, o, metav1.UpdateOptions{})
	return err
}

// programmed says whether the agent has given the pod an identity of its own and
// loaded its programs.
func (p *Pod) programmed() error {
	all, err := p.Node.endpoints()
	if err != nil {
		return err
	}
	for _, e := range all {
		if !e.of(p) {
			continue
		}
		// reserved:init has number 5 (pkg/identity/numericidentity.go, 1.18.6).
		const firstOwn = 256
		if e.Status.State != "ready" || e.Status.Identity.ID < firstOwn {
			return fmt.Errorf("it is %q with identity %d", e.Status.State, e.Status.Identity.ID)
		}
		p.Identity = e.Status.Identity.ID
		return nil
	}
	return errors.New("the agent does not know it")
}

// RemovePod deletes a pod as the kubelet does.
func (c *Cluster) RemovePod(t testing.TB, p *Pod) {
	t.Helper()
	p.hangUp()
	_, err := p.plugin(t.Context(), "DEL")
	must(t, err)
	must(t, c.Kube.CoreV1().Pods(p.Namespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
	c.mu.Lock()
	c.pods = slices.DeleteFunc(c.pods, func(other *Pod) bool { return other == p })
	c.mu.Unlock()
	c.Lab.Remove(p.Space)
}

// Pods are all pods in the order of their creation.
func (c *Cluster) Pods() []*Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.pods)
}

func (c *Cluster) podsOf(n *Node) (out []*Pod) {
	for _, p := range c.Pods() {
		if p.Node == n {
			out = append(out, p)
		}
	}
	return out
}

// IP is the host's first address of a family, invalid when it has none.
func (h *Host) IP(family string) netip.Addr {
	i := slices.IndexFunc(h.Addrs, func(a netip.Addr) bool { return cidr.Family(a) == family })
	if i < 0 {
		return netip.Addr{}
	}
	return h.Addrs[i]
}

// End is the pod as the model names it.
func (p *Pod) End(family string) datapath.End {
	return datapath.End{Kind: datapath.EndPod, Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Node: p.Node.Name, Addr: p.IP(family)}
}
