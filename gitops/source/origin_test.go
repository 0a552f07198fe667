package source

import (
	"context"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// originRelease is a cluster whose Kustomization takes source, in the file that
// the format of [txtar] gives.
func originRelease(sourceRef string) string {
	return `-- cluster/ks.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cilium, namespace: flux-system}
spec:
  path: ./app
  sourceRef: ` + sourceRef + `
-- app/release.yaml --
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  chart: {spec: {chart: cilium, version: 1.18.6, sourceRef: {kind: HelmRepository, name: cilium}}}
`
}

const gitRepository = `-- cluster/source.yaml --
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: home, namespace: flux-system}
spec:
  url: https://git.example.com/home/cluster.git
  ref: {branch: live}
  secretRef: {name: git-auth}
  proxySecretRef: {name: proxy}
`

const fluxInstance = `-- cluster/instance.yaml --
apiVersion: fluxcd.controlplane.io/v1
kind: FluxInstance
metadata: {name: flux, namespace: flux-system}
spec:
  sync:
    kind: GitRepository
    url: https://git.example.com/home/synced.git
    ref: refs/heads/main
    path: cluster
    pullSecret: flux-pull
`

func TestOrigin(t *testing.T) {
	own := "{kind: GitRepository, name: home}"
	bootstrapped := "{kind: GitRepository, name: flux-system}"
	tests := []struct {
		name, files string
		want        Origin
	}{
		{"a GitRepository", originRelease(own) + gitRepository, Origin{
			URL: "https://git.example.com/home/cluster.git", Branch: "live", Namespace: "flux-system", Name: "home",
			Secret: "git-auth", ProxySecret: "proxy", Source: "cluster/source.yaml:1",
		}},
		{"named in full", originRelease("{kind: GitRepository, name: home, namespace: flux-system}") + gitRepository, Origin{
			URL: "https://git.example.com/home/cluster.git", Branch: "live", Namespace: "flux-system", Name: "home",
			Secret: "git-auth", ProxySecret: "proxy", Source: "cluster/source.yaml:1",
		}},
		{"a FluxInstance", originRelease(bootstrapped) + fluxInstance, Origin{
			URL: "https://git.example.com/home/synced.git", Branch: "main", Namespace: "flux-system", Name: "flux-system",
			Secret: "flux-pull", Source: "cluster/instance.yaml:1",
		}},
		{"not in the repository", originRelease(own), Origin{}},
		{"in another namespace", originRelease("{kind: GitRepository, name: home, namespace: other}") + gitRepository, Origin{}},
		{"an OCI artifact", originRelease("{kind: OCIRepository, name: home}") + gitRepository, Origin{}},
		{"an address of variables", originRelease(own) + `-- cluster/source.yaml --
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: home, namespace: flux-system}
spec: {url: "https://${HOST}/home/cluster.git", ref: {branch: main}}
`, Origin{}},
		{"a branch of variables, a tag", originRelease(own) + `-- cluster/source.yaml --
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: home, namespace: flux-system}
spec: {url: "ssh://git@git.example.com/a/b", ref: {branch: "${BRANCH}", tag: v1}}
`, Origin{URL: "ssh://git@git.example.com/a/b", Namespace: "flux-system", Name: "home", Source: "cluster/source.yaml:1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := lay(t, txtar.Parse([]byte(tt.files)))
			r, err := Find(context.Background(), Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Origin(); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}
