package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func config(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "config", "default"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func kinds(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var o struct{ Kind string }
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Kind)
	}
	return out
}

func TestOneFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "install.yaml")
	if err := run([]string{"--dir=" + config(t), "--version=v1.2.3", "--out=" + file}, nil); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for want, n := range map[string]int{
		"image: ghcr.io/remediate-dev/remediate:v1.2.3\n": 1, "image: ghcr.io/remediate-dev/remediate-probe:v1.2.3\n": 2,
		":latest": 0, "kind: CustomResourceDefinition\n": 2, "kind: Secret\n": 0, "pod-security.kubernetes.io/enforce: restricted": 1,
	} {
		if got := strings.Count(text, want); got != n {
			t.Errorf("%d times %q, want %d", got, want, n)
		}
	}
	// What everything else needs comes first, for who applies it object by object.
	order := kinds(t, text)
	if last, first := slices.Index(order, "ServiceAccount"), slices.Index(order, "Namespace"); first != 0 || last < 3 {
		t.Errorf("order %q", order)
	}
	if d := slices.Index(order, "CustomResourceDefinition"); d > 2 || len(order) < 20 {
		t.Errorf("definitions at %d of %q", d, order)
	}
	var again bytes.Buffer
	if err := run([]string{"--dir=" + config(t), "--version=v1.2.3"}, &again); err != nil || again.String() != text {
		t.Errorf("the second time it differs: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	if err := run([]string{"--dir=" + t.TempDir()}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "kustomization") {
		t.Errorf("a folder without kustomization: %v", err)
	}
	if err := run([]string{"--dir=" + config(t), "--out=" + t.TempDir()}, nil); err == nil {
		t.Error("it wrote onto a folder")
	}
}
