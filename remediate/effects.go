package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/source"
)

// maxEffectValue bounds how much of a value a sentence shows, in characters.
const maxEffectValue = 80

// effects builds again what the files can change. An edit that changes more of
// the release than its values, or that keeps a Kustomization from being built,
// is refused.
func (r *Run) effects(files map[string][]byte) ([]v1alpha1.Effect, error) {
	v, err := r.release.Verify(context.Background(), files)
	if errors.Is(err, source.ErrNoLongerBuilds) {
		return nil, fmt.Errorf("the rebuilt tree refuses it: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("build the tree with the edit: %w", err)
	}
	if len(v.Strays) > 0 {
		return nil, errors.New("it changes more of the release than its values: " + strings.Join(sentences(v.Strays, 0), "; "))
	}
	var out []v1alpha1.Effect
	for _, e := range v.Effects {
		out = append(out, v1alpha1.Effect{Kustomization: e.Kustomization, Changes: sentences(e.Differences, e.More), Unknown: e.Unknown})
	}
	return out, nil
}

// sentences words differences: "HelmRelease kube-system/cilium: MTU 1400 → 1500".
func sentences(ds []source.Difference, more int) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, sentence(d))
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func sentence(d source.Difference) string {
	switch {
	case d.Path == "" && d.From == nil:
		return d.Object + " is new"
	case d.Path == "" && d.To == nil:
		return d.Object + " goes"
	case d.From == nil:
		return fmt.Sprintf("%s: %s is set to %s", d.Object, d.Path, effectValue(d.Path, d.To))
	case d.To == nil:
		return fmt.Sprintf("%s: %s (%s) goes", d.Object, d.Path, effectValue(d.Path, d.From))
	}
	from, to := effectValue(d.Path, d.From), effectValue(d.Path, d.To)
	if from == to {
		return fmt.Sprintf("%s: %s changes %s", d.Object, d.Path, from)
	}
	return fmt.Sprintf("%s: %s %s → %s", d.Object, d.Path, from, to)
}

// effectValue shows a value that is no credential, shortened.
func effectValue(path string, v any) string {
	s := shown(path, v)
	if s == notShown {
		return s
	}
	if _, text := v.(string); !text {
		if b, err := json.Marshal(v); err == nil {
			s = string(b)
		}
	}
	if runes := []rune(s); len(runes) > maxEffectValue {
		s = string(runes[:maxEffectValue]) + "…"
	}
	return s
}
