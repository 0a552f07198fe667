package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

const keepsOld = `boot/values.yaml:4 (helmfile) sets MTU too and keeps 1400: the next bootstrap starts with it`

func withCopies() *v1alpha1.Candidate {
	return &v1alpha1.Candidate{
		SideEffects: []string{"pods stop being masqueraded", keepsOld},
		Copies: []v1alpha1.Copy{
			{Kind: "helmfile", File: "boot/values.yaml", Line: 4, Path: "MTU", Value: 1400, Why: "it is left alone"},
			{Kind: "Talos inline manifest", File: "talos/main.yaml", Line: 9, Path: "mtu", Value: "1400", Edited: true},
			{Kind: "Terraform", File: "main.tf", Line: 2, Path: "MTU", Value: 1400, Why: "Terraform is not edited: change it by hand"},
		},
	}
}

func TestCopyLines(t *testing.T) {
	hostile := withCopies()
	hostile.Copies = []v1alpha1.Copy{{Kind: "k", File: "a\x1b[2J\n::error::b", Line: 1, Path: "p\r", Edited: true}}
	for _, test := range []struct {
		name string
		c    *v1alpha1.Candidate
		most int
		want []string
	}{
		{"none", &v1alpha1.Candidate{SideEffects: []string{"x"}}, 3, nil},
		{"all", withCopies(), 3, []string{
			"! " + keepsOld,
			"talos/main.yaml:9 (Talos inline manifest) mtu is changed as well",
			"! main.tf:2 (Terraform) keeps MTU 1400: Terraform is not edited: change it by hand",
		}},
		{"bounded", withCopies(), 1, []string{"! " + keepsOld, "! 2 more copies of the values (all of them: -o json)"}},
		{"hostile", hostile, 3, []string{line("a\x1b[2J\n::error::b") + ":1 (k) p is changed as well"}},
	} {
		var got []string
		for _, l := range copyLines(test.c, test.most) {
			mark := ""
			if l.marked {
				mark = "! "
			}
			got = append(got, mark+l.text)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

// What a line about a copy says is not said twice, and nothing else is lost.
func TestSideEffectsWithoutCopies(t *testing.T) {
	c := withCopies()
	if got := sideEffects(c); !slices.Equal(got, []string{"pods stop being masqueraded"}) {
		t.Errorf("got %q", got)
	}
	c.Copies[0].Edited = true
	if got := sideEffects(c); len(got) != 2 {
		t.Errorf("a changed copy tells of no side effect: %q", got)
	}
}

// Every form tells which copies are changed and which keep the old value.
func TestCopiesAreShown(t *testing.T) {
	p := incident(t)
	p.Candidates[0].Copies, p.Candidates[0].SideEffects = withCopies().Copies, withCopies().SideEffects
	for name, print := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return Text(b, p, TextOptions{Width: 200}) },
		"markdown": func(b *bytes.Buffer) error { return Markdown(b, p) },
		"html":     func(b *bytes.Buffer) error { return HTML(b, p) },
	} {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Fatal(err)
		}
		plain := strings.NewReplacer("`", "", "<code>", "", "</code>", "", "\\", "").Replace(b.String())
		for _, want := range []string{"boot/values.yaml:4 (helmfile) sets MTU too", "talos/main.yaml:9 (Talos inline manifest) mtu is changed as well", "main.tf:2 (Terraform) keeps MTU 1400"} {
			if n := strings.Count(plain, want); n != 1 {
				t.Errorf("%s says %q %d times", name, want, n)
			}
		}
	}
}
