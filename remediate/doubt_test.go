package remediate

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/examples"
)

const (
	appDir      = "kubernetes/apps/networking/cilium/app/"
	releaseFile = appDir + "helmrelease.yaml"
	ksFile      = "kubernetes/apps/networking/cilium/ks.yaml"
	fromSecret  = "  postBuild:\n    substituteFrom:\n    - {kind: Secret, name: cluster-secrets}\n"
)

// extend appends to a file of the incident's repository.
func extend(t *testing.T, opts Options, file, more string) {
	t.Helper()
	name := filepath.Join(opts.Repo, file)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, strings.TrimRight(string(b), "\n")+"\n"+more)
}

const cidrPatch = `  postRenderers:
    - kustomize:
        patches:
          - target: {kind: ConfigMap, name: cilium-config}
            patch: |
              - {op: replace, path: /data/ipv6-native-routing-cidr, value: "CIDR"}
`

func TestPostRenderers(t *testing.T) {
	// What is live is what the patch makes, so the values cannot change it.
	opts := layIncident(t, examples.Default)
	extend(t, opts, releaseFile, strings.Replace(cidrPatch, "CIDR", "fd00:101::/48", 1))
	p := mustPlan(t, opts).Plan
	if slices.Contains(candidates(&p), "widen-native-routing-cidr") || found(&p, "native-routing-cidr-excludes-pods") == nil {
		t.Errorf("candidates %v of values that a patch replaces", candidates(&p))
	}
	named := false
	for _, r := range p.Rejected {
		named = named || strings.Contains(r.Because, "spec.postRenderers")
	}
	if !named {
		t.Errorf("no rejection names the patch: %+v", p.Rejected)
	}

	// The patch is the cure, and is not live.
	opts = layIncident(t, examples.Default)
	extend(t, opts, releaseFile, strings.Replace(cidrPatch, "CIDR", "fd00:101::/32", 1))
	p = mustPlan(t, opts).Plan
	if found(&p, "live-config-differs") == nil || len(p.Candidates) != 0 {
		t.Errorf("findings %+v", p.Findings)
	}

	// One that cannot be applied is said, and nothing is proposed.
	opts = layIncident(t, examples.Default)
	extend(t, opts, releaseFile, strings.Replace(cidrPatch, "/data/ipv6-native-routing-cidr", "/data/x/y", 1))
	p = mustPlan(t, opts).Plan
	if len(p.Candidates) != 0 || !strings.Contains(p.Abstained, "spec.postRenderers[0]") || !strings.Contains(strings.Join(p.Facts.Unknown, "\n"), "spec.postRenderers[0]") {
		t.Errorf("candidates %v, abstained %q, unknown %q", candidates(&p), p.Abstained, p.Facts.Unknown)
	}
}

func TestUnreadableSecret(t *testing.T) {
	for _, live := range []bool{true, false} {
		opts := layIncident(t, examples.Default)
		extend(t, opts, releaseFile, "    - {kind: Secret, name: s6}\n")
		if !live {
			if err := os.Remove(filepath.Join(opts.Snapshot, "cilium-config.yaml")); err != nil {
				t.Fatal(err)
			}
		}
		p := mustPlan(t, opts).Plan
		if len(p.Candidates) == 0 {
			t.Fatal("no candidate")
		}
		c := p.Candidates[0]
		if chain := strings.Join(c.Changes[0].Chain, "\n"); !strings.Contains(chain, "may be overridden by Secret kube-system/s6") {
			t.Errorf("chain %q", chain)
		}
		if noted := strings.Contains(strings.Join(c.Proof.Notes, "\n"), "Secret kube-system/s6"); noted == live {
			t.Errorf("live known: %v, notes %q", live, c.Proof.Notes)
		}
		last := p.Subject.Values[len(p.Subject.Values)-1]
		if !strings.HasPrefix(last.Unreadable, "Secret kube-system/s6: ") {
			t.Errorf("subject.values %+v", p.Subject.Values)
		}
	}
}

