package remediate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
)

// unreadable names the sources of values that cannot be read, as
// "Secret kube-system/x".
func (r *Run) unreadable() []string {
	var out []string
	for _, s := range r.release.Sources {
		if s.Unreadable {
			out = append(out, fmt.Sprintf("%s %s/%s", s.Kind, r.release.Namespace, s.Name))
		}
	}
	return out
}

// weighUnreadable holds the render without the sources that cannot be read
// against the live configuration. Where they are equal, those sources set
// nothing that matters; where they differ, or nothing live is known, what they
// set is unknown, and where that decides the packets' way nothing is judged.
func (r *Run) weighUnreadable() {
	names := r.unreadable()
	if len(names) == 0 || r.renderError != "" || !r.current.Complete {
		return
	}
	who := strings.Join(names, ", ")
	if r.live == nil {
		r.unknown = append(r.unknown, fmt.Sprintf("what %s sets, which cannot be read; with --snapshot DIR or --context NAME the live cilium-config tells whether it matters", who))
		return
	}
	differs, decides := r.liveDiffers()
	switch {
	case len(differs) == 0:
		r.agreed = who
		r.unknown = slices.DeleteFunc(r.unknown, func(u string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(u, "values: "+n+" key ") })
		})
	case len(decides) > 0:
		r.doubt(fmt.Sprintf("what %s sets, which cannot be read: the live cilium-config differs in %s from what the other values render", who, strings.Join(differs, ", ")))
	default:
		r.unknown = append(r.unknown, fmt.Sprintf("what %s sets, which cannot be read: the live cilium-config differs in %s, which does not decide the packets' way", who, strings.Join(differs, ", ")))
	}
}

// liveDiffers lists the keys in which the live configuration is not what was
// rendered, and those of them that decide the packets' way. Values are not
// named: they may come from a Secret.
func (r *Run) liveDiffers() (differs, decides []string) {
	a, b := r.current.Config, *r.live
	keys := map[string]bool{}
	for k, v := range a.Values {
		if other, ok := b.Values[k]; !ok || other != v {
			keys[k] = true
		}
	}
	for k := range b.Values {
		if _, ok := a.Values[k]; !ok {
			keys[k] = true
		}
	}
	for k := range keys {
		differs = append(differs, k)
		if slices.ContainsFunc(packetParts, func(p cilium.Part) bool { ok, _ := cilium.Influences(k, p); return ok }) {
			decides = append(decides, k)
		}
	}
	slices.Sort(differs)
	slices.Sort(decides)
	if a.MasqAgent != nil && b.MasqAgent != nil && *a.MasqAgent != *b.MasqAgent {
		differs, decides = append(differs, "ip-masq-agent"), append(decides, "ip-masq-agent")
	}
	return differs, decides
}

// noteAgreed says that sources which cannot be read set nothing that matters.
func (r *Run) noteAgreed(p *v1alpha1.Plan) {
	if r.agreed == "" {
		return
	}
	p.Notices = append(p.Notices, v1alpha1.Evidence{Kind: "config", Source: fmt.Sprintf("%s:%d", r.release.File, r.release.Line),
		Text: r.agreed + " cannot be read; the live cilium-config is what the other values render, so nothing of it matters here"})
}
