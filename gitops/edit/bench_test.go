package edit_test

import (
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/remediate-dev/remediate/gitops/edit"
)

func incidentValues(b *testing.B) []byte {
	b.Helper()
	archive, err := txtar.ParseFile("testdata/edits/incident.txtar")
	if err != nil {
		b.Fatal(err)
	}
	return archive.Files[1].Data
}

// One edit costs about two parses: one of the text, one to check the result.
func BenchmarkApply(b *testing.B) {
	src := incidentValues(b)
	for b.Loop() {
		if _, err := edit.Apply(src, edit.Change{Path: []string{"ipv6NativeRoutingCIDR"}, Value: "fd00:101::/38"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	src := incidentValues(b)
	for b.Loop() {
		if err := edit.Inspect(src); err != nil {
			b.Fatal(err)
		}
	}
}
