package observe

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// writeBigFolder makes a folder of nodes with 30 pods each, as Write writes it.
func writeBigFolder(b *testing.B, nodes int) (dir string, size int64) {
	b.Helper()
	dir = b.TempDir()
	create := func(name, head string, each func(w *bufio.Writer, node int)) {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		w := bufio.NewWriter(f)
		w.WriteString(head + "items:\n")
		for n := range nodes {
			each(w, n)
		}
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		size += info.Size()
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	create("node.yaml", "apiVersion: v1\nkind: NodeList\n", func(w *bufio.Writer, n int) {
		fmt.Fprintf(w, "- apiVersion: v1\n  kind: Node\n  metadata:\n    labels:\n      kubernetes.io/hostname: node-%d\n    name: node-%d\n  spec:\n    podCIDRs:\n    - fd00:10:%x::/64\n  status:\n    addresses:\n    - address: fd00::%x\n      type: InternalIP\n", n, n, n, n+1)
	})
	create("pod.yaml", "apiVersion: v1\nkind: PodList\n", func(w *bufio.Writer, n int) {
		for p := range 30 {
			fmt.Fprintf(w, "- apiVersion: v1\n  kind: Pod\n  metadata:\n    labels:\n      app: app-%d\n      pod-template-hash: 5f4bd54c9d\n    name: app-%d-5f4bd54c9d-%05d\n    namespace: ns-%d\n  spec:\n    nodeName: node-%d\n  status:\n    podIPs:\n    - ip: fd00:10:%x::%x\n", p, p, n, p%10, n, n, p+2)
		}
	})
	return dir, size
}

func benchmarkDir(b *testing.B, nodes int) {
	dir, size := writeBigFolder(b, nodes)
	b.SetBytes(size)
	b.ResetTimer()
	for b.Loop() {
		s, err := Dir(context.Background(), dir)
		if err != nil || len(s.Pods) != 30*nodes {
			b.Fatalf("%d pods, %v", len(s.Pods), err)
		}
		b.StopTimer()
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/mib, "MiB-held")
		b.ReportMetric(float64(m.HeapSys)/mib, "MiB-heap-peak")
		runtime.KeepAlive(s)
		b.StartTimer()
	}
}

func BenchmarkDir500Nodes(b *testing.B)  { benchmarkDir(b, 500) }
func BenchmarkDir5000Nodes(b *testing.B) { benchmarkDir(b, 5000) }
