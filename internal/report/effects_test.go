package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func someEffects() []v1alpha1.Effect {
	return []v1alpha1.Effect{
		{Kustomization: "Kustomization flux-system/a", Changes: []string{"HelmRelease kube-system/cilium: MTU 1400 → 1500"}},
		{Kustomization: "Kustomization flux-system/b", Changes: []string{}},
		{Kustomization: "Kustomization flux-system/c", Unknown: "apps/c/kustomization.yaml:1: resources lists \"x\": not there"},
		{Kustomization: "Kustomization flux-system/d"},
		{Kustomization: "Kustomization flux-system/e", Changes: []string{"one", "two", "three", "four", "five"}},
	}
}

func TestEffectLines(t *testing.T) {
	for _, test := range []struct {
		name    string
		effects []v1alpha1.Effect
		most    int
		want    []string
	}{
		{"none", nil, 4, nil},
		{"all", someEffects(), 4, []string{
			"! also changes for Kustomization flux-system/a: HelmRelease kube-system/cilium: MTU 1400 → 1500",
			`! Kustomization flux-system/c could not be built, so what changes for it is not known: apps/c/kustomization.yaml:1: resources lists "x": not there`,
			"! also changes for Kustomization flux-system/e: one; two; three; 2 more",
			"built again, unchanged: Kustomization flux-system/b, Kustomization flux-system/d",
		}},
		{"bounded", someEffects(), 1, []string{
			"! also changes for Kustomization flux-system/a: HelmRelease kube-system/cilium: MTU 1400 → 1500",
			"! also changes for, or could not be built again: 2 more (all of them: -o json)",
			"built again, unchanged: Kustomization flux-system/b, 1 more",
		}},
		{"hostile", []v1alpha1.Effect{{Kustomization: "a\x1b[31m\nb", Changes: []string{"x\ny"}}}, 1, []string{"! also changes for " + line("a\x1b[31m\nb") + ": x y"}},
	} {
		var got []string
		for _, l := range effectLines(test.effects, test.most) {
			mark := ""
			if l.marked {
				mark = "! "
			}
			got = append(got, mark+l.text)
		}
		if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

// Every form tells what the edit changes for others.
func TestEffectsAreShown(t *testing.T) {
	p := incident(t)
	p.Candidates[0].Effects = someEffects()
	for name, print := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return Text(b, p, TextOptions{Width: 200}) },
		"markdown": func(b *bytes.Buffer) error { return Markdown(b, p) },
		"html":     func(b *bytes.Buffer) error { return HTML(b, p) },
	} {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Fatal(err)
		}
		plain := strings.NewReplacer("`", "", "<code>", "", "</code>", "").Replace(b.String())
		for _, want := range []string{"also changes for Kustomization flux-system/a", "Kustomization flux-system/c could not be built", "built again, unchanged: Kustomization flux-system/b"} {
			if !strings.Contains(plain, want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
	}
}
