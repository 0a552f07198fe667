package observe

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// canary stands in the test data wherever something must not be read.
const canary = "canary-7f3a"

func dump(t *testing.T, s *snapshot.Snapshot) string {
	t.Helper()
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestDirReadsEveryKind(t *testing.T) {
	s, err := Dir(context.Background(), "testdata/kinds")
	if err != nil {
		t.Fatal(err)
	}
	got := dump(t, s)
	golden(t, "testdata/kinds.golden.json", got)
	if strings.Contains(got, canary) {
		t.Error("a secret reached the snapshot")
	}
}

// The same objects in any distribution over files make the same snapshot.
func TestDirDoesNotDependOnFiles(t *testing.T) {
	want, err := Dir(context.Background(), "testdata/kinds")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range []string{"sub/config.yaml", "services.yaml", "probes.yaml", "workloads.yaml", "nodes.yaml", "flux.yaml", "cilium.yaml", "sub/pods-without-suffix"} {
		text, err := os.ReadFile(filepath.Join("testdata/kinds", name))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("---\n" + string(text))
	}
	nodes, err := os.ReadFile("testdata/kinds/cilium-nodes.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := FS(context.Background(), fstest.MapFS{
		"z/everything.yml": {Data: []byte(all.String())},
		"nodes.yaml":       {Data: nodes},
	}, "testdata/kinds")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDirErrors(t *testing.T) {
	probe := func(lines string) string {
		return "apiVersion: remediate.dev/v1alpha1\nkind: ProbeReport\nmetadata:\n  name: p\nobservations:\n- via: PodIP\n  family: IPv6\n  protocol: TCP\n  outcome: OK\n" + lines
	}
	bomb := "apiVersion: v1\nkind: Node\nmetadata:\n  name: b\nspec:\n  a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i, c := range "bcdefghij" {
		bomb += fmt.Sprintf("  %c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", 'a'+i), 9), 'a'+i)
	}
	tests := []struct {
		name, file, text, want string
	}{
		{"broken YAML", "a.yaml", "apiVersion: v1\nkind: Node\n  metadata: [\n", "a.yaml:3: "},
		{"broken YAML in the second document", "a.yaml", "kind: A\n---\n# one\n\nx: {\n", "a.yaml:5: "},
		{"broken JSON", "a.json", "{\n  \"kind\": \"Node\",\n  oops\n}", "a.json:3: invalid character 'o'"},
		{"JSON that ends", "a.json", "{\n  \"kind\": \"Node\",\n", "a.json:2: the file ends within a value"},
		{"JSON item", "a.json", "{\"kind\":\"NodeList\",\"apiVersion\":\"v1\",\"items\":[\n{},\n{\"metadata\":{\"name\":\"x\"},\n\"spec\":{\"podCIDRs\":[\"10.0.0.0\"]}}]}", "a.json:2: Node without metadata.name"},
		{"JSON item's value", "a.json", "{\"kind\":\"NodeList\",\"apiVersion\":\"v1\",\"items\":[\n\n{\"metadata\":{\"name\":\"x\"},\n\"spec\":{\"podCIDRs\":[\"10.0.0.0\"]}}]}", `a.json:3: Node x: spec.podCIDRs[0]: "10.0.0.0" is not a CIDR`},
		{"wrong type", "a.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec: {podCIDRs: 5}\n", "a.yaml:1: Node n: spec.podCIDRs: a number does not belong here"},
		{"no name", "a.yaml", "apiVersion: v1\nkind: Node\n", "a.yaml:1: Node without metadata.name"},
		{"bad CIDR", "a.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec:\n  podCIDRs:\n  - 10.0.0.0/24\n  - 10.0.0.0/99\n", `a.yaml:7: Node n: spec.podCIDRs[1]: "10.0.0.0/99" is not a CIDR`},
		{"bad address", "a.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus:\n  addresses:\n  - type: InternalIP\n    address: nowhere\n", `a.yaml:7: Node n: status.addresses[0].address: "nowhere" is not an IP address`},
		{"bad pod address", "a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: q}\nstatus:\n  podIPs:\n  - ip: fe80::1%eth0\n", `a.yaml:6: Pod q/p: status.podIPs[0].ip: "fe80::1%eth0" is not an IP address`},
		{"duplicate key", "a.yaml", "apiVersion: v1\nkind: Node\nmetadata:\n  name: n\n  name: m\n", `a.yaml:5: key "name" stands twice`},
		{"alias bomb", "a.yaml", bomb, "once its aliases are followed"},
		{"merge bomb", "a.yaml", mergeBomb(), "a.yaml:"},
		{"alias cycle", "a.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec: &s\n  podCIDRs: [*s]\n", "nested more than 100 deep"},
		{"deep YAML", "a.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nspec: " + strings.Repeat("[", 500) + strings.Repeat("]", 500), "nested more than 100 deep"},
		{"deep JSON", "a.json", `{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"},"spec":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}", "nested more than 100 deep"},
		{"list within a list", "a.yaml", "kind: List\nitems:\n- kind: List\n  items: []\n", "a.yaml:3: a list within a list"},
		{"bad outcome", "p.yaml", strings.Replace(probe(""), "outcome: OK", "outcome: Ok", 1), `p.yaml:9: ProbeReport p: observations[0].outcome: "Ok" is none of OK, Timeout`},
		{"bad family", "p.yaml", strings.Replace(probe(""), "family: IPv6", "family: v6", 1), `p.yaml:7: ProbeReport p: observations[0].family: "v6" is none of IPv4, IPv6`},
		{"bad via", "p.yaml", strings.Replace(probe(""), "via: PodIP", "via: Pod", 1), `p.yaml:6: ProbeReport p: observations[0].via`},
		{"bad protocol", "p.yaml", strings.Replace(probe(""), "TCP", "tcp", 1), `p.yaml:8: ProbeReport p: observations[0].protocol`},
		{"bad target", "p.yaml", probe("  target: closed\n"), `p.yaml:10: ProbeReport p: observations[0].target: "closed" is none of open, guarded`},
		{"bad probe address", "p.yaml", probe("  to: {ip: there}\n"), `p.yaml:10: ProbeReport p: observations[0].to.ip: "there" is not an IP address`},
		{"address of the other family", "p.yaml", probe("  sourceSeen: 10.0.0.1\n"), `p.yaml:10: ProbeReport p: observations[0].sourceSeen: 10.0.0.1 is no IPv6 address`},
		{"bad port", "p.yaml", probe("  to: {port: 70000}\n"), `observations[0].to.port: 70000 is not a port`},
		{"negative count", "p.yaml", probe("  sent: -1\n"), `observations[0].sent: -1 is negative`},
		{"bad time", "p.yaml", probe("  at: yesterday\n"), `observations[0].at: "yesterday" is not a time`},
		{"bad time heard", "p.yaml", probe("  heard: yesterday\n"), `observations[0].heard: "yesterday" is not a time`},
		{"bad policy", "a.yaml", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: n, namespace: m}\nspec: [1]\n", "a.yaml:4: CiliumNetworkPolicy m/n: spec: rule 1 is not a mapping"},
		{"bad kubeadm config", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubeadm-config, namespace: kube-system}\ndata:\n  ClusterConfiguration: '{'\n", "a.yaml:5: ConfigMap kube-system/kubeadm-config: data.ClusterConfiguration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := FS(context.Background(), fstest.MapFS{tt.file: {Data: []byte(tt.text)}}, "snap")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v\nwant it to contain %q", err, tt.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "read snapshot snap: "+tt.file+":") {
				t.Errorf("error %v does not begin with the file", err)
			}
		})
	}
}

// mergeBomb multiplies merge keys ten times per level.
func mergeBomb() string {
	out := "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nl0: &l0 {a: 1}\n"
	for i := 1; i < 12; i++ {
		out += fmt.Sprintf("l%d: &l%d\n  <<: [%s*l%d]\n", i, i, strings.Repeat(fmt.Sprintf("*l%d,", i-1), 9), i-1)
	}
	return out
}

func TestDirTakesWhatIsThere(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		nodes []string
		read  []string
	}{
		{"nothing", nil, nil, nil},
		{"empty file", map[string]string{"a.yaml": "", "b.json": "", "c": ""}, nil, nil},
		{"only comments", map[string]string{"a.yaml": "# x\n---\n# y\n"}, nil, nil},
		{"not an object", map[string]string{"a.yaml": "- 1\n- 2\n", "b.json": "[1, \"x\"]", "c.yaml": "word\n"}, nil, nil},
		{"values file", map[string]string{"values.yaml": "ipv6NativeRoutingCIDR: fd00::/48\n"}, nil, nil},
		{"empty typed list says none", map[string]string{"a.yaml": "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems: []\n"}, nil, []string{"NetworkPolicy"}},
		{"empty typed list in JSON", map[string]string{"a.json": `{"items": [], "apiVersion": "v1", "kind": "PodList"}`}, nil, []string{"Pod"}},
		{"empty untyped list says nothing", map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems: []\n"}, nil, nil},
		{"BOM and CRLF", map[string]string{"a.yaml": "\xef\xbb\xbfapiVersion: v1\r\nkind: Node\r\nmetadata:\r\n  name: n\r\n---\r\napiVersion: v1\r\nkind: Node\r\nmetadata: {name: m}\r\n"}, []string{"m", "n"}, []string{"Node"}},
		{"JSON in a file named yaml", map[string]string{"a.yaml": "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"n\"}}"}, []string{"n"}, []string{"Node"}},
		{"flow YAML", map[string]string{"a.yaml": "{apiVersion: v1, kind: Node, metadata: {name: n}}"}, []string{"n"}, []string{"Node"}},
		{"several JSON values", map[string]string{"a.json": "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"}}\n{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"m\"}}"}, []string{"m", "n"}, []string{"Node"}},
		{"JSON array", map[string]string{"a.json": `[{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"}}]`}, []string{"n"}, []string{"Node"}},
		{"merge keys and aliases", map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- &n\n  apiVersion: v1\n  kind: Node\n  metadata: {name: n}\n- <<: *n\n  metadata: {name: m}\n"}, []string{"m", "n"}, []string{"Node"}},
		{"the later of two counts", map[string]string{"a.yaml": "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n", "b.yaml": "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n"}, []string{"n"}, []string{"Node"}},
		{"document after three dashes", map[string]string{"a.yaml": "--- {apiVersion: v1, kind: Node, metadata: {name: n}}\n"}, []string{"n"}, []string{"Node"}},
		{".git is not looked into", map[string]string{".git/a.yaml": "x: {", "a.yaml": "kind: x\n"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, text := range tt.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			s, err := FS(context.Background(), fsys, "snap")
			if err != nil {
				t.Fatal(err)
			}
			var nodes []string
			for _, n := range s.Nodes {
				nodes = append(nodes, n.Name)
			}
			if diff := cmp.Diff(tt.nodes, nodes); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
			want := map[string]bool{}
			for _, kind := range tt.read {
				want[kind] = true
			}
			if diff := cmp.Diff(want, s.ReadKinds); diff != "" {
				t.Errorf("ReadKinds (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDirLinks(t *testing.T) {
	outside := t.TempDir()
	node := "apiVersion: v1\nkind: Node\nmetadata: {name: %s}\n"
	write(t, filepath.Join(outside, "secret.yaml"), fmt.Sprintf(node, "outside"))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "real.yaml"), fmt.Sprintf(node, "inside"))
	link(t, "real.yaml", filepath.Join(dir, "again.yaml"))
	link(t, "nowhere.yaml", filepath.Join(dir, "dangling.yaml"))
	s, err := Dir(context.Background(), dir)
	if err != nil || len(s.Nodes) != 1 {
		t.Fatalf("links within the folder: %v, %v", s, err)
	}
	for name, target := range map[string]string{"file": filepath.Join(outside, "secret.yaml"), "folder": outside} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			link(t, target, filepath.Join(dir, "out.yaml"))
			_, err := Dir(context.Background(), dir)
			if err == nil || !strings.Contains(err.Error(), "out.yaml: a symbolic link that leads out") {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestDirOfNothing(t *testing.T) {
	_, err := Dir(context.Background(), filepath.Join(t.TempDir(), "absent"))
	if err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("error = %v", err)
	}
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("Open of nothing succeeds")
	}
}

func TestDirStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dir(ctx, "testdata/kinds"); err == nil {
		t.Error("a cancelled read succeeds")
	}
}

func TestLimits(t *testing.T) {
	var nodes strings.Builder
	for i := range 50 {
		fmt.Fprintf(&nodes, "apiVersion: v1\nkind: Node\nmetadata: {name: n%d}\n---\n", i)
	}
	lim := defaultLimits()
	lim.objects = 49
	_, err := readFS(context.Background(), fstest.MapFS{"a.yaml": {Data: []byte(nodes.String())}}, "snap", lim)
	if err == nil || !strings.Contains(err.Error(), "more than 49 objects") {
		t.Errorf("objects: %v", err)
	}
	lim = defaultLimits()
	lim.files = 2
	_, err = readFS(context.Background(), fstest.MapFS{"a": {}, "b": {}, "c": {}}, "snap", lim)
	if err == nil || !strings.Contains(err.Error(), "more than 2 files") {
		t.Errorf("files: %v", err)
	}
	lim = defaultLimits()
	lim.object = 1000
	for name, text := range map[string]string{
		"object.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\ndata:\n" + strings.Repeat("  k: v\n", 400),
		"line.yaml":   "apiVersion: v1\nkind: ConfigMap\ndata: " + strings.Repeat("x", 3000),
		"value.json":  `{"kind":"ConfigMap","data":{"x":"` + strings.Repeat("x", 300_000) + `"}}`,
		"items.yaml":  "kind: List\nitems: [\n" + strings.Repeat("{},\n", 400) + "]\n",
		"item.yaml":   "kind: List\nitems:\n- kind: Node\n" + strings.Repeat("  k: v\n", 400),
	} {
		_, err := readFS(context.Background(), fstest.MapFS{name: {Data: []byte(text)}}, "snap", lim)
		if err == nil || !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
