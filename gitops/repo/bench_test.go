package repo_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/gitops/repo"
)

// BenchmarkOverlay compares a working tree of 10,000 files in 2,600 directories
// with a commit that has ten of them otherwise.
func BenchmarkOverlay(b *testing.B) {
	trees := []map[string][]byte{{}, {}}
	for i := range 10_000 {
		name := fmt.Sprintf("apps/%03d/app-%05d/%d.yaml", i%100, i%2500, i)
		content := fmt.Sprintf("replicas: %d\n", i) + strings.Repeat("key: some value that is there\n", 40)
		trees[0][name] = []byte(content)
		if i%1000 == 0 {
			content += "more: true\n"
		}
		trees[1][name] = []byte(content)
	}
	r := laidOut(b, trees...)
	base, err := r.Resolve("HEAD^")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		files, err := r.Overlay(context.Background(), base)
		if err != nil || len(files) != 10 {
			b.Fatal(len(files), err)
		}
	}
}

func laidOut(b *testing.B, trees ...map[string][]byte) *repo.Repo {
	b.Helper()
	dir := b.TempDir()
	var steps []repo.Step
	for i, tree := range trees {
		steps = append(steps, repo.Step{Message: "commit", Date: start.AddDate(0, 0, i), Files: tree})
	}
	if err := repo.Layout(dir, someone, steps); err != nil {
		b.Fatal(err)
	}
	r, err := repo.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	return r
}
