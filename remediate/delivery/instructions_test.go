package delivery

import (
	"os/exec"
	"strings"
	"testing"
)

func target() *Target {
	return &Target{
		Namespace: "kube-system", Name: "cilium", Release: "cilium", TargetNamespace: "kube-system",
		Chart: "cilium", Repository: "https://helm.cilium.io", Version: "1.18.6", Kustomization: "flux-system/cilium",
		Values: map[string]any{"a": map[string]any{"b": "c"}}, Commit: "0123", Restart: []string{"DaemonSet/cilium"},
	}
}

func TestInstructions(t *testing.T) {
	tests := []struct {
		name   string
		a      Assessment
		change func(*Target)
		titles string
		has    []string
		hasNot []string
	}{
		{"Flux brings it", Assessment{Arrives: Yes}, nil, "", nil, nil},
		{"both ways", Assessment{Arrives: No, CoLocate: Yes, Namespace: "flux-system", Label: "app", Move: []string{HelmController}}, nil,
			"Run Flux's controllers on one node|Do the Helm upgrade that helm-controller would do",
			[]string{"--repo https://helm.cilium.io --version 1.18.6", "commit=0123", "--history-max 5", "annotate --overwrite kustomizations"}, []string{"deployment kustomize-controller", "--plain-http"}},
		{"a registry without TLS", Assessment{Arrives: No}, func(t *Target) { t.Chart, t.Repository, t.PlainHTTP = "oci://registry.example/cilium", "", true },
			"Do the Helm upgrade that helm-controller would do", []string{"oci://registry.example/cilium --namespace kube-system --plain-http --version 1.18.6"}, []string{"--repo"}},
		{"co-locating is not known to help", Assessment{Arrives: No, CoLocate: Unknown, Move: []string{HelmController}}, nil,
			"Do the Helm upgrade that helm-controller would do", nil, []string{"podAffinity"}},
		{"post-renderers", Assessment{Arrives: No}, func(t *Target) { t.PostRenderers = true }, "Helm upgrade by hand: not offered", []string{"post-renderers"}, []string{"helm upgrade"}},
		{"values from a Secret", Assessment{Arrives: No}, func(t *Target) { t.Values, t.ValuesHidden = nil, "some of them come from Secret cilium" },
			"Helm upgrade by hand: not offered", []string{"come from Secret cilium"}, []string{"helm upgrade cilium"}},
		{"values from a Secret, and the changes are known", Assessment{Arrives: No}, func(t *Target) {
			t.Values, t.ValuesHidden, t.Changes = nil, "some of them come from Secret cilium", map[string]any{"ipv6NativeRoutingCIDR": "fd00::/8"}
		}, "Do the Helm upgrade that helm-controller would do",
			[]string{"helm get values cilium -n kube-system -o yaml > live.yaml", "ipv6NativeRoutingCIDR: fd00::/8", "--values live.yaml --values values.yaml", "come from Secret cilium"}, nil},
		{"values too long", Assessment{Arrives: No}, func(t *Target) { t.Values = map[string]any{"a": strings.Repeat("x", maxValues)} }, "Helm upgrade by hand: not offered", nil, []string{"xxx"}},
		{"values with a comment of HTML", Assessment{Arrives: No}, func(t *Target) { t.Values = map[string]any{"a": "<!-- remediate"} }, "Helm upgrade by hand: not offered", nil, nil},
		{"history, and the branch before the merge", Assessment{Arrives: No}, func(t *Target) {
			t.MaxHistory, t.Commit, t.Remote, t.Branch = 3, "", "https://git.example/x", "main"
		}, "Do the Helm upgrade that helm-controller would do", []string{"--history-max 3", "commit=$(git ls-remote https://git.example/x refs/heads/main | cut -f1)"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := target()
			if tt.change != nil {
				tt.change(to)
			}
			steps := Instructions(&tt.a, to)
			var titles []string
			for _, s := range steps {
				titles = append(titles, s.Title)
			}
			if got := strings.Join(titles, "|"); got != tt.titles {
				t.Errorf("titles %q, want %q", got, tt.titles)
			}
			for _, text := range []string{Markdown(&tt.a, steps), Plain(&tt.a, steps)} {
				for _, part := range tt.has {
					if !strings.Contains(text, part) {
						t.Errorf("no %q in\n%s", part, text)
					}
				}
				for _, part := range tt.hasNot {
					if strings.Contains(text, part) {
						t.Errorf("%q in\n%s", part, text)
					}
				}
			}
		})
	}
}

// Names and values are whatever a cluster and a repository say: the shell must
// read nothing in them, nor a forge.
func TestHostileInstructions(t *testing.T) {
	const evil = "x'; touch owned; $(touch owned) `touch owned` \"\n```\n@everyone <b>"
	a := Assessment{Arrives: No, CoLocate: Yes, CoLocateWhy: evil, Why: evil, Node: evil, Label: "app", Namespace: evil, Move: []string{evil},
		Legs: []Leg{{Name: LegGit, Works: No, Because: evil + " | a"}}}
	to := &Target{Namespace: evil, Name: evil, Release: evil, TargetNamespace: evil, Chart: evil, Repository: evil, Version: evil, Kustomization: evil + "/" + evil,
		Values: map[string]any{evil: evil, "VALUES": "VALUES\nVALUES"}, Remote: evil, Branch: evil, Restart: []string{evil}}
	steps := Instructions(&a, to)
	if len(steps) != 2 {
		t.Fatalf("%d steps", len(steps))
	}
	for _, s := range steps {
		script := "git() { :; }; kubectl() { :; }; helm() { :; }; touch() { echo owned; }\n" + strings.Join(append(s.Commands, s.Undo...), "\n") + "\n"
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-eu")
		cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader(script)
		out, err := cmd.CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("the shell read something: %v\n%s\nin\n%s", err, out, script)
		}
	}
	text := Markdown(&a, steps)
	prose, _, _ := strings.Cut(text, "\n**1.")
	for _, bad := range []string{"@everyone", "<b>", "`", " | a"} {
		if strings.Contains(prose, bad) {
			t.Errorf("%q in the text:\n%s", bad, prose)
		}
	}
	if !strings.Contains(text, "````sh") {
		t.Errorf("a fence inside the commands ends theirs:\n%s", text)
	}
}