func TestUnresolvedVariable(t *testing.T) {
	for _, test := range []struct {
		name, from, to string
		snapshot       bool
		want           string // a finding; empty: the plan abstains
	}{
		{"text, live", "fd00:101::/48", "${N6}", true, "native-routing-cidr-excludes-pods"},
		{"text, nothing live", "fd00:101::/48", "${N6}", false, ""},
		{"a switch, live", "enableIPv6Masquerade: true", "enableIPv6Masquerade: ${M6}", true, "native-routing-cidr-excludes-pods"},
		{"a switch, nothing live", "enableIPv6Masquerade: true", "enableIPv6Masquerade: ${M6}", false, ""},
		{"a name, nothing live", "kubeProxyReplacement: true", "kubeProxyReplacement: true\ncluster: {name: \"${CLUSTER}\"}\nhubble: {ui: {ingress: {hosts: [\"h.${DOMAIN}\"]}}}", false, "native-routing-cidr-excludes-pods"},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts := layIncident(t, examples.Default)
			amend(t, filepath.Join(opts.Repo, valuesFile), test.from, test.to)
			extend(t, opts, ksFile, fromSecret)
			if !test.snapshot {
				opts.Snapshot, opts.PodCIDRs = "", []string{"fd00:101:224::/60"}
			}
			p := mustPlan(t, opts).Plan
			for _, id := range []string{"agent-refuses-to-start", "live-config-differs", "chart-refuses-values"} {
				if f := found(&p, id); f != nil {
					t.Errorf("%s rests on a value that is not known: %s", id, f.Summary)
				}
			}
			if test.want != "" {
				if found(&p, test.want) == nil {
					t.Errorf("findings %+v", p.Findings)
				}
				return
			}
			unknown := strings.Join(p.Facts.Unknown, "\n")
			if len(p.Findings)+len(p.Candidates) != 0 || !strings.Contains(p.Abstained, "cluster-secrets") || !strings.Contains(unknown, "--snapshot") {
				t.Errorf("findings %+v, abstained %q, unknown %q", p.Findings, p.Abstained, unknown)
			}
		})
	}
}

func TestChartOfAnotherVersion(t *testing.T) {
	opts := layIncident(t, examples.Default)
	amend(t, filepath.Join(opts.Repo, appDir+"ocirepository.yaml"), "1.18.6", "1.17.4")
	p := mustPlan(t, opts).Plan
	if u := strings.Join(p.Facts.Unknown, "\n"); !strings.Contains(u, "1.17.4") || !strings.Contains(u, "--chart gave 1.18.6") {
		t.Errorf("unknown %q", u)
	}
}

func TestSuspendedIsSaid(t *testing.T) {
	opts := layIncident(t, examples.Default)
	extend(t, opts, ksFile, "  suspend: true\n")
	if how := mustPlan(t, opts).Plan.Delivery.How; !strings.Contains(how, "Kustomization flux-system/cilium ("+ksFile) || !strings.Contains(how, "spec.suspend") {
		t.Errorf("how %q", how)
	}
}

// The committed snapshot outweighs a cluster that nobody named.
func TestSnapshotOfSettings(t *testing.T) {
	for _, optional := range []bool{true, false} {
		opts := layIncident(t, examples.Default)
		if err := os.CopyFS(filepath.Join(opts.Repo, "ci/snapshot"), os.DirFS(opts.Snapshot)); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(opts.Repo, ".remediate.yaml"), "snapshot: ci/snapshot\n")
		opts.Snapshot, opts.Cluster, opts.ClusterOptional = "", &rest.Config{Host: "http://127.0.0.1:1"}, optional
		res, err := Plan(context.Background(), opts)
		if optional && (err != nil || len(res.Plan.Candidates) == 0) {
			t.Errorf("the snapshot is not used: %v", err)
		}
		if !optional && err == nil {
			t.Error("a cluster that was named is passed over")
		}
	}
}

func TestClusterWithoutContext(t *testing.T) {
	opts := layIncident(t, examples.Default)
	opts.Snapshot, opts.Cluster, opts.ClusterOptional = "", &rest.Config{Host: "http://127.0.0.1:1"}, true
	u := strings.Join(mustPlan(t, opts).Plan.Facts.Unknown, "\n")
	if strings.Contains(u, "context  ") || !strings.Contains(u, "the cluster at http://127.0.0.1:1 (no context is named) does not answer") {
		t.Errorf("unknown %q", u)
	}
}

