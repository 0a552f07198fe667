package edit_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/gitops/edit"
)

const talosPatch = `# talhelper
patches:
  - HEAD
    # the network
    cluster:
      inlineManifests:
        - name: cilium
          contents: INNER
            apiVersion: v1
            kind: ServiceAccount
            ---
            # the agents read it
            kind: ConfigMap
            data:
              mtu: "1400" # measured
              other: x
`

// A value in a manifest in a patch changes with nothing around it, however the
// two blocks end.
func TestApplyNestedEnds(t *testing.T) {
	for _, head := range []string{"|", "|-", "|+"} {
		for _, inner := range []string{"|", "|-", "|+"} {
			for _, tail := range []string{"", "last: 1\n", "  - next: 1\n"} {
				src := strings.NewReplacer("HEAD", head, "INNER", inner).Replace(talosPatch) + tail
				blocks := []edit.Block{{Document: 0, Path: []string{"patches", "[0]"}}, {Document: 0, Path: []string{"cluster", "inlineManifests", "[0]", "contents"}}}
				got, err := edit.ApplyNested([]byte(src), blocks, edit.Change{Document: 1, Path: []string{"data", "mtu"}, Value: "1500"})
				if err != nil {
					t.Errorf("%s %s %q: %v", head, inner, tail, err)
					continue
				}
				if diff := cmp.Diff(strings.Replace(src, "1400", "1500", 1), string(got)); diff != "" {
					t.Errorf("%s %s %q: %s", head, inner, tail, diff)
				}
			}
		}
	}
}

func TestApplyNestedRefusals(t *testing.T) {
	src := strings.NewReplacer("HEAD", "|", "INNER", "|").Replace(talosPatch)
	patch := edit.Block{Path: []string{"patches", "[0]"}}
	contents := edit.Block{Path: []string{"cluster", "inlineManifests", "[0]", "contents"}}
	for _, c := range []struct {
		name   string
		blocks []edit.Block
		doc    int
		want   error
		line   int
	}{
		{"no such manifest", []edit.Block{patch, {Path: []string{"cluster", "inlineManifests", "[7]"}}}, 0, edit.ErrPath, 7},
		{"no block inside", []edit.Block{patch, {Path: []string{"cluster"}}}, 0, edit.ErrPath, 6},
		{"no such document", []edit.Block{patch, contents}, 5, edit.ErrPath, 0},
	} {
		_, err := edit.ApplyNested([]byte(src), c.blocks, edit.Change{Document: c.doc, Path: []string{"data", "mtu"}, Value: "1500"})
		var refusal *edit.Error
		if !errors.Is(err, c.want) || !errors.As(err, &refusal) || refusal.Line != c.line {
			t.Errorf("%s: error %v, want %v on line %d", c.name, err, c.want, c.line)
		}
	}
}
