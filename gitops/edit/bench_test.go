package edit_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/remediate-dev/remediate/gitops/edit"
)

func benchFile(b *testing.B, name string) []byte {
	b.Helper()
	archive, err := txtar.ParseFile("testdata/edits/" + name)
	if err != nil {
		b.Fatal(err)
	}
	return archive.Files[1].Data
}

// decodeAll reads every document of src into values of type T: yaml.Node to
// parse, any for what a program works with.
func decodeAll[T any](b *testing.B, src []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	for {
		var v T
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// One edit parses twice: the text, and the result to check it. Each round
// measures both and the fastest count, so that the ratios hold on a busy machine.
func BenchmarkApply(b *testing.B) {
	incident := benchFile(b, "incident.txtar")
	for _, bench := range []struct {
		name string
		src  []byte
		c    edit.Change
	}{
		{"scalar", incident, edit.Change{Path: []string{"ipv6NativeRoutingCIDR"}, Value: "fd00:101::/38"}},
		{"new list", incident, edit.Change{Path: []string{"ipMasqAgent", "config", "nonMasqueradeCIDRs"}, Value: []string{"fd00::/8", "10.0.0.0/8"}}},
		{"HelmRelease", benchFile(b, "helmrelease.txtar"), edit.Change{Document: 1, Path: []string{"spec", "values", "MTU"}, Value: 1450}},
		{"large", bytes.Repeat(append([]byte("---\n"), incident...), 40), edit.Change{Document: 21, Path: []string{"ipv6NativeRoutingCIDR"}, Value: "fd00:101::/38"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			edits, nodes, values := time.Hour, time.Hour, time.Hour
			for b.Loop() {
				start := time.Now()
				if _, err := edit.Apply(bench.src, bench.c); err != nil {
					b.Fatal(err)
				}
				applied := time.Now()
				decodeAll[yaml.Node](b, bench.src)
				parsed := time.Now()
				decodeAll[any](b, bench.src)
				edits, nodes, values = min(edits, applied.Sub(start)), min(nodes, parsed.Sub(applied)), min(values, time.Since(parsed))
			}
			b.ReportMetric(float64(edits)/float64(2*nodes), "ratio-to-2-parses")
			b.ReportMetric(float64(edits)/float64(2*values), "ratio-to-2-decodes")
		})
	}
}

func BenchmarkInspect(b *testing.B) {
	src := benchFile(b, "incident.txtar")
	for b.Loop() {
		if err := edit.Inspect(src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApplyEnv(b *testing.B) {
	src := bytes.Repeat([]byte("# a setting\n"), 50)
	src = append(src, "CLUSTER_CIDR=10.0.0.0/8\n"...)
	for b.Loop() {
		if _, err := edit.ApplyEnv(src, "CLUSTER_CIDR", "10.0.0.0/9"); err != nil {
			b.Fatal(err)
		}
	}
}
