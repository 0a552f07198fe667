package scale

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

const (
	// home and account are the controller's, as config/default has them, and user is who
	// it is to the API server.
	home, account = "remediate-system", "remediate"
	user          = "system:serviceaccount:" + home + ":" + account
)

// Cluster is a large cluster.
type Cluster struct {
	*testbed.Server
	// Repository is a checkout of the incident's repository.
	Repository string
	Kube       kubernetes.Interface

	audit  string
	probes *probes
}

// New starts a cluster of a size with a bundled incident in it, installed as
// config/default does it, but for what runs. It ends with the test.
func New(t testing.TB, z Size, incident string) *Cluster {
	t.Helper()
	dir := t.TempDir()
	c := &Cluster{audit: filepath.Join(dir, "audit.log")}
	policy := filepath.Join(dir, "policy.yaml")
	must(t, os.WriteFile(policy, []byte(auditPolicy), 0o600))
	c.Server = testbed.Start(t, "--audit-policy-file="+policy, "--audit-log-path="+c.audit, "--audit-log-mode=blocking-strict",
		"--service-cluster-ip-range=fd00:101:96::/108,10.101.96.0/20", "--advertise-address=fd00:101::10")
	c.Config.QPS = -1
	var err error
	c.Kube, err = kubernetes.NewForConfig(c.Config)
	must(t, err)
	c.install(t)
	repository, facts, err := examples.Lay(incident, filepath.Join(dir, "incident"))
	must(t, err)
	c.Repository = repository
	testbed.Load(t, c.Config, facts, "ProbeReport", "Event")
	c.probes = newProbes(t, z.Nodes)
	began := time.Now()
	must(t, z.fill(c.Etcd, c.probes.port))
	c.count(t, z)
	t.Logf("%d nodes and %d pods with their CiliumNodes and CiliumEndpoints are there after %s", z.Nodes, z.Pods, time.Since(began).Round(time.Second))
	return c
}

// install applies config/default but for what runs.
func (c *Cluster) install(t testing.TB) {
	t.Helper()
	testbed.InstallCRDs(t, c.Config)
	root, err := testbed.Checkout()
	must(t, err)
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "config", "default"))
	must(t, err)
	text, err := built.AsYaml()
	must(t, err)
	file := filepath.Join(t.TempDir(), "objects.yaml")
	must(t, os.WriteFile(file, text, 0o600))
	objects := slices.DeleteFunc(testbed.Objects(t, file), func(o *unstructured.Unstructured) bool {
		return slices.Contains([]string{"Deployment", "DaemonSet", "NetworkPolicy", "CustomResourceDefinition"}, o.GetKind())
	})
	definitions, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	must(t, err)
	testbed.InstallCRDFiles(t, c.Config, definitions...)
	for _, first := range []bool{true, false} {
		for _, o := range objects {
			if (o.GetKind() == "Namespace") == first {
				testbed.LoadObjects(t, c.Config, o)
			}
		}
	}
}

// count has the server read what was written, and checks a first page of it.
func (c *Cluster) count(t testing.TB, z Size) {
	t.Helper()
	list, err := c.Kube.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{Limit: 1})
	must(t, err)
	if all := int64(len(list.Items)) + *list.RemainingItemCount; all < int64(z.Pods) {
		t.Fatalf("the server has %d pods, want %d", all, z.Pods)
	}
	probes, err := c.Kube.CoreV1().Pods(deploy.Name).List(t.Context(), metav1.ListOptions{Limit: 1})
	must(t, err)
	if len(probes.Items) != 1 || probes.Items[0].Status.Phase != "Running" {
		t.Fatalf("the server does not know the probes: %+v", probes.Items)
	}
}

// Access is the controller's own: the token of its service account.
func (c *Cluster) Access(t testing.TB) *rest.Config {
	t.Helper()
	seconds := int64(6 * 3600)
	token, err := c.Kube.CoreV1().ServiceAccounts(home).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	must(t, err)
	return &rest.Config{Host: c.Config.Host, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: c.Config.CAData}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
