package remediate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

const valuesFile = "kubernetes/apps/networking/cilium/app/values.yaml"

func layIncident(tb testing.TB, name string) Options {
	tb.Helper()
	repo, snap, err := examples.Lay(name, filepath.Join(tb.TempDir(), name))
	if err != nil {
		tb.Fatal(err)
	}
	return Options{Repo: repo, Snapshot: snap, Chart: testbed.ChartDir(tb)}
}

func mustPlan(t *testing.T, opts Options) *Result {
	t.Helper()
	res, err := Plan(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func amend(t *testing.T, file, from, to string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), from) {
		t.Fatalf("%s does not hold %q", file, from)
	}
	write(t, file, strings.ReplaceAll(string(b), from, to))
}

func found(p *v1alpha1.Plan, id string) *v1alpha1.Finding {
	for i := range p.Findings {
		if p.Findings[i].Signature == id {
			return &p.Findings[i]
		}
	}
	return nil
}

func candidates(p *v1alpha1.Plan) []string {
	var out []string
	for _, c := range p.Candidates {
		out = append(out, c.ID)
	}
	return out
}

// Nothing is patched on top of a cluster that runs something else.
func TestLiveConfigDiffers(t *testing.T) {
	opts := layIncident(t, examples.Default)
	amend(t, filepath.Join(opts.Snapshot, "cilium-config.yaml"), "fd00:101::/48", "fd00:101::/40")
	p := mustPlan(t, opts).Plan
	if found(&p, "live-config-differs") == nil {
		t.Fatal("the live configuration differs, and nothing says so")
	}
	if len(p.Candidates) != 0 || p.Abstained == "" {
		t.Errorf("candidates %v, abstained %q", candidates(&p), p.Abstained)
	}
}

// The incident's live configuration is what its repository renders.
func TestIncidentIsCoherent(t *testing.T) {
	for _, name := range examples.Names() {
		p := mustPlan(t, layIncident(t, name)).Plan
		for _, id := range []string{"live-config-differs", "config-not-active", "agent-refuses-to-start"} {
			if f := found(&p, id); f != nil {
				t.Errorf("%s: %s: %s %v", name, id, f.Summary, f.Evidence)
			}
		}
		if len(p.Facts.Unknown) != 0 {
			t.Errorf("%s: unknown %v", name, p.Facts.Unknown)
		}
	}
}

func TestUnexplained(t *testing.T) {
	p := mustPlan(t, layIncident(t, examples.Default)).Plan
	for _, ns := range []string{"cert-manager", "external-secrets"} {
		if !slices.ContainsFunc(p.Unexplained, func(s string) bool { return strings.Contains(s, ns) }) {
			t.Errorf("the time-outs of %s are accounted for: %q", ns, p.Unexplained)
		}
	}
}

// What the repository's other files state stands in for a cluster.
func TestStatedFacts(t *testing.T) {
	talos := "machine: {}\ncluster:\n  network:\n    podSubnets: [\"10.101.224.0/19\", \"POD\"]\n    serviceSubnets: [\"fd00:101:96::/108\"]\n"
	tests := []struct {
		name    string
		files   map[string]string
		flags   []string
		want    string // source of the pod pool; empty: unknown
		unknown string
	}{
		{name: "a Talos machine configuration", files: map[string]string{"talos/cp.yaml": strings.Replace(talos, "POD", "fd00:101:224::/60", 1)}, want: "talos/cp.yaml:4"},
		{name: "two clusters", files: map[string]string{"talos/a.yaml": strings.Replace(talos, "POD", "fd00:101:224::/60", 1),
			"talos/b.yaml": strings.Replace(talos, "POD", "fd00:b::/60", 1)}, unknown: "different ranges"},
		{name: "two files of one cluster", files: map[string]string{"talos/a.yaml": strings.Replace(talos, "POD", "fd00:101:224::/60", 1),
			"talos/b.yaml": strings.Replace(talos, "POD", "fd00:101:224::/60", 1)}, want: "talos/a.yaml:4"},
		{name: "a flag outweighs files", files: map[string]string{"talos/a.yaml": strings.Replace(talos, "POD", "fd00:b::/60", 1)},
			flags: []string{"fd00:101:224::/60"}, want: "--pod-cidr"},
		{name: "settings outweigh files", files: map[string]string{"talos/a.yaml": strings.Replace(talos, "POD", "fd00:b::/60", 1),
			".remediate.yaml": "facts:\n  podCIDRs: [\"fd00:101:224::/60\"]\n"}, want: ".remediate.yaml:2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := layIncident(t, examples.Default)
			opts.Snapshot, opts.PodCIDRs = "", tt.flags
			for name, content := range tt.files {
				write(t, filepath.Join(opts.Repo, name), content)
			}
			p := mustPlan(t, opts).Plan
			got := ""
			for _, f := range p.Facts.PodPool {
				if f.Value == "fd00:101:224::/60" {
					got = f.Source
				}
			}
			if got != tt.want {
				t.Errorf("pod pool from %q, want %q (%v)", got, tt.want, p.Facts.PodPool)
			}
			if tt.want != "" && found(&p, "native-routing-cidr-excludes-pods") == nil {
				t.Error("the pods' range is known and the fault is not found")
			}
			if tt.unknown != "" && !strings.Contains(strings.Join(p.Facts.Unknown, "\n"), tt.unknown) {
				t.Errorf("unknown %q, want %q in it", p.Facts.Unknown, tt.unknown)
			}
		})
	}
}