func TestURLIsRedacted(t *testing.T) {
	_, err := Plan(context.Background(), Options{Repo: "https://user:" + canary + "@127.0.0.1:1/a?token=" + canary, Offline: true})
	if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "127.0.0.1:1/a") {
		t.Errorf("error %v", err)
	}
	opts := layIncident(t, examples.Default)
	opts.Repo = "file://" + opts.Repo
	if got := mustPlan(t, opts).Plan.Subject.Repository; got != opts.Repo {
		t.Errorf("subject.repository %q, want %q", got, opts.Repo)
	}
}

// The refusal is introduced once.
func TestRefusalIsNotDoubled(t *testing.T) {
	opts := layIncident(t, examples.Default)
	amend(t, filepath.Join(opts.Repo, valuesFile), "kubeProxyReplacement: true", "kubeProxyReplacement: probe")
	p := mustPlan(t, opts).Plan
	f := found(&p, "chart-refuses-values")
	if f == nil || strings.Count(f.Summary, "the chart refuses") != 1 {
		t.Errorf("finding %+v", f)
	}
}

// A values file behind a link is edited where it stands.
func TestWriteBehindLink(t *testing.T) {
	opts := layIncident(t, examples.Default)
	file := filepath.Join(opts.Repo, valuesFile)
	if err := os.Rename(file, filepath.Join(filepath.Dir(file), "real.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.yaml", file); err != nil {
		t.Fatal(err)
	}
	res := mustPlan(t, opts)
	files, err := res.Write(res.Plan.Candidates[0].ID, true)
	if err != nil || !slices.Equal(files, []string{appDir + "real.yaml"}) {
		t.Errorf("wrote %q, %v", files, err)
	}
	if !strings.Contains(res.Plan.Candidates[0].Diff, "a/"+appDir+"real.yaml") {
		t.Errorf("diff\n%s", res.Plan.Candidates[0].Diff)
	}
}

// A Secret that cannot be read is weighed against the live configuration: what
// the rest renders is live, or it is not, or nothing live is known.
func TestUnreadableSecretIsWeighed(t *testing.T) {
	const secret = "    - {kind: Secret, name: s6}\n"
	liveConfig := func(t *testing.T, opts Options, from, to string) {
		t.Helper()
		name := filepath.Join(opts.Snapshot, "cilium-config.yaml")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), from) {
			t.Fatalf("cilium-config without %s", from)
		}
		write(t, name, strings.Replace(string(b), from, to, 1))
	}
	unknown := func(opts Options) (string, string, string) {
		p := mustPlan(t, opts).Plan
		notices := ""
		for _, n := range p.Notices {
			notices += n.Text + "\n"
		}
		return strings.Join(p.Facts.Unknown, "\n"), p.Abstained, notices
	}

	opts := layIncident(t, examples.Default)
	extend(t, opts, releaseFile, secret)
	if u, abstained, notices := unknown(opts); strings.Contains(u, "s6") || abstained != "" || !strings.Contains(notices, "Secret kube-system/s6 cannot be read; the live cilium-config is what") {
		t.Errorf("equal: unknown %q, abstained %q, notices %q", u, abstained, notices)
	}

	opts = layIncident(t, examples.Default)
	extend(t, opts, releaseFile, secret)
	liveConfig(t, opts, "fd00:101::/48", "fd00:101::/47")
	u, abstained, _ := unknown(opts)
	if !strings.Contains(u, "what Secret kube-system/s6 sets") || !strings.Contains(abstained, "ipv6-native-routing-cidr") || strings.Contains(abstained, "/47") {
		t.Errorf("differs: unknown %q, abstained %q", u, abstained)
	}

	opts = layIncident(t, examples.Default)
	extend(t, opts, releaseFile, secret)
	liveConfig(t, opts, "debug: \"false\"", "debug: \"true\"")
	if u, _, _ := unknown(opts); !strings.Contains(u, "differs in debug, which does not decide") {
		t.Errorf("differs elsewhere: unknown %q", u)
	}

	opts = layIncident(t, examples.Default)
	extend(t, opts, releaseFile, secret)
	if err := os.Remove(filepath.Join(opts.Snapshot, "cilium-config.yaml")); err != nil {
		t.Fatal(err)
	}
	if u, _, _ := unknown(opts); !strings.Contains(u, "what Secret kube-system/s6 sets, which cannot be read; with --snapshot") {
		t.Errorf("nothing live: unknown %q", u)
	}
}

