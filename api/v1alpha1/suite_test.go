package v1alpha1_test

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// suite is an API server that has the custom resources and nothing else.
type suite struct {
	client.Client
	config *rest.Config
}

func start(t *testing.T) *suite {
	t.Helper()
	cfg := testbed.APIServer(t)
	cfg.QPS = -1
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) != 2 {
		t.Fatalf("definitions %q, %v", files, err)
	}
	testbed.InstallCRDFiles(t, cfg, files...)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &suite{client.WithFieldValidation(c, metav1.FieldValidationStrict), cfg}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return o
}

// policy has a specification in YAML.
func policy(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	o := object(t, "apiVersion: remediate.dev/v1alpha1\nkind: RemediationPolicy\nmetadata: {name: p, namespace: default}\n")
	var value any
	if err := yaml.UnmarshalStrict([]byte(spec), &value); err != nil {
		t.Fatalf("%v\n%s", err, spec)
	}
	if value != nil {
		o.Object["spec"] = value
	}
	return o
}

// remediation has the fields of a specification in YAML, and what it needs besides.
func remediation(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	o := object(t, `
apiVersion: remediate.dev/v1alpha1
kind: Remediation
metadata: {name: r, namespace: default}
spec:
  policyRef: {name: p}
  signature: native-routing-cidr-excludes-pods
  cause: 0123456789abcdef
  family: IPv6
  releaseRef: {name: cilium, namespace: kube-system}
`)
	var fields map[string]any
	if err := yaml.UnmarshalStrict([]byte(spec), &fields); err != nil {
		t.Fatalf("%v\n%s", err, spec)
	}
	for k, v := range fields {
		if v == nil {
			delete(o.Object["spec"].(map[string]any), k)
			continue
		}
		o.Object["spec"].(map[string]any)[k] = v
	}
	return o
}
