package source

import (
	"slices"
	"testing"
)

func TestStatedByTemplates(t *testing.T) {
	for _, c := range []struct {
		name, file, src string
		want            []string
	}{
		{"plain ranges in a template", "talos/machineconfig.yaml.j2", `version: v1alpha1
machine:
  type: {{ ENV.TYPE }}
  {% if ENV.TYPE == 'controlplane' %}
  features: {rbac: true}
  {% endif %}
cluster:
  {# the ranges #}
  network:
    cni: {name: none}
    podSubnets: ["10.42.0.0/16"]
    serviceSubnets:
      - 10.43.0.0/16
  secret: op://vault/{{ ENV.NAME }}/SECRET
`, []string{"podPool 10.42.0.0/16 talos/machineconfig.yaml.j2:11", "serviceCIDR 10.43.0.0/16 talos/machineconfig.yaml.j2:13"}},
		{"a document of its own, beside one that does not parse", "talos/cluster.yaml.j2", `machine: {broken: [
---
apiVersion: v1alpha1
kind: KubeNetworkConfig
podSubnets:
  - 10.42.0.0/16
---
{% for x in y %}
- {{ x }}
{% endfor %}
`, []string{"podPool 10.42.0.0/16 talos/cluster.yaml.j2:6"}},
		{"the same document as plain YAML", "talos/cluster.yaml", "apiVersion: v1alpha1\nkind: KubeNetworkConfig\npodSubnets: [fd00::/56]\n", []string{"podPool fd00::/56 talos/cluster.yaml:3"}},
		{"the kind of another project", "x.yaml", "apiVersion: example.com/v1alpha1\nkind: KubeNetworkConfig\npodSubnets: [fd00::/56]\n", nil},
		{"a range that is an expression", "m.yaml.tpl", "cluster:\n  network:\n    podSubnets: [\"{{ .Data.podCIDR }}\"]\n    serviceSubnets: [10.43.0.0/16]\n", []string{"serviceCIDR 10.43.0.0/16 m.yaml.tpl:4"}},
		{"under a condition", "m.yaml.j2", "cluster:\n  network:\n    {% if a %}\n    podSubnets: [10.1.0.0/16]\n    {% else %}\n    podSubnets: [10.2.0.0/16]\n    {% endif %}\n", nil},
		{"under a condition of Go", "m.yaml.gotmpl", "cluster:\n  network:\n{{- if .A }}\n    podSubnets: [10.1.0.0/16]\n{{- end }}\n    serviceSubnets: [10.43.0.0/16]\n", []string{"serviceCIDR 10.43.0.0/16 m.yaml.gotmpl:6"}},
		{"in a loop in one line", "m.yaml.j2", "cluster:\n  network:\n    podSubnets: [{% for p in pods %}10.1.0.0/16{% endfor %}]\n", nil},
		{"half a range", "m.yaml.j2", "cluster:\n  network:\n    podSubnets: [10.{{ n }}.0.0/16]\n", nil},
		{"ends without a beginning", "m.yaml.j2", "{% endif %}{% endif %}\ncluster:\n  network:\n    podSubnets: [10.1.0.0/16]\n", []string{"podPool 10.1.0.0/16 m.yaml.j2:4"}},
		{"a variable in a template is no matter", "settings.yaml.j2", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {POD_CIDR: 10.1.0.0/16, x: podSubnets}\n", nil},
		{"an archived one", "archive/m.yaml.j2", "cluster:\n  network:\n    podSubnets: [10.1.0.0/16]\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts, err := Stated(layFiles(t, map[string]string{c.file: c.src}), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range facts {
				got = append(got, string(f.Kind)+" "+f.Value+" "+f.Source)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzWithoutTemplate(f *testing.F) {
	f.Add([]byte("a: {{ b }}\n{% if c %}\nd: e\n{% endif %}\n---\nf: g\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		lines := func(b []byte) (n int) {
			for _, c := range b {
				if c == '\n' {
					n++
				}
			}
			return n
		}
		out := withoutTemplate(src)
		if lines(out) != lines(src) {
			t.Errorf("%d lines became %d", lines(src), lines(out))
		}
		parts := documentsOf(out)
		if last := parts[len(parts)-1]; lines(last) != lines(out) {
			t.Errorf("the last document ends in line %d, not %d", lines(last), lines(out))
		}
	})
}
