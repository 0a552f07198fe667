package testbed

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const pooledKind = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: tenant}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: tenant}
spec: {clusterIP: 10.0.0.77, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: held, namespace: default, finalizers: [example.com/held]}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: kube-system}
spec: {nodeName: node-1, containers: [{name: agent, image: example.com/agent}]}
`

// The next test gets the same server, with what was prepared and nothing of what
// the test before has put in; and may put in the same once more.
func TestPoolGivesCleanServers(t *testing.T) {
	prepared := 0
	p := &Pool{Prepare: func(t testing.TB, cfg *rest.Config) {
		prepared++
		kube := kubernetes.NewForConfigOrDie(cfg)
		if _, err := kube.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "prepared"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}}
	file := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(pooledKind), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := Objects(t, file)
	hosts := map[string]bool{}
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			cfg := p.APIServer(t)
			hosts[cfg.Host] = true
			kube := kubernetes.NewForConfigOrDie(cfg)
			if _, err := kube.CoreV1().ConfigMaps("default").Get(t.Context(), "prepared", metav1.GetOptions{}); err != nil {
				t.Error(err)
			}
			_, config := kube.CoreV1().ConfigMaps("default").Get(t.Context(), "held", metav1.GetOptions{})
			_, pod := kube.CoreV1().Pods("kube-system").Get(t.Context(), "agent", metav1.GetOptions{})
			_, namespace := kube.CoreV1().Namespaces().Get(t.Context(), "tenant", metav1.GetOptions{})
			for _, err := range []error{config, pod, namespace} {
				if !apierrors.IsNotFound(err) {
					t.Errorf("something is left: %v", err)
				}
			}
			if _, err := kube.Discovery().ServerResourcesForGroupVersion("example.com/v1"); !apierrors.IsNotFound(err) {
				t.Errorf("a definition is left: %v", err)
			}
			if _, err := kube.RbacV1().ClusterRoles().Get(t.Context(), "cluster-admin", metav1.GetOptions{}); err != nil {
				t.Errorf("the server's own is gone: %v", err)
			}
			LoadObjects(t, cfg, objects...)
		})
	}
	if prepared != 1 || len(hosts) != 1 {
		t.Errorf("prepared %d times, on %d servers", prepared, len(hosts))
	}
	dir := p.free[0].dir
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

// A server is one test's alone, and that of a failed test nobody's.
func TestPoolKeepsTestsApart(t *testing.T) {
	p := &Pool{}
	s := &pooled{Server: &Server{dir: t.TempDir()}}
	p.free = append(p.free, s)
	if p.take() != s || p.take() != nil {
		t.Error("a server that is in use was given away")
	}
	if err := p.giveBack(s, true); err != nil || len(p.free) != 0 {
		t.Errorf("kept after a failed test: %v, %v", p.free, err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
}
