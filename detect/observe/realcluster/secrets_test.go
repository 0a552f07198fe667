package realcluster

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// plantedPEM is the form of a key, not a key.
const plantedPEM = "-----BEGIN EC PRIVATE KEY-----\\nUGxhbnRlZEtleQ==\\n-----END EC PRIVATE KEY-----"

// planted are the values in testdata/secrets.yaml and in patches.
func planted() []string {
	return []string{
		"Planted-Secret-1", "Planted-ConfigMap-2", "Planted-Annotation-3", "Planted-Env-4", "Planted-Flag-5",
		"Planted-URL-6", "Planted-Value-7", "Planted.Bearer.Value-8", "Planted-Event-9", "Planted-Config-10",
		"Planted-Masq-11", "Planted-NodeConfig-12", "Planted-Termination-13", "Planted-ConfigMap-14",
		"Planted-Description-15", "Planted-Header-16", "Planted-Match-17", "UGxhbnRlZEtleQ==",
	}
}

func testSecrets(t *testing.T, server *testbed.Server) {
	testbed.LoadObjects(t, server.Config, testbed.Objects(t, filepath.Join("testdata", "secrets.yaml"))...)
	patch(t, server, "configmaps", "kube-system", "cilium-config",
		`{"data": {"kvstore-password": "Planted-Config-10", "inline-ca": "`+plantedPEM+`"},
		  "metadata": {"annotations": {"example.com/token": "Planted-Annotation-3"}}}`)
	patch(t, server, "nodes", "", "node-1", `{"metadata": {"annotations": {"example.com/join-token": "Planted-Annotation-3"}}}`)

	dir := filepath.Join(t.TempDir(), "snapshot")
	if _, err := observe.Write(t.Context(), server.Config, dir, observe.ClusterOptions{}); err != nil {
		t.Fatal(err)
	}
	// The objects were read, and what is no secret is there.
	for _, want := range []string{"fd00:101::/48", "(removed)", "planted-agent", "planted-repository", "planted-release", "planted-policy", "method: GET", "X-Api-Key", "kvstore-password", "inline-ca"} {
		if len(filesWith(t, dir, want)) == 0 {
			t.Errorf("no file holds %q", want)
		}
	}
	for _, secret := range append(planted(), server.Config.BearerToken) {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if files := filesWith(t, dir, form); len(files) > 0 {
				t.Errorf("%q is in %v", form, files)
			}
		}
	}
	live := dump(t, read(t, server, observe.ClusterOptions{}))
	for _, secret := range planted() {
		if strings.Contains(live, secret) {
			t.Errorf("%q is in the snapshot", secret)
		}
	}
	testPlanted(t, server)
}

// testPlanted: each value is in the cluster, or else its absence from a snapshot
// says nothing.
func testPlanted(t *testing.T, server *testbed.Server) {
	client := dynamicClient(t, server)
	var all bytes.Buffer
	for _, gvr := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "secrets"}, {Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "nodes"},
		{Version: "v1", Resource: "pods"}, {Version: "v1", Resource: "events"},
		{Group: "cilium.io", Version: "v2", Resource: "ciliumnodeconfigs"},
		{Group: "cilium.io", Version: "v2", Resource: "ciliumnetworkpolicies"},
		{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "gitrepositories"},
		{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"},
	} {
		list, err := client.Resource(gvr).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := list.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, secret := range planted() {
		encoded := base64.StdEncoding.EncodeToString([]byte(secret))
		if !bytes.Contains(all.Bytes(), []byte(secret)) && !bytes.Contains(all.Bytes(), []byte(encoded)) {
			t.Errorf("the cluster does not hold %q", secret)
		}
	}
}

func dynamicClient(t *testing.T, server *testbed.Server) dynamic.Interface {
	t.Helper()
	client, err := dynamic.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// patch merges into an object of the core group.
func patch(t *testing.T, server *testbed.Server, resource, namespace, name, text string) {
	t.Helper()
	client := dynamicClient(t, server).Resource(schema.GroupVersionResource{Version: "v1", Resource: resource})
	var err error
	if namespace == "" {
		_, err = client.Patch(t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
	} else {
		_, err = client.Namespace(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// walk lists a folder with itself.
func walk(t *testing.T, dir string) map[string]fs.FileInfo {
	t.Helper()
	out := map[string]fs.FileInfo{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		out[path], err = e.Info()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// filesWith lists the files that hold the text, by name or content.
func filesWith(t *testing.T, dir, text string) []string {
	t.Helper()
	var out []string
	for path, info := range walk(t, dir) {
		if !info.Mode().IsRegular() {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) || strings.Contains(path, text) {
			out = append(out, filepath.Base(path))
		}
	}
	return sorted(out)
}
