package datapath

import (
	"fmt"
	"testing"
)

func benchmarkAnalyse(b *testing.B, nodes int) {
	var namespaces []string
	for i := range 100 {
		name := fmt.Sprintf("ns-%d", i)
		if i%2 == 0 {
			name += "-guarded"
		}
		namespaces = append(namespaces, name)
	}
	s := cluster(nodes, 30, namespaces...)
	b.ReportAllocs()
	for b.Loop() {
		before := newModel(b, Input{Config: config(), Snapshot: s})
		after := newModel(b, Input{Config: config("ipv6-native-routing-cidr", "fd00:101::/32"), Snapshot: s})
		d := Compare(before.Analyse(), after.Analyse())
		if d.Fixed == 0 || d.Broken != 0 {
			b.Fatalf("fixed %d, broken %d", d.Fixed, d.Broken)
		}
	}
}

func benchmarkOne(b *testing.B, nodes int) {
	s := cluster(nodes, 30, "team-a", "team-b-guarded", "team-c-guarded", "team-d")
	b.ReportAllocs()
	for b.Loop() {
		if a := newModel(b, Input{Config: config(), Snapshot: s}).Analyse(); len(a.Classes) == 0 {
			b.Fatal("no classes")
		}
	}
}

func BenchmarkAnalyse500(b *testing.B)  { benchmarkOne(b, 500) }
func BenchmarkAnalyse5000(b *testing.B) { benchmarkOne(b, 5000) }
func BenchmarkCompare500(b *testing.B)  { benchmarkAnalyse(b, 500) }
func BenchmarkCompare5000(b *testing.B) { benchmarkAnalyse(b, 5000) }
