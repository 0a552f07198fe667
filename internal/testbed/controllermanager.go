package testbed

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ControllerManager runs kube-controller-manager beside the API server until the
// test ends: it makes the pods of DaemonSets and Deployments, deletes what an owner
// or a namespace leaves behind, and makes service accounts. It is ready when it has
// made the first one.
//
// The node lifecycle controller is off, as no kubelet sends heartbeats; a test says
// itself which node is not ready.
func (s *Server) ControllerManager(t testing.TB) {
	t.Helper()
	binary := Tool(t, "kube-controller-manager")
	key := filepath.Join(s.dir, keyFile)
	p, err := s.run(s.dir, binary,
		"--kubeconfig="+Kubeconfig(t, s.Config),
		"--service-account-private-key-file="+key,
		"--root-ca-file="+filepath.Join(s.dir, "certs", "apiserver.crt"),
		"--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-node-route-controller,-service-lb-controller",
		"--leader-elect=false",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--secure-port=0",
	)
	if err != nil {
		t.Fatalf("start a controller manager: %v", err)
	}
	kube, err := kubernetes.NewForConfig(s.Config)
	if err != nil {
		t.Fatalf("start a controller manager: %v", err)
	}
	err = p.until(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := kube.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return fmt.Errorf("no service account yet: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("start a controller manager: %v", err)
	}
}
