package delivery

import (
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	a := Assessment{Arrives: No, Why: strings.Repeat("why ", 1000), CoLocate: Yes, Namespace: "flux-system", Label: "app", Move: []string{KustomizeController, HelmController}}
	small, large := target(), target()
	large.Values = map[string]any{"a": strings.Repeat("x", 5000)}
	tests := []struct {
		name        string
		to          *Target
		has, hasNot []string
	}{
		{"all fits", small, []string{"Run Flux's controllers on one node", "podAffinity", "cat > values.yaml", `"suspend":null`}, []string{"In the pull request"}},
		{"values do not fit", large, []string{"podAffinity", "In the pull request's text: Do the Helm upgrade"}, []string{"cat > values.yaml", "xxx"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Status(&a, Instructions(&a, tt.to))
			if len(s.How) > 8192 || len(s.Why) > 1024 || s.WillArrive != "no" {
				t.Errorf("how %d bytes, why %d, %s", len(s.How), len(s.Why), s.WillArrive)
			}
			for _, part := range tt.has {
				if !strings.Contains(s.How, part) {
					t.Errorf("no %q in\n%s", part, s.How)
				}
			}
			for _, part := range tt.hasNot {
				if strings.Contains(s.How, part) {
					t.Errorf("%q in\n%s", part, s.How)
				}
			}
		})
	}
	if s := Status(&Assessment{Arrives: Yes}, nil); s.How != "" || s.WillArrive != "yes" {
		t.Errorf("%+v", s)
	}
}
