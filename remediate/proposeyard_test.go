package remediate

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// meter passes connections on to a server and counts the bytes in both
// directions, those of TLS among them.
type meter struct {
	url   string
	moved atomic.Int64
}

func newMeter(b *testing.B, to string) *meter {
	b.Helper()
	u, err := url.Parse(to)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	server := u.Host
	u.Host = l.Addr().String()
	m := &meter{url: u.String()}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go m.pass(in, server)
		}
	}()
	return m
}

func (m *meter) pass(in net.Conn, server string) {
	out, err := net.Dial("tcp", server)
	if err != nil {
		_ = in.Close()
		return
	}
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(way[0], io.TeeReader(way[1], m))
			_, _ = in.Close(), out.Close()
		}()
	}
}

func (m *meter) Write(p []byte) (int, error) {
	m.moved.Add(int64(len(p)))
	return len(p), nil
}

// treeBelow are the files of a checkout.
func treeBelow(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// houseFiles are 600 files of 120 applications, as in repositories for one house:
// each a Flux Kustomization, its kustomization, a HelmRelease and two manifests.
func houseFiles() map[string][]byte {
	files := map[string][]byte{}
	for i := range 120 {
		app := fmt.Sprintf("app-%03d", i)
		dir := "kubernetes/apps/default/" + app + "/"
		files[dir+"ks.yaml"] = fmt.Appendf(nil, homeKustomization, app, app, app)
		files[dir+"app/kustomization.yaml"] = []byte(homeIndex)
		files[dir+"app/helmrelease.yaml"] = fmt.Appendf(nil, otherFile, i, i, i, i)
		files[dir+"app/externalsecret.yaml"] = fmt.Appendf(nil, homeSecret, app, app, app)
		files[dir+"app/pvc.yaml"] = fmt.Appendf(nil, homeClaim, app, i+1)
	}
	return files
}

const (
	homeKustomization = `---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: %s
  namespace: flux-system
spec:
  targetNamespace: default
  path: ./kubernetes/apps/default/%s/app
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
  interval: 30m
  postBuild:
    substitute:
      APP: %s
`
	homeIndex = `---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ./externalsecret.yaml
  - ./helmrelease.yaml
  - ./pvc.yaml
`
	homeSecret = `---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: %s
spec:
  secretStoreRef: {kind: ClusterSecretStore, name: vault}
  target:
    name: %s-secret
  dataFrom:
    - extract: {key: %s}
`
	homeClaim = `---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: %s
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: %dGi
`
)
