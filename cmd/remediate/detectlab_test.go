//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgo "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// inLab in the environment runs the tests of this package in network namespaces of
// their own, as a laboratory needs it and the others do not bear.
const inLab = "REMEDIATE_DETECT_LAB"

// labMain ends the process when it is to run in namespaces.
func labMain(m *testing.M) {
	if os.Getenv(inLab) != "" {
		lab.Main(m)
	}
}

// probes is the namespace whose DaemonSets the kubelets run.
const probes = "probes"

// labCluster is a lab with an API server, kubelets that run the real probes, and what
// keeps services and namespaces as a cluster's own controllers do.
type labCluster struct {
	t                 *testing.T
	lab               *lab.Lab
	kube              clientgo.Interface
	kubeconfig, probe string
}

func newLabCluster(t *testing.T, probe string, spec lab.Spec) *labCluster {
	t.Helper()
	c := &labCluster{t: t, lab: lab.New(t, spec), probe: probe}
	cfg := testbed.APIServer(t, serviceRanges(spec)...)
	c.kubeconfig = testbed.Kubeconfig(t, cfg)
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 200, 400
	var err error
	c.kube, err = clientgo.NewForConfig(cfg)
	c.must(err)
	k := kubelet.Start(t, cfg, kubelet.Options{Namespaces: []string{probes}, Start: c.start})
	for _, n := range c.lab.Nodes {
		k.AddNodes(t, kubelet.Node{Name: n.Name, Addresses: n.IPs(), PodCIDRs: n.PodCIDRs()})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { c.control(ctx) })
	return c
}

// serviceRanges are the lab's. Without a default route an API server must be told
// which address it has, and that of the family that comes first.
func serviceRanges(spec lab.Spec) []string {
	switch {
	case spec.IPv6 && !spec.IPv4:
		return []string{"--service-cluster-ip-range=fd00:101:96::/108", "--advertise-address=2001:db8::1"}
	case spec.IPv4 && !spec.IPv6:
		return []string{"--service-cluster-ip-range=10.96.0.0/12", "--advertise-address=192.0.2.1"}
	}
	return []string{"--service-cluster-ip-range=10.96.0.0/12,fd00:101:96::/108", "--advertise-address=192.0.2.1"}
}

