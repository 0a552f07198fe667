//go:build linux

package story

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// Config is the administrator's access. [Bed.CutAPI] does not touch it.
func (b *Bed) Config() *rest.Config { return rest.CopyConfig(b.Server.Config) }

// tokenSeconds outlive a test.
const tokenSeconds = 6 * 3600

// ServiceAccount is the access of a service account, which is made if it is not
// there, by a token of its own. It goes through what [Bed.CutAPI] cuts.
func (b *Bed) ServiceAccount(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	accounts := b.Kube.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	seconds := int64(tokenSeconds)
	token, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	b.must(t, err)
	return &rest.Config{
		Host: "https://" + b.gate.listener.Addr().String(), BearerToken: token.Status.Token,
		TLSClientConfig: rest.TLSClientConfig{CAData: b.Server.Config.CAData},
	}
}

// CutAPI takes the API server away from who has access by [Bed.ServiceAccount]:
// connections end and new ones are not taken.
func (b *Bed) CutAPI() { b.gate.setCut(true) }

// RestoreAPI undoes [Bed.CutAPI].
func (b *Bed) RestoreAPI() { b.gate.setCut(false) }

// Merge merges a pull request as a human, and returns the merge commit.
func (b *Bed) Merge(t testing.TB, number int) string { return b.Forge.MergePR(t, number) }

// PullRequests are all of the repository, oldest first.
func (b *Bed) PullRequests(t testing.TB) []forges.PR { return b.Forge.PRs(t) }

// Apply applies objects on the server as the administrator, in their order, until
// the server knows their kinds.
func (b *Bed) Apply(t testing.TB, objects ...*unstructured.Unstructured) {
	t.Helper()
	for _, o := range objects {
		eventually(t, time.Minute, fmt.Sprintf("%s %s/%s is applied", o.GetKind(), o.GetNamespace(), o.GetName()), func() string {
			err := b.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner("story"), client.ForceOwnership)
			if err != nil {
				return err.Error()
			}
			return ""
		})
	}
}

// applySync applies the repository's sync objects, as flux bootstrap does.
func (b *Bed) applySync(t testing.TB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sync.yaml")
	b.must(t, os.WriteFile(path, []byte(b.Forge.Show(t, branch, SyncPath)), 0o600))
	b.Apply(t, testbed.Objects(t, path)...)
}

func fluxResource(kind string) schema.GroupVersionResource {
	switch kind {
	case "Kustomization":
		return schema.GroupVersionResource{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"}
	case "HelmRelease":
		return schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}
	case "HelmRepository":
		return schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "helmrepositories"}
	default:
		return schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "gitrepositories"}
	}
}

func ciliumResource(version, plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "cilium.io", Version: version, Resource: plural}
}
