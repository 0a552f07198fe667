package realcluster

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// A list of more than two pages of 500, with the server's own continue tokens.
func testPages(t *testing.T, server *testbed.Server) {
	const many, namespace = 1001, "spegel"
	before := len(read(t, server, observe.ClusterOptions{}).Policies)
	createPolicies(t, server, namespace, many)
	got := read(t, server, observe.ClusterOptions{}).Policies
	if len(got) != before+many {
		t.Errorf("%d policies, want %d and %d", len(got), before, many)
	}
	for i := range many {
		name := policyName(i)
		if !slices.ContainsFunc(got, func(p snapshot.Policy) bool { return p.Namespace == namespace && p.Name == name }) {
			t.Fatalf("policy %s is missing", name)
		}
	}
}

func policyName(i int) string { return fmt.Sprintf("page-%04d", i) }

// createPolicies with a few requests at a time.
func createPolicies(t *testing.T, server *testbed.Server, namespace string, n int) {
	t.Helper()
	cfg := rest.CopyConfig(server.Config)
	cfg.QPS = -1
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: policyName(i)}}
				if _, err := client.NetworkingV1().NetworkPolicies(namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
