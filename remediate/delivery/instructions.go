package delivery

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// FieldManager is the name under which instructions and break-glass write to
// objects of Flux. kustomize-controller undoes what was written under names that
// begin with "kubectl" (1.9.5, internal/controller/kustomization_controller.go),
// and leaves alone fields of other owners that Git does not set.
const FieldManager = "remediate"

// AnnotationBreakGlass on a HelmRelease says that it is suspended because its
// upgrade was done past Flux, and for which commit.
const AnnotationBreakGlass = v1alpha1.Group + "/break-glass"

// maxValues bounds the values that are written into a text.
const maxValues = 24 << 10

// Target is the release that a commit changes.
type Target struct {
	// Namespace and Name of the HelmRelease; Release and TargetNamespace are Helm's.
	Namespace, Name          string
	Release, TargetNamespace string
	// Chart as helm takes it: a name with Repository's URL, an oci:// URL, or a
	// path in the checkout.
	Chart, Repository, Version string
	// PlainHTTP: the chart's registry has no TLS.
	PlainHTTP bool
	// Kustomization that applies the HelmRelease, NAMESPACE/NAME.
	Kustomization string
	// Values of the commit, merged as Flux merges them. Nil where they must not or
	// cannot be shown, and ValuesHidden then says why.
	Values       map[string]any
	ValuesHidden string
	// Changes are those of the values that the commit changes, nested, for where
	// Values cannot be shown.
	Changes map[string]any
	// Remote and Branch hold the commit; Commit is its hash, empty before the merge.
	Remote, Branch, Commit string
	// PostRenderers: the HelmRelease has some, which helm alone does not run.
	PostRenderers bool
	// MaxHistory is the HelmRelease's spec.maxHistory; 0 is Flux's default, 5.
	MaxHistory int
	// Restart are workloads that read the change only when they restart:
	// "DaemonSet/cilium".
	Restart []string
}

// Step is one way to bring the commit in, as a person does it.
type Step struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	// Commands are lines for a POSIX shell; Undo takes them back.
	Commands []string `json:"commands,omitempty"`
	// After explains Undo.
	After string   `json:"after,omitempty"`
	Undo  []string `json:"undo,omitempty"`
}

// Instructions are the ways that are open, in the order to try them; none when
// Flux brings the commit by itself.
func Instructions(a *Assessment, t *Target) []Step {
	if a.Arrives == Yes {
		return nil
	}
	var out []Step
	if a.CoLocate == Yes {
		out = append(out, coLocation(a, t))
	}
	if t.PostRenderers {
		return append(out, Step{Title: "Helm upgrade by hand: not offered",
			Text: "The HelmRelease has post-renderers, which helm does not run by itself: an upgrade by hand would take their changes away. Break-glass runs them."})
	}
	if values, ok := shown(t.Values); ok {
		return append(out, upgrade(t, values, ""))
	}
	why := t.ValuesHidden
	if why == "" {
		why = "they are too long, or hold text that a pull request cannot"
	}
	if changes, ok := shown(t.Changes); ok {
		return append(out, upgrade(t, changes, why))
	}
	return append(out, Step{Title: "Helm upgrade by hand: not offered", Text: "The release's values cannot be written here: " + why + "."})
}

// shown is values as YAML; ok is false when there are none, or when a text cannot
// hold them as they are.
func shown(values map[string]any) (text string, ok bool) {
	if len(values) == 0 {
		return "", false
	}
	out, err := yaml.Marshal(values)
	if err != nil || len(out) > maxValues || strings.Contains(string(out), "<!--") || strings.Contains(string(out), "\n/") {
		return "", false
	}
	return string(out), true
}

// coLocation binds the controllers to the node of source-controller's pod,
// whichever it is by then. The field is one that Flux's manifests do not set:
// nodeSelector is, and it is owned as a whole.
func coLocation(a *Assessment, t *Target) Step {
	s := Step{
		Title: "Run Flux's controllers on one node",
		Text: fmt.Sprintf("%s. The pods move beside source-controller (now on %s); Flux's own Kustomization leaves the change alone, because it is written under another name than kubectl's. If a pod stays Pending, that node is cordoned or full: take it back with the last lines.",
			capital(a.CoLocateWhy), clip(a.Node, 253)),
		After: "When the release is upgraded and the agents have restarted:",
	}
	beside := `{"spec":{"template":{"spec":{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"` +
		a.Label + `":"` + SourceController + `"}},"topologyKey":"kubernetes.io/hostname"}]}}}}}}`
	free := `{"spec":{"template":{"spec":{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":null}}}}}}`
	for _, d := range a.Move {
		s.Commands = append(s.Commands, patch(a.Namespace, "deployment", d, beside))
		s.Undo = append(s.Undo, patch(a.Namespace, "deployment", d, free))
	}
	for _, d := range a.Move {
		s.Commands = append(s.Commands, words("kubectl", "-n", a.Namespace, "rollout", "status", "deployment", d, "--timeout=3m"))
	}
	s.Commands = append(s.Commands, askFor(t)...)
	return s
}

