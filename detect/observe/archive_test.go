package observe

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type entry struct{ name, text string }

// sysdumpEntries are what cilium sysdump leaves, in its names: typed lists whose
// kind stands last and whose items do not say theirs.
func sysdumpEntries() []entry {
	return []entry{
		{"cilium-sysdump-20260212-100000/k8s-nodes-20260212-100000.yaml", "apiVersion: v1\nitems:\n- metadata:\n    name: n1\n  spec:\n    podCIDRs:\n    - 10.1.1.0/24\nkind: NodeList\nmetadata: {}\n"},
		{"cilium-sysdump-20260212-100000/ciliumnodes-20260212-100000.yaml", "apiVersion: cilium.io/v2\nitems:\n- metadata:\n    name: n1\n  spec:\n    addresses:\n    - ip: 10.0.0.1\n      type: InternalIP\nkind: CiliumNodeList\nmetadata: {}\n"},
		{"cilium-sysdump-20260212-100000/k8s-pods-20260212-100000.yaml", "apiVersion: v1\nitems:\n- metadata:\n    name: web\n    namespace: apps\n  status:\n    podIPs:\n    - ip: 10.1.1.5\nkind: PodList\nmetadata: {}\n"},
		{"cilium-sysdump-20260212-100000/cilium-configmap-20260212-100000.yaml", "apiVersion: v1\ndata:\n  ipam: kubernetes\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  namespace: kube-system\n"},
		{"cilium-sysdump-20260212-100000/k8s-networkpolicies-20260212-100000.yaml", "apiVersion: networking.k8s.io/v1\nitems: []\nkind: NetworkPolicyList\nmetadata: {}\n"},
		{"cilium-sysdump-20260212-100000/hubble-flows-cilium-x-20260212-100000.json", "{\"flow\": broken"},
		{"cilium-sysdump-20260212-100000/cilium-etcd-secrets-secret-20260212-100000.yaml", "kind: {broken"},
		{"cilium-sysdump-20260212-100000/logs-cilium-x-20260212-100000.log", "kind: {broken"},
		{"cilium-sysdump-20260212-100000/cilium-bugtool-x-20260212-100000.tar.gz", "\x1f\x8bbroken"},
	}
}

func zipOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range entries {
		w, err := z.Create(e.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func tarOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Mode: 0o600, Size: int64(len(e.text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipOf(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSysdumpFormats(t *testing.T) {
	entries := sysdumpEntries()
	raw := tarOf(t, entries)
	dir := t.TempDir()
	for _, e := range entries[:5] {
		write(t, filepath.Join(dir, filepath.Base(e.name)), e.text)
	}
	paths := map[string]string{
		"zip":    file(t, "sysdump.zip", zipOf(t, entries)),
		"tar":    file(t, "sysdump.tar", raw),
		"tar.gz": file(t, "named-otherwise", gzipOf(t, raw)),
		"folder": dir,
	}
	want, err := Dir(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Nodes) != 1 || len(want.Pods) != 1 || !want.AgentConfig.Known || !want.Read("NetworkPolicy") || want.Read("Service") {
		t.Fatalf("the folder's snapshot: %s", dump(t, want))
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			s, err := Sysdump(context.Background(), path)
			if err != nil {
				t.Fatal(err)
			}
			s.Origin = want.Origin
			if diff := cmp.Diff(dump(t, want), dump(t, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			opened, err := Open(context.Background(), path)
			if err != nil || len(opened.Nodes) != 1 {
				t.Errorf("Open: %v, %v", opened, err)
			}
		})
	}
}

// A list whose kind stands last is found in pieces too, with a second pass.
func TestSysdumpInPieces(t *testing.T) {
	var pods strings.Builder
	for range 100 {
		pods.WriteString("- metadata:\n    name: web\n    namespace: apps\n")
	}
	entries := []entry{{"k8s-pods.yaml", "apiVersion: v1\nitems:\n" + pods.String() + "kind: PodList\n"}}
	lim := defaultLimits()
	lim.object = 500
	for name, content := range map[string][]byte{"a.zip": zipOf(t, entries), "a.tgz": gzipOf(t, tarOf(t, entries))} {
		s, err := readArchive(context.Background(), file(t, name, content), lim)
		if err != nil || len(s.Pods) != 1 {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func TestSysdumpErrors(t *testing.T) {
	node := "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n"
	big := []entry{{"a.yaml", node + strings.Repeat("# filler\n", 2000)}, {"b.yaml", strings.Repeat("# filler\n", 2000)}}
	lim := defaultLimits()
	lim.archive = 30_000
	small := lim
	small.entry, small.archive = 1000, 1<<30
	few := defaultLimits()
	few.files = 1
	slip := []entry{{"../../etc/cron.d/x.yaml", node}}
	broken := []entry{{"k8s-nodes.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec: {podCIDRs: [x]}\n"}}
	whole := zipOf(t, sysdumpEntries())
	tests := []struct {
		name    string
		content []byte
		lim     limits
		want    string
	}{
		{"zip bomb", zipOf(t, big), lim, "the archive unpacks to more than 30000 bytes"},
		{"gzip bomb", gzipOf(t, tarOf(t, big)), lim, "the archive unpacks to more than 30000 bytes"},
		{"tar entry", tarOf(t, big), small, "a.yaml: more than 1000 bytes unpacked"},
		{"many entries", zipOf(t, big), few, "more than 1 entries"},
		{"zip slip", zipOf(t, slip), defaultLimits(), `entry "../../etc/cron.d/x.yaml" leads out of the archive`},
		{"tar slip", tarOf(t, slip), defaultLimits(), `leads out of the archive`},
		{"absolute name", tarOf(t, []entry{{"/etc/x.yaml", node}}), defaultLimits(), `leads out of the archive`},
		{"broken object", zipOf(t, broken), defaultLimits(), `k8s-nodes.yaml:4: Node n: spec.podCIDRs[0]`},
		{"broken object in tar", tarOf(t, broken), defaultLimits(), `k8s-nodes.yaml:4: Node n: spec.podCIDRs[0]`},
		{"truncated", whole[:len(whole)/2], defaultLimits(), "zip"},
		{"truncated gzip", gzipOf(t, tarOf(t, big))[:100], defaultLimits(), "EOF"},
		{"not an archive", []byte("hello"), defaultLimits(), "neither a folder nor a .zip"},
		{"empty", nil, defaultLimits(), "neither a folder nor a .zip"},
		{"no objects", zipOf(t, []entry{{"a.txt", "x"}}), defaultLimits(), "no object that a snapshot is made of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, "archive", tt.content)
			_, err := readArchive(context.Background(), path, tt.lim)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "remediate-sysdump-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
