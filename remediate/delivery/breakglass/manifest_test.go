package breakglass

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

var metaKubeConfig = meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: "elsewhere"}}

// objectsOf takes a manifest apart.
func objectsOf(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	r := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest)))
	var out []*unstructured.Unstructured
	for {
		text, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &o.Object); err != nil {
			t.Fatal(err)
		}
		if o.GetKind() != "" {
			out = append(out, o)
		}
	}
}

func TestConfigOf(t *testing.T) {
	const config = "---\nkind: ConfigMap\nmetadata: {name: cilium-config}\ndata: {a: b}\n"
	tests := []struct {
		name, manifest, want, wantErr string
	}{
		{"alone", config, "b", ""},
		{"after others", "kind: List\ndata: [1]\n---\n# only a comment\n---\nkind: ConfigMap\nmetadata: {name: other}\ndata: {a: c}\n" + config, "b", ""},
		{"none", "kind: ConfigMap\nmetadata: {name: other}\n", "", "no ConfigMap cilium-config"},
		{"empty", "", "", "no ConfigMap cilium-config"},
		{"no YAML", "\t{", "", "no ConfigMap cilium-config"},
		{"not text", "kind: ConfigMap\nmetadata: {name: cilium-config}\ndata: {a: [1]}\n", "", "cannot unmarshal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := configOf(tt.manifest)
			if data["a"] != tt.want || tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("%v, %v", data, err)
			}
		})
	}
}