// askFor has Flux reconcile now, as flux reconcile does.
func askFor(t *Target) []string {
	if t.Kustomization == "" {
		return nil
	}
	ns, name, _ := strings.Cut(t.Kustomization, "/")
	return []string{words("kubectl", "-n", ns, "annotate", "--overwrite", "kustomizations.kustomize.toolkit.fluxcd.io", name) + ` reconcile.fluxcd.io/requestedAt="$(date +%s)"`}
}

// upgrade is what helm-controller would do. Where the values are hidden, values
// are the changed ones only, and the live release has the rest.
func upgrade(t *Target, values, hidden string) Step {
	delimiter := "VALUES"
	for slices.Contains(strings.Split(values, "\n"), delimiter) {
		delimiter += "_"
	}
	s := Step{
		Title: "Do the Helm upgrade that helm-controller would do",
		Text: "After the merge, with Helm 4. The release, its history and its values are the ones that Flux has for the merged commit, so that Flux adopts it without a change. " +
			"The HelmRelease is suspended first: the upgrade heals the path over which helm-controller would otherwise fetch the old values and put them back.",
		After: "When the Kustomization has applied the commit, give the HelmRelease back. Flux then upgrades once more, to the same:",
	}
	live := ""
	if hidden != "" {
		s.Text += " The values are those of the live release with the commit's change, because the whole of them is not written here: " + hidden + ". What else Git has changed meanwhile comes with Flux's own upgrade."
		live = words("helm", "get", "values", t.Release, "-n", t.TargetNamespace, "-o", "yaml") + " > live.yaml"
	}
	s.Commands = append(s.Commands, commitLine(t),
		"kubectl -n "+quote(t.Namespace)+" patch helmreleases.helm.toolkit.fluxcd.io "+quote(t.Name)+" --type=merge --field-manager="+FieldManager+
			` -p '{"metadata":{"annotations":{"`+AnnotationBreakGlass+`":"'"$commit"'"}},"spec":{"suspend":true}}'`,
		"cat > values.yaml <<'"+delimiter+"'", strings.TrimSuffix(values, "\n"), delimiter,
		"conflicts=; if "+words("helm", "get", "metadata", t.Release, "-n", t.TargetNamespace)+` | grep -q '^APPLY_METHOD: server-side'; then conflicts=--force-conflicts; fi`,
	)
	if live != "" {
		s.Commands = append(s.Commands, live)
	}
	s.Commands = append(s.Commands, helmUpgrade(t, live != "")+" $conflicts")
	for _, w := range t.Restart {
		s.Commands = append(s.Commands, words("kubectl", "-n", t.TargetNamespace, "rollout", "restart", strings.ToLower(w)))
	}
	if ns, name, ok := strings.Cut(t.Kustomization, "/"); ok {
		s.Undo = append(s.Undo, words("kubectl", "-n", ns, "get", "kustomizations.kustomize.toolkit.fluxcd.io", name, "-o", "jsonpath={.status.lastAppliedRevision}"))
	}
	s.Undo = append(s.Undo, patch(t.Namespace, "helmreleases.helm.toolkit.fluxcd.io", t.Name,
		`{"metadata":{"annotations":{"`+AnnotationBreakGlass+`":null}},"spec":{"suspend":null}}`))
	return s
}

// commitLine sets $commit: the merge's, or the newest of the branch, whose
// values the text holds once the change is merged. Without a remote that can be
// shown it is that of the checkout one stands in.
func commitLine(t *Target) string {
	switch {
	case t.Commit != "":
		return "commit=" + quote(t.Commit)
	case t.Remote == "":
		return "commit=$(git rev-parse HEAD)"
	}
	branch := t.Branch
	if branch == "" {
		branch = "HEAD"
	} else {
		branch = "refs/heads/" + branch
	}
	return "commit=$(" + words("git", "ls-remote", t.Remote, branch) + " | cut -f1)"
}

func helmUpgrade(t *Target, live bool) string {
	history := t.MaxHistory
	if history == 0 {
		history = 5
	}
	args := []string{"helm", "upgrade", t.Release, t.Chart, "--namespace", t.TargetNamespace}
	if t.PlainHTTP {
		args = append(args, "--plain-http")
	}
	if t.Repository != "" {
		args = append(args, "--repo", t.Repository)
	}
	if t.Version != "" {
		args = append(args, "--version", t.Version)
	}
	args = append(args, "--reset-values")
	if live {
		args = append(args, "--values", "live.yaml")
	}
	return words(append(args, "--values", "values.yaml", "--history-max", fmt.Sprint(history))...)
}

func patch(namespace, kind, name, body string) string {
	return words("kubectl", "-n", namespace, "patch", kind, name, "--type=merge", "--field-manager="+FieldManager, "-p", body)
}

// words is a command line in which nothing is left for the shell to read.
func words(args ...string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = quote(a)
	}
	return strings.Join(out, " ")
}

const plainWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@,+"

func quote(s string) string {
	s = clip(s, 1024)
	if s != "" && strings.Trim(s, plainWord) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