func (c *labCluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// start runs the probe's binary in a pod of the lab.
func (c *labCluster) start(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	p := c.lab.Node(pod.Spec.NodeName).AddPod(lab.PodSpec{
		Namespace: pod.Namespace, Name: pod.Name + string(pod.UID), Labels: pod.Labels, Guarded: pod.Labels[lab.TargetLabel] == v1alpha1.TargetGuarded,
		OpenPorts: []int{deploy.BackendEchoPort, deploy.BackendHTTPPort},
	})
	env, err := kubelet.Env(pod, p.IPs())
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(c.probe, kubelet.Args(pod, dir, env)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stdout
	if err := p.Start(cmd); err != nil {
		return nil, nil, err
	}
	return func() { p.Stop(cmd) }, p.IPs(), nil
}

// control brings services into the lab and takes empty namespaces away.
func (c *labCluster) control(ctx context.Context) {
	endpoints := map[string]string{}
	for ctx.Err() == nil {
		c.services(ctx, endpoints)
		c.finalize(ctx)
		time.Sleep(100 * time.Millisecond)
	}
}

func (c *labCluster) services(ctx context.Context, endpoints map[string]string) {
	list, err := c.kube.CoreV1().Services(probes).List(ctx, metav1.ListOptions{LabelSelector: deploy.LabelName + "=" + deploy.Name})
	if err != nil {
		return
	}
	for _, s := range list.Items {
		name := string(s.UID)
		if _, known := endpoints[name]; !known {
			endpoints[name] = ""
			c.lab.AddService(serviceOf(&s, name))
		}
		pods, err := c.kube.CoreV1().Pods(probes).List(ctx, metav1.ListOptions{LabelSelector: deploy.LabelTarget + "=" + v1alpha1.TargetGuarded})
		if err != nil {
			return
		}
		var behind []netip.Addr
		var text strings.Builder
		for _, p := range pods.Items {
			for _, ip := range p.Status.PodIPs {
				behind = append(behind, netip.MustParseAddr(ip.IP))
				text.WriteString(ip.IP + " ")
			}
		}
		if endpoints[name] != text.String() {
			endpoints[name] = text.String()
			c.lab.SetEndpoints(s.Namespace, name, behind...)
		}
	}
}

func serviceOf(s *corev1.Service, name string) lab.Service {
	out := lab.Service{Namespace: s.Namespace, Name: name}
	for _, ip := range s.Spec.ClusterIPs {
		out.ClusterIPs = append(out.ClusterIPs, netip.MustParseAddr(ip))
	}
	for _, p := range s.Spec.Ports {
		out.Ports = append(out.Ports, lab.ServicePort{Protocol: string(p.Protocol), Port: int(p.Port), TargetPort: p.TargetPort.IntValue()})
	}
	return out
}

func (c *labCluster) finalize(ctx context.Context) {
	ns, err := c.kube.CoreV1().Namespaces().Get(ctx, probes, metav1.GetOptions{})
	if err != nil || ns.DeletionTimestamp == nil {
		return
	}
	pods, err := c.kube.CoreV1().Pods(probes).List(ctx, metav1.ListOptions{})
	if err == nil && len(pods.Items) == 0 {
		ns.Spec.Finalizers = nil
		_, _ = c.kube.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	}
}

// apply rolls a configuration out and shows it as the cluster's cilium-config.
func (c *labCluster) apply(cfg cilium.Config) {
	c.t.Helper()
	c.must(c.lab.Apply(cfg))
	maps := c.kube.CoreV1().ConfigMaps("kube-system")
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cilium-config"}, Data: cfg.Values}
	_, err := maps.Create(c.t.Context(), config, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = maps.Update(c.t.Context(), config, metav1.UpdateOptions{})
	}
	c.must(err)
}

// session is what a user saw of a run.
type session struct {
	code           int
	stdout, stderr string
}

// detect runs the command; its probes' namespace must be gone afterwards.
func (c *labCluster) detect(args ...string) session {
	c.t.Helper()
	var out, errs bytes.Buffer
	code := execute(c.t.Context(), append([]string{"detect", "--yes", "--kubeconfig", c.kubeconfig, "--probe-namespace", probes}, args...), &out, &errs)
	s := session{code, out.String(), errs.String()}
	c.t.Logf("detect %s: exit code %d\n%s\n%s", strings.Join(args, " "), s.code, s.stderr, s.stdout)
	if _, err := c.kube.CoreV1().Namespaces().Get(c.t.Context(), probes, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		c.t.Errorf("namespace %s is left: %v", probes, err)
	}
	return s
}

func buildProbe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remediate-probe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", path, "github.com/remediate-dev/remediate/cmd/remediate-probe")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return path
}

// The command as its users know it: a real API server, the real probes, and packets
// in a kernel's own network, of a healthy cluster and then of the incident.
func TestDetectInLab(t *testing.T) {
	if os.Getenv(inLab) == "" {
		t.Parallel()
		again(t)
		return
	}
	probe := buildProbe(t)
	t.Run("three nodes", func(t *testing.T) {
		t.Parallel()
		c := newLabCluster(t, probe, lab.Spec{})
		c.apply(lab.Healthy())
		c.healthy()
		c.apply(lab.Incident())
		c.incident()
	})
	t.Run("two nodes, IPv4 only", func(t *testing.T) {
		t.Parallel()
		c := newLabCluster(t, probe, lab.Spec{Nodes: 2, IPv4: true})
		c.apply(lab.Healthy("enable-ipv6", "false"))
		c.hasty()
	})
	t.Run("one node, IPv6 only", func(t *testing.T) {
		t.Parallel()
		c := newLabCluster(t, probe, lab.Spec{Nodes: 1, IPv6: true})
		c.apply(lab.Healthy("enable-ipv4", "false"))
		c.alone()
	})
}

// again runs the test once more, in namespaces.
func again(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.parallel=3", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(cmd.Environ(), inLab+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// healthy: nothing is confirmed; the result is a document in a file.
func (c *labCluster) healthy() {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "result.json")
	s := c.detect("--for", "16s", "-o", "json", "--output-file", file)
	if s.code != 0 || s.stdout != "" {
		c.t.Errorf("exit code %d, and on stdout %q", s.code, s.stdout)
	}
	text, err := os.ReadFile(file)
	c.must(err)
	var doc v1alpha1.DetectResult
	c.must(json.Unmarshal(text, &doc))
	var names []string
	for _, r := range doc.Reports {
		names = append(names, r.Kind+" "+r.Metadata.Name)
	}
	if want := []string{"ProbeReport node-1", "ProbeReport node-2", "ProbeReport node-3"}; doc.Kind != "DetectResult" || doc.APIVersion != v1alpha1.APIVersion || !slices.Equal(names, want) {
		c.t.Errorf("%s %s with %v", doc.APIVersion, doc.Kind, names)
	}
}

// incident: the flagship is confirmed, and the matrices show who is seen as whom.
func (c *labCluster) incident() {
	c.t.Helper()
	s := c.detect()
	if s.code != 2 {
		c.t.Errorf("exit code %d", s.code)
	}
	for _, want := range []string{
		`^✗ CONFIRMED · 1 failure`,
		`CRITICAL · confirmed · ` + signature.NativeRoutingCIDRExcludesPods,
		`(?s)saw fd00:101::1\d as source: the address of.+not of the pod fd00:101:224`,
		"(?m)^" + cidr.IPv6 + ` · from pods \(rows\) to pods \(columns\)\n +1 2 3\n  1 node-1 +[.-] M M\n  2 node-2 +M [.-] M\n  3 node-3 +M M [.-]$`,
		"(?m)^" + cidr.IPv4 + ` · from pods \(rows\) to pods \(columns\)\n +1 2 3\n  1 node-1 +[.-] [.-] [.-]$`,
		`\nnext: remediate plan --kubeconfig \S+ --context testbed\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(s.stdout) {
			c.t.Errorf("no %s", want)
		}
	}
}

// hasty: in less than a heartbeat nothing is found out, and a run says so.
func (c *labCluster) hasty() {
	c.t.Helper()
	s := c.detect("--for", "1s")
	if s.code != 1 || s.stdout != "" || !strings.Contains(s.stderr, "error: nothing could be checked: no pair of nodes was tried within 1s\nremediate: hint: give --for 30s or more") {
		c.t.Errorf("exit code %d", s.code)
	}
}

// alone: one node has no peers, and its own checks are still made.
func (c *labCluster) alone() {
	c.t.Helper()
	s := c.detect("--for", "16s")
	if s.code != 0 || !strings.HasPrefix(s.stdout, "✓ OK · nothing confirmed\n  1 node · 1 of 1 probe heard") {
		c.t.Errorf("exit code %d", s.code)
	}
	if strings.Contains(s.stdout, cidr.IPv4) || !strings.Contains(s.stdout, "\neach node · ") {
		c.t.Error("a family that is not there, or nothing of the node's own")
	}
	for _, want := range []string{"traffic between nodes: one node has a probe", "cluster DNS: no Service in kube-system has the label k8s-app=kube-dns"} {
		if !strings.Contains(s.stdout, "· "+want+"\n") {
			c.t.Errorf("no %q", want)
		}
	}
}
