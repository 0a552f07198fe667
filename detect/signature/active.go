package signature

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/natural"
)

// IDs of the signatures about what runs as opposed to what is written.
const (
	LiveConfigDiffers = "live-config-differs"
	ConfigNotActive   = "config-not-active"
)

func liveDiffers() Signature {
	return Signature{
		ID:       LiveConfigDiffers,
		Title:    "The cluster's cilium-config is not what the repository renders",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "What the agents read differs from what this repository would produce: another source of values, a change by hand, a revision that is not reconciled yet, " +
			"or another release. A change computed from the repository would be a change of something that is not live, so nothing is patched.",
		Shows:      []string{"kubectl get configmap -n kube-system cilium-config differs from the rendered chart"},
		DependsOn:  []string{"the live cilium-config", "the rendered cilium-config"},
		Confirms:   []string{"both were read and differ in a key that the agent knows"},
		Neighbours: []Neighbour{{ConfigNotActive, "there the ConfigMap is right and the agents have not read it"}},
		Versions:   "all",
		Sources:    []string{"cilium-dbg/cmd/build-config.go:71-80 (1.18.6)"},
		Detect:     detectLiveDiffers,
	}
}

// Differences lists the keys in which two configurations differ in effect: a
// key that one side leaves out counts only when the other sets it to something
// else than the agent's default, and one whose live value was left out of a
// snapshot does not count.
func Differences(rendered, live cilium.Config) []string {
	var out []string
	for key, sides := range cilium.Delta(rendered, live) {
		if sides[1] != nil && strings.Contains(*sides[1], snapshot.Removed) {
			continue
		}
		if sides[0] != nil && sides[1] != nil {
			out = append(out, key)
			continue
		}
		value := sides[0]
		if value == nil {
			value = sides[1]
		}
		if flag, ok := cilium.FlagByName(key); ok && *value != flag.Default {
			out = append(out, key)
		}
	}
	sort.Strings(out)
	return out
}

func detectLiveDiffers(in *Input) []v1alpha1.Finding {
	if in.Live == nil || !in.Rendered {
		return nil
	}
	keys := Differences(in.Config, *in.Live)
	if len(keys) == 0 {
		return nil
	}
	f := v1alpha1.Finding{
		Signature: LiveConfigDiffers, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed,
		Summary: fmt.Sprintf("the live cilium-config differs from what the repository renders in %d %s: %s", len(keys), plural("key", len(keys)), shorten(keys, 4)),
	}
	for _, k := range keys {
		f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "config", Source: in.Live.Source,
			Text: fmt.Sprintf("%s: live %s, repository %s", k, quoted(in.Live.Values, k), quoted(in.Config.Values, k))})
	}
	for _, o := range in.Snapshot.Flux {
		if o.Kind == "HelmRelease" && strings.Contains(o.Name, "cilium") && o.Message != "" {
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "log", Source: o.Source, Text: o.Message})
		}
	}
	return []v1alpha1.Finding{f}
}

func quoted(values map[string]string, key string) string {
	if v, ok := values[key]; ok {
		return fmt.Sprintf("%q", v)
	}
	return "not set"
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// verb is the word for several, with an s for one.
func verb(word string, n int) string {
	if n == 1 {
		return word + "s"
	}
	return word
}

func shorten(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
}

// nodeList names nodes, in natural order.
func nodeList(nodes []string, most int) string {
	return shorten(slices.SortedFunc(slices.Values(nodes), natural.Compare), most)
}

func sortEvidence(es []v1alpha1.Evidence) {
	sort.SliceStable(es, func(i, j int) bool {
		if es[i].Source != es[j].Source {
			return es[i].Source < es[j].Source
		}
		return es[i].Text < es[j].Text
	})
}