func TestUnknownIsSaid(t *testing.T) {
	opts := layIncident(t, examples.Default)
	opts.Snapshot = ""
	p := mustPlan(t, opts).Plan
	all := strings.Join(p.Facts.Unknown, "\n")
	for _, want := range []string{"IPv6 pod CIDRs", "IPv6 service CIDRs", "NetworkPolicies", "probes", "the live cilium-config"} {
		if !strings.Contains(all, want) {
			t.Errorf("unknown does not name %s:\n%s", want, all)
		}
	}
	if found(&p, "native-routing-cidr-excludes-pods") != nil {
		t.Error("pods' ranges are unknown, and a finding rests on them")
	}
}

// A configuration that the agent refuses is a finding of its own.
func TestCurrentConfigurationRefused(t *testing.T) {
	opts := layIncident(t, examples.Default)
	file := filepath.Join(opts.Repo, valuesFile)
	amend(t, file, "masquerade: false          # BPF masquerading disabled", "masquerade: true")
	amend(t, file, "enableIPv6Masquerade: true", "enableIPv6Masquerade: false")
	if err := os.Remove(filepath.Join(opts.Snapshot, "cilium-config.yaml")); err != nil {
		t.Fatal(err)
	}
	p := mustPlan(t, opts).Plan
	f := found(&p, "agent-refuses-to-start")
	if f == nil || !strings.Contains(f.Summary, "V6") {
		t.Errorf("finding %+v", f)
	}
}

// The chart's own refusal is told, and nothing is proposed on top of it.
func TestChartRefuses(t *testing.T) {
	opts := layIncident(t, examples.Default)
	amend(t, filepath.Join(opts.Repo, valuesFile), "kubeProxyReplacement: true", "kubeProxyReplacement: probe")
	p := mustPlan(t, opts).Plan
	if f := found(&p, "chart-refuses-values"); f == nil || !strings.Contains(f.Summary, "kubeProxyReplacement") {
		t.Errorf("finding %+v", f)
	}
	if len(p.Candidates) != 0 {
		t.Errorf("candidates %v", candidates(&p))
	}
}

// An override of one node's configuration counts for that node.
func TestNodeConfig(t *testing.T) {
	opts := layIncident(t, examples.Default)
	write(t, filepath.Join(opts.Snapshot, "nodeconfig.yaml"), `apiVersion: cilium.io/v2
kind: CiliumNodeConfig
metadata: {name: fixed, namespace: kube-system}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: node-7}}
  defaults: {ipv6-native-routing-cidr: "fd00:101::/32"}
`)
	before := mustPlan(t, layIncident(t, examples.Default)).Plan.Candidates[0].Proof.Flows.Fixed
	after := mustPlan(t, opts).Plan
	if len(after.Walks) == 0 {
		t.Fatal("no walk")
	}
	if before == 0 || after.Candidates[0].Proof.Flows.Fixed == 0 {
		t.Errorf("fixed %d and %d", before, after.Candidates[0].Proof.Flows.Fixed)
	}
	if w := after.Walks[0]; strings.Contains(w.From, "kustomize-controller") {
		t.Errorf("node-7 runs the fix already, and its packet is drawn as lost: %s", w.Outcome)
	}
}

func TestWrite(t *testing.T) {
	opts := layIncident(t, examples.Default)
	res := mustPlan(t, opts)
	first := res.Plan.Candidates[0].ID
	file := filepath.Join(opts.Repo, valuesFile)
	amend(t, file, "# Socket LB", "# Socket LB, edited by hand")
	if _, err := res.Write(first, false); !errors.Is(err, errDirty) {
		t.Errorf("a file with uncommitted changes is written to: %v", err)
	}
	if _, err := res.Write("nonsense", true); err == nil {
		t.Error("a candidate that there is not is written")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	write(t, outside, "routingMode: native\n")
	if err := os.Symlink(outside, file); err != nil {
		t.Fatal(err)
	}
	if _, err := res.Write(first, true); err == nil {
		t.Error("a symlink out of the checkout is followed")
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "routingMode: native\n" {
		t.Errorf("the file outside now holds %q, %v", b, err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{PodCIDRs: []string{"fd00"}}, {ServiceCIDRs: []string{"10.0.0.0/33"}}, {NodeCIDRs: []string{"x"}}} {
		if _, err := Plan(context.Background(), o); err == nil {
			t.Errorf("%+v passes", o)
		}
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Plan(canceled, layIncident(t, examples.Default)); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled plan ends with %v", err)
	}
}
