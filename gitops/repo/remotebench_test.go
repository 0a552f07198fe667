package repo_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// benchChild is the environment variable by which the benchmark starts itself
// again, so that the peak of memory is that of the clone and the push alone.
const benchChild = "REMEDIATE_BENCH_REMOTE"

// benchOrder is what the child is to do.
type benchOrder struct {
	URL    string
	Secret map[string][]byte
	Dir    string
}

// BenchmarkRemote clones and pushes to a repository of 100 MiB of history that
// does not compress, and compares with a full git clone.
func BenchmarkRemote(b *testing.B) {
	if order := os.Getenv(benchChild); order != "" {
		benchPush(b, order)
		return
	}
	server := testbed.GitServer(b)
	server.Create(b, fleet, fleetFiles())
	for i := range 50 {
		server.Push(b, fleet, "main", map[string]string{"media/blob": noise(uint64(i), 2<<20)})
	}
	server.Push(b, fleet, "main", map[string]string{"media/blob": "small\n"})
	server.Git(b, fleet, "repack", "-adq")
	server.Moved()
	server.Clone(b, fleet, b.TempDir())
	in, out, _ := server.Moved()
	full := in + out
	for b.Loop() {
		order, err := json.Marshal(benchOrder{server.CloneURL(fleet), server.Secret(), filepath.Join(b.TempDir(), "clone")})
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkRemote$", "-test.benchtime=1x")
		cmd.Env = append(os.Environ(), benchChild+"="+string(order))
		text, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%v\n%s", err, text)
		}
		in, out, requests := server.Moved()
		b.ReportMetric(float64(full)/float64(in+out), "times-less-bytes")
		b.ReportMetric(float64(in+out), "bytes")
		b.ReportMetric(float64(full), "full-bytes")
		b.ReportMetric(float64(requests), "git-requests")
		b.ReportMetric(peakIn(b, string(text)), "peak-MiB")
		// Fails the benchmark unless the branch was pushed.
		server.Git(b, fleet, "branch", "-D", "topic")
	}
}

func peakIn(b *testing.B, text string) float64 {
	b.Helper()
	_, after, _ := strings.Cut(text, "peak KiB: ")
	kib, err := strconv.ParseFloat(strings.Fields(after + " -")[0], 64)
	if err != nil {
		b.Fatalf("the child does not say its peak: %v\n%s", err, text)
	}
	return kib / 1024
}

func benchPush(b *testing.B, text string) {
	var order benchOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		b.Fatal(err)
	}
	a, err := access.New(access.Options{URL: order.URL, Git: order.Secret})
	if err != nil {
		b.Fatal(err)
	}
	r := &repo.Remote{URL: order.URL, Access: a}
	for b.Loop() {
		if _, err := r.Refs(context.Background()); err != nil {
			b.Fatal(err)
		}
		w, err := r.Clone(context.Background(), repo.CloneOptions{Dir: order.Dir, Branch: "main"})
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Push(context.Background(), change(b, w, "x: 1\n").Hash, "topic", ""); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Printf("peak KiB: %d\n", peak(b))
}

// peak is the most memory that this process has held, in KiB.
func peak(b *testing.B) int {
	b.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return kib
		}
	}
	b.Fatal("no VmHWM in /proc/self/status")
	return 0
}
