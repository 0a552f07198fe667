package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
)

// verdict is what a reviewer should be told of one commit. It follows from what
// Cilium does with each state, not from what the check says.
type verdict struct {
	subject string
	code    int
	// introduced, left and repaired are signatures; masked those that only seem repaired.
	introduced, left, repaired, masked []string
}

const (
	wrongCIDR  = "native-routing-cidr-excludes-pods"
	wrongList  = "ip-masq-agent-excludes-pods"
	deadKey    = "values-key-has-no-effect"
	noStart    = "agent-refuses-to-start"
	chartSays  = "chart-refuses-values"
	noBuild    = "release-does-not-build"
	overridden = "value-overridden"
	maskedOnly = "fault-only-masked"
)

func names(s ...string) []string { return s }

// verdicts of the history native-routing, from its second commit on.
func verdicts() []verdict {
	return []verdict{
		{subject: "podinfo 6.9.1"},
		{subject: "cilium: say that there is no tunnel", code: 2, introduced: names(chartSays)},
		// The chart's refusal is not repaired: nothing is rendered that could be refused.
		{subject: "cilium: drop tunnel again, indent the socket LB", code: 2, introduced: names(noBuild)},
		// The last state that could be built was the one that the chart refuses.
		{subject: "cilium: no tabs in YAML", repaired: names(chartSays, noBuild)},
		{subject: "cilium: native routing for the cluster's own prefix only", code: 2, introduced: names(wrongCIDR)},
		{subject: "cilium: pass the native routing CIDR to the agent", code: 2, introduced: names(deadKey), left: names(wrongCIDR)},
		{subject: "cilium: it is camel case in Helm", code: 2, introduced: names(deadKey), left: names(wrongCIDR), repaired: names(deadKey)},
		{subject: "cilium: masquerade in BPF", code: 2, introduced: names(overridden), left: names(wrongCIDR), repaired: names(deadKey)},
		{subject: "cilium: BPF masquerading, where it is read", left: names(wrongCIDR)},
		// Without masquerade the wrong CIDR harms nobody; it is still wrong.
		{subject: "cilium: try without masquerading IPv6", code: 2, introduced: names(noStart, maskedOnly), left: names(wrongCIDR), masked: names(wrongCIDR)},
		{subject: "cilium: iptables again, so that the agents start", left: names(wrongCIDR), repaired: names(noStart)},
		{subject: `Revert "cilium: try without masquerading IPv6"`, code: 2, introduced: names(wrongCIDR)},
		{subject: "cilium: policies off until this is understood", code: 2, introduced: names(maskedOnly), left: names(wrongCIDR), masked: names(wrongCIDR)},
		// The fault shows again. That policies deny again what they are to deny is no fault.
		{subject: `Revert "cilium: policies off until this is understood"`, code: 2, introduced: names(wrongCIDR)},
		// The same arithmetic in another key: another finding, and nothing is repaired.
		{subject: "cilium: ip-masq-agent, do not masquerade inside the cluster", code: 2, introduced: names(wrongList)},
		{subject: "Prefixes belong into cluster-settings", code: 2, introduced: names(wrongCIDR)},
		{subject: "The native routing CIDR holds nodes and pods", repaired: names(wrongCIDR)},
		{subject: "docs: what broke pod-to-pod IPv6"},
		{subject: "cilium: both ranges instead of one wide prefix", code: 2, introduced: names(chartSays)},
		{subject: `Revert "cilium: both ranges instead of one wide prefix"`, repaired: names(chartSays)},
		{subject: "Clean up cluster-settings", code: 2, introduced: names(wrongCIDR)},
		{subject: "The native routing CIDR holds nodes and pods, again", repaired: names(wrongCIDR)},
	}
}

// Each commit of a history is judged against the one before it: the verdict is
// the one written down above, and the golden file holds what a person reads.
func TestHistory(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	dir := filepath.Join(t.TempDir(), "history")
	if err := examples.LayHistory("native-routing", dir); err != nil {
		t.Fatal(err)
	}
	commits, want := history(t, dir), verdicts()
	if len(commits) != len(want)+1 || len(commits) < 16 {
		t.Fatalf("%d commits, %d verdicts", len(commits), len(want))
	}
	chart := testbed.ChartDir(t)
	var text strings.Builder
	for i, c := range commits[1:] {
		args := []string{"check", "--repo", dir, "--chart", chart, "--base", c.ParentHashes[0].String(), "--head", c.Hash.String()}
		t.Run(fmt.Sprintf("%02d", i+2), func(t *testing.T) {
			message, _, _ := strings.Cut(c.Message, "\n")
			got, places := judged(t, message, args)
			for _, file := range places {
				if files := changedIn(t, c); !slices.Contains(files, file) {
					t.Errorf("a problem is shown in %s, and the change is in %q", file, files)
				}
			}
			if diff := cmp.Diff(want[i], got, cmp.AllowUnexported(verdict{})); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			code, out := checked(t, args, "text")
			if code != got.code {
				t.Errorf("exit code %d as text, %d as JSON", code, got.code)
			}
			if got.code == 0 && len(got.left)+len(got.repaired) == 0 && strings.Count(out, "\n") != 1 {
				t.Errorf("a healthy change gives more than one line:\n%s", out)
			}
			fmt.Fprintf(&text, "==== %d. %s\nexit code %d\n\n%s\n", i+2, message, code, out)
		})
	}
	compareGolden(t, "history.txt", text.String())
}

// history are the commits of main, oldest first.
func history(t *testing.T, dir string) []*object.Commit {
	t.Helper()
	r, err := git.PlainOpen(dir)
	if err != nil {
		t.Fatal(err)
	}
	log, err := r.Log(&git.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []*object.Commit
	if err := log.ForEach(func(c *object.Commit) error { out = append(out, c); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(out)
	return out
}

func checked(t *testing.T, args []string, output string) (int, string) {
	t.Helper()
	var out, errs strings.Builder
	code := execute(context.Background(), append(slices.Clone(args), "-o", output), &out, &errs)
	if code == 1 {
		t.Fatalf("check: %s", errs.String())
	}
	return code, out.String()
}

// changedIn are the files that a commit changes.
func changedIn(t *testing.T, c *object.Commit) []string {
	t.Helper()
	parent, err := c.Parent(0)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := parent.Patch(c)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range patch.Stats() {
		out = append(out, s.Name)
	}
	return out
}

// judged runs the check for its JSON and takes the signatures out of it, and the
// files that introduced problems are shown in.
func judged(t *testing.T, subject string, args []string) (v verdict, places []string) {
	t.Helper()
	code, out := checked(t, args, "json")
	var r v1alpha1.CheckResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	v = verdict{subject: subject, code: code}
	for _, p := range r.Problems {
		if p.Introduced {
			v.introduced = append(v.introduced, p.Signature)
			places = append(places, p.File)
			continue
		}
		v.left = append(v.left, p.Signature)
	}
	for _, rep := range r.Repairs {
		if rep.MaskedBy != "" {
			v.masked = append(v.masked, rep.Signature)
			continue
		}
		v.repaired = append(v.repaired, rep.Signature)
	}
	for _, list := range [][]string{v.introduced, v.left, v.repaired, v.masked} {
		slices.Sort(list)
	}
	return v, places
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs: run with -update and read the change\n%s", golden, firstDifference(string(want), got))
	}
}
