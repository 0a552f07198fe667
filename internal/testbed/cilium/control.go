//go:build linux

package cilium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed"
)

const (
	ciliumNamespace = "kube-system"
	// serviceRange are the ClusterIPs, those of the lab's addresses.
	serviceRange = "10.96.0.0/12,fd00:101:96::/108"
	apiPort      = "6443"
)

// controlPlane starts etcd and kube-apiserver in the test's own namespace, and makes
// them reachable for the nodes at the router's address.
func (c *Cluster) controlPlane(t testing.TB, flags []string) {
	t.Helper()
	// Without a default route the server must be told which address it has.
	flags = append([]string{"--advertise-address=192.0.2.1", "--service-cluster-ip-range=" + serviceRange}, flags...)
	c.Server = testbed.Start(t, flags...)
	c.API = rest.CopyConfig(c.Server.Config)
	c.API.QPS, c.API.Burst = 500, 1000
	c.API.WarningHandler = rest.NoWarnings{}
	var err error
	c.Kube, err = kubernetes.NewForConfig(c.API)
	must(t, err)
	c.Client, err = client.New(c.API, client.Options{})
	must(t, err)
	c.Log(t, "the API server is ready")
	files, err := testbed.CiliumCRDs(c.source)
	must(t, err)
	testbed.InstallCRDFiles(t, c.API, files...)
	c.Log(t, "Cilium's kinds are known")
	must(t, c.createNamespace(t.Context(), "cilium-secrets"))
	l, err := c.Lab.Router.Listen("tcp", net.JoinHostPort(c.Lab.Gateway(cidr.IPv4, 0).String(), apiPort))
	must(t, err)
	t.Cleanup(pass(l, strings.TrimPrefix(c.API.Host, "https://")))
	must(t, c.writeKubeconfig(l.Addr().String()))
}

// pass hands connections on to another address until the returned function is called.
func pass(l net.Listener, to string) (stop func()) {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { join(ctx, in, to) })
		}
	})
	return func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	}
}

func join(ctx context.Context, in net.Conn, to string) {
	defer func() { _ = in.Close() }()
	out, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // an end is an end
			done <- struct{}{}
		}()
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// writeKubeconfig is for the agents: the server's certificate is for the address that
// it listens on itself.
func (c *Cluster) writeKubeconfig(address string) error {
	const name = "cilium"
	host, _, err := net.SplitHostPort(strings.TrimPrefix(c.API.Host, "https://"))
	if err != nil {
		return err
	}
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{
		Server: "https://" + address, CertificateAuthorityData: c.API.CAData, TLSServerName: host,
	}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: c.API.BearerToken}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	return clientcmd.WriteToFile(*file, c.kubeconfig)
}

// registerNode makes the Node object that a kubelet would.
func (c *Cluster) registerNode(n *Node) error {
	ctx := context.Background()
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{
		corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux",
	}}}
	for _, p := range n.Network.PodCIDRs() {
		o.Spec.PodCIDRs = append(o.Spec.PodCIDRs, p.String())
	}
	o.Spec.PodCIDR = o.Spec.PodCIDRs[0]
	o, err := c.Kube.CoreV1().Nodes().Create(ctx, o, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("failed to register %s: %w", n.Name, err)
	}
	for _, a := range n.Addrs {
		o.Status.Addresses = append(o.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	o.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	_, err = c.Kube.CoreV1().Nodes().UpdateStatus(ctx, o, metav1.UpdateOptions{})
	return err
}

func (c *Cluster) createNamespace(ctx context.Context, name string) error {
	o := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := c.Kube.CoreV1().Namespaces().Create(ctx, o, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Reach gives every node a route to an address of a host on a segment that its own
// range does not hold, by one that it does.
func (c *Cluster) Reach(t testing.TB, dst netip.Prefix, via netip.Addr) {
	t.Helper()
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Space.AddRoute(dst, via, "eth0"))
	}
	must(t, errors.Join(errs...))
}