// An env file behind a generator is written, and who else uses the variable is
// said.
func TestVariableInEnvFile(t *testing.T) {
	opts := layIncident(t, examples.Default)
	values := filepath.Join(opts.Repo, appDir+"values.yaml")
	b, err := os.ReadFile(values)
	if err != nil {
		t.Fatal(err)
	}
	write(t, values, strings.Replace(string(b), "fd00:101::/48", "${POD6}", 1))
	extend(t, opts, ksFile, strings.Replace(fromSecret, "{kind: Secret, name: cluster-secrets}", "{kind: ConfigMap, name: network}", 1))
	write(t, filepath.Join(opts.Repo, "kubernetes/apps/settings/kustomization.yaml"),
		"configMapGenerator: [{name: network, namespace: flux-system, envs: [network.env]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n")
	write(t, filepath.Join(opts.Repo, "kubernetes/apps/settings/network.env"), "# pods\nPOD6=fd00:101::/48\n")
	write(t, filepath.Join(opts.Repo, "kubernetes/flux/settings.yaml"),
		"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: settings, namespace: flux-system}\nspec: {path: ./kubernetes/apps/settings, sourceRef: {kind: GitRepository, name: flux-system}}\n")
	write(t, filepath.Join(opts.Repo, "kubernetes/flux/other.yaml"),
		"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: other, namespace: flux-system}\nspec:\n  path: ./kubernetes/other\n  sourceRef: {kind: GitRepository, name: flux-system}\n  postBuild: {substituteFrom: [{kind: ConfigMap, name: network}]}\n")
	write(t, filepath.Join(opts.Repo, "kubernetes/other/cm.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: default}\ndata: {pods: \"${POD6}\"}\n")
	p := mustPlan(t, opts).Plan
	if len(p.Candidates) == 0 {
		t.Fatalf("no candidate: %q, %+v", p.Abstained, p.Rejected)
	}
	c := p.Candidates[0]
	if ch := c.Changes[0]; ch.File != "kubernetes/apps/settings/network.env" || ch.Line != 2 || ch.YAMLPath != "POD6" {
		t.Errorf("change %+v", ch)
	}
	if !strings.Contains(c.Diff, "-POD6=fd00:101::/48\n+POD6=fd00:101::/38\n") {
		t.Errorf("diff %s", c.Diff)
	}
	if !slices.Contains(c.SideEffects, "variable POD6 is also used by Kustomization flux-system/other") {
		t.Errorf("side effects %q", c.SideEffects)
	}
}

func TestOfflineFetchesNoBases(t *testing.T) {
	_, err := Plan(context.Background(), Options{Repo: t.TempDir(), Offline: true, AllowRemoteBases: true})
	if err == nil || !strings.Contains(err.Error(), "--offline and --allow-remote-bases contradict each other") {
		t.Errorf("error %v", err)
	}
}

func TestUnintendedNamesValues(t *testing.T) {
	want := map[string]any{"a": map[string]any{"b": 1.0, "c": "x"}, "d": []any{1.0}, "e": 1.0, "f": 1.0}
	for _, test := range []struct {
		got  map[string]any
		want string
	}{
		{map[string]any{"a": map[string]any{"b": 2.0, "c": "x"}, "d": []any{1.0}, "e": 1.0, "f": 1.0}, "values: a.b differ"},
		{map[string]any{"a": map[string]any{"b": 1.0}, "d": []any{1.0}, "e": 1.0, "f": 1.0, "g": 1.0}, "values: a.c, g differ"},
		{map[string]any{}, "values: a, d, e and 1 more differ"},
	} {
		if err := unintended(want, test.got); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v misses %q", err, test.want)
		}
	}
}
