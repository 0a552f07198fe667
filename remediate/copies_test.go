package remediate

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/source"
)

func helmfileWith(values string) string {
	return "releases:\n  - name: cilium\n    chart: cilium/cilium\n    values:\n      - " + values + "\n"
}

func candidateOf(t *testing.T, p *v1alpha1.Plan, id string) v1alpha1.Candidate {
	t.Helper()
	for _, c := range p.Candidates {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("no candidate %s: %v", id, candidates(p))
	return v1alpha1.Candidate{}
}

// Each place tells whether it is edited, and why not.
func TestCopiesOfCandidates(t *testing.T) {
	opts := layIncident(t, examples.Default)
	opts.WithCopies = true
	for file, content := range map[string]string{
		"boot/helmfile.yaml":   helmfileWith(`{ipv6NativeRoutingCIDR: "fd00:101::/48", bpf: {masquerade: false}}`),
		"same/helmfile.yaml":   helmfileWith("../" + valuesFile),
		"trim/helmfile.yaml":   helmfileWith("{operator: {replicas: 1}}"),
		"ahead/helmfile.yaml":  helmfileWith(`{ipv6NativeRoutingCIDR: "FD00:0101::/38"}`),
		"tmpl/helmfile.yaml":   helmfileWith("own.yaml.gotmpl"),
		"tmpl/own.yaml.gotmpl": "ipv6NativeRoutingCIDR: {{ .Values.cidr }}\n",
		"tf/cilium.tf":         "resource \"helm_release\" \"cilium\" {\n  chart = \"cilium\"\n  set {\n    name  = \"ipv6NativeRoutingCIDR\"\n    value = \"fd00:101::/48\"\n  }\n}\n",
	} {
		write(t, filepath.Join(opts.Repo, file), content)
	}
	p := mustPlan(t, opts).Plan
	widen := candidateOf(t, &p, "widen-native-routing-cidr")
	var got []string
	for _, c := range widen.Copies {
		got = append(got, fmt.Sprintf("%s %s:%d %s=%v edited=%v %s", c.Kind, c.File, c.Line, c.Path, c.Value, c.Edited, c.Why))
	}
	want := []string{
		"helmfile boot/helmfile.yaml:5 ipv6NativeRoutingCIDR=fd00:101::/48 edited=true ",
		"Terraform tf/cilium.tf:5 ipv6NativeRoutingCIDR=fd00:101::/48 edited=false Terraform is not edited: change it by hand",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(widen.Diff, "b/boot/helmfile.yaml") || strings.Contains(widen.Diff, "cilium.tf") {
		t.Errorf("diff\n%s", widen.Diff)
	}
	told := strings.Join(widen.SideEffects, "\n")
	for _, s := range []string{"tf/cilium.tf:5 (Terraform) sets", "tmpl/own.yaml.gotmpl:1 (helmfile) may set the same values, and cannot be read: it is a template"} {
		if !strings.Contains(told, s) {
			t.Errorf("side effects do not say %q:\n%s", s, told)
		}
	}

	// A copy that has a part of what the candidate needs is not half edited.
	masq := candidateOf(t, &p, "use-ip-masq-agent")
	if len(masq.Copies) != 1 || masq.Copies[0].Edited || !strings.Contains(masq.Copies[0].Why, "it does not set ipMasqAgent") || strings.Contains(masq.Diff, "boot/") {
		t.Errorf("%+v", masq.Copies)
	}
	if f := found(&p, "bootstrap-copy-differs"); f == nil || f.About != "ahead/helmfile.yaml" {
		t.Errorf("the copy that is ahead: %+v", f)
	}
}

// Which differences are told, and which are none.
func TestBootstrapCopyDiffersFromRelease(t *testing.T) {
	manifest := func(key, value string) string {
		return "cluster:\n  inlineManifests:\n    - name: cilium\n      contents: |\n        apiVersion: v1\n        kind: ConfigMap\n        metadata: {name: cilium-config}\n        data: {" + key + ": \"" + value + "\"}\n"
	}
	tests := []struct {
		name, file, content, want string
	}{
		{"another mode", "helmfile.yaml", helmfileWith("{routingMode: tunnel}"), "routingMode to tunnel"},
		{"the same, written otherwise", "helmfile.yaml", helmfileWith(`{ipv6NativeRoutingCIDR: FD00:101:0::/48, kubeProxyReplacement: "true"}`), ""},
		{"no influence", "helmfile.yaml", helmfileWith("{k8sServicePort: 6443, k8sServiceHost: 10.0.0.1}"), ""},
		{"a variable", "helmfile.yaml", helmfileWith("{routingMode: \"${MODE}\"}"), ""},
		{"what the release leaves open", "helmfile.yaml", helmfileWith("{tunnelProtocol: geneve, loadBalancer: {mode: dsr}}"), ""},
		{"a rendered flag", "talos/a.yaml", manifest("ipv6-native-routing-cidr", "fd00::/16"), "ipv6-native-routing-cidr to fd00::/16"},
		{"a rendered flag, the same", "talos/a.yaml", manifest("enable-ipv6", "true"), ""},
		{"a rendered default", "talos/a.yaml", manifest("bpf-lb-map-max", "1"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := layIncident(t, examples.Default)
			opts.Snapshot = ""
			write(t, filepath.Join(opts.Repo, tt.file), tt.content)
			p := mustPlan(t, opts).Plan
			f := found(&p, "bootstrap-copy-differs")
			if (f != nil) != (tt.want != "") || f != nil && !strings.Contains(f.Summary, tt.want) {
				t.Errorf("finding %+v, want %q", f, tt.want)
			}
		})
	}
}

func TestPlainText(t *testing.T) {
	for _, c := range []struct {
		path string
		a, b any
		same bool
	}{
		{"MTU", 1500, 1500.0, true},
		{"MTU", 1000000, 1e6, true},
		{"MTU", "1500", 1500, true},
		{"x", true, "true", true},
		{"x", true, false, false},
		{"x", []any{"10.0.0.0/8"}, "10.0.0.0/8", true},
		{"x", []any{"10.0.0.0/8", "fd00::/8"}, "10.0.0.0/8 FD00:0::/8", true},
		{"x", []any{"a", "b"}, []any{"b", "a"}, false},
		{"x", "fd00:0:0::/48", "fd00::/48", true},
		{"password", "a", "b", true},
	} {
		if got := plainText(c.path, c.a) == plainText(c.path, c.b); got != c.same {
			t.Errorf("%v and %v: %q and %q", c.a, c.b, plainText(c.path, c.a), plainText(c.path, c.b))
		}
	}
	if got := plainText("password", "hunter2"); strings.Contains(got, "hunter") {
		t.Errorf("a secret is shown: %s", got)
	}
}

func TestKeeps(t *testing.T) {
	k := v1alpha1.Copy{Kind: source.CopyTalos, File: "t.yaml", Line: 3, Path: "mtu", Value: "1400"}
	for why, want := range map[string]string{
		leftAlone:                        "--with-copies changes it as well",
		"it is a script":                 "change it by hand: it is a script",
		"x is a list: change it by hand": "again; x is a list: change it by hand",
	} {
		k.Why = why
		got := keeps(k)
		if !strings.HasSuffix(got, want) || !strings.HasPrefix(got, "t.yaml:3 (Talos inline manifest) sets mtu too and keeps 1400: ") || !strings.Contains(got, "talosctl upgrade-k8s") {
			t.Errorf("%s: %s", why, got)
		}
	}
	seen := map[string]bool{}
	for _, kind := range []string{source.CopyHelmfile, source.CopyTalos, source.CopyK3s, source.CopyTerraform} {
		seen[comesBack(kind)] = true
	}
	if len(seen) != 4 {
		t.Errorf("%v", seen)
	}
}
