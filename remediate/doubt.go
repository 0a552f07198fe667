package remediate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/gitops/render"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// renderKnown renders values. Where variables that cannot be read stand in them
// and the chart refuses that text, the values without them are rendered: the
// chart never sees the text in the cluster. What they decide is taken from the
// live configuration or is not known, see [Run.resolve].
func (r *Run) renderKnown(chart *render.Chart, values map[string]any) (*render.Rendered, error) {
	out, err := chart.Render(values, r.renderOptions())
	if !render.IsRefusal(err) || len(r.release.Unresolved) == 0 {
		return out, err
	}
	known := copyMap(values)
	for _, u := range r.release.Unresolved {
		drop(known, strings.Split(wholeList(u.Path), "."))
	}
	out, again := chart.Render(known, r.renderOptions())
	if again != nil {
		return nil, err
	}
	return out, nil
}

func drop(m map[string]any, keys []string) {
	for _, k := range keys[:len(keys)-1] {
		next, ok := m[k].(map[string]any)
		if !ok {
			return
		}
		m = next
	}
	delete(m, keys[len(keys)-1])
}

// resolve takes the keys that hang on a variable which cannot be read out of a
// configuration, and puts the live values in the place of all that are not known,
// where there are any.
func (r *Run) resolve(cfg *cilium.Config) {
	for key, why := range r.unresolvedKeys(*cfg) {
		delete(cfg.Values, key)
		if cfg.Unknown == nil {
			cfg.Unknown = map[string]string{}
		}
		cfg.Unknown[key] = why
	}
	for key := range cfg.Unknown {
		if r.live == nil {
			break
		}
		delete(cfg.Unknown, key)
		if v, ok := r.live.Values[key]; ok {
			cfg.Values[key] = v
		}
	}
	if cfg.MasqAgent != nil && r.variableIn(*cfg.MasqAgent) != "" {
		cfg.MasqAgent = nil
		if r.live != nil {
			cfg.MasqAgent = r.live.MasqAgent
		}
	}
}

// unresolvedKeys are the keys of cilium-config whose value is not known, with why.
func (r *Run) unresolvedKeys(cfg cilium.Config) map[string]string {
	keys := map[string]string{}
	for k, v := range cfg.Values {
		if name := r.variableIn(v); name != "" {
			keys[k] = "it is ${" + name + "}, which cannot be read"
		}
	}
	for _, u := range r.release.Unresolved {
		for _, f := range cilium.FlagsOfHelm(wholeList(u.Path)) {
			keys[f.Name] = fmt.Sprintf("%s is ${%s}, and %s", wholeList(u.Path), strings.Join(u.Variables, "}, ${"), u.Why)
		}
	}
	return keys
}

// wholeList is the path without the place in a list at its end.
func wholeList(path string) string {
	path, _, _ = strings.Cut(path, "[")
	return path
}

// variableIn is the first variable that cannot be read in a text, or "".
func (r *Run) variableIn(text string) string {
	for _, u := range r.release.Unresolved {
		for _, name := range u.Variables {
			if strings.Contains(text, "${"+name+"}") || strings.Contains(text, "${"+name+":") {
				return name
			}
		}
	}
	return ""
}

// packetParts are all parts of a packet's way.
var packetParts = []cilium.Part{
	cilium.PartAddresses, cilium.PartRoutes, cilium.PartMasquerade, cilium.PartServices,
	cilium.PartPolicy, cilium.PartMTU, cilium.PartEncryption,
}

// sayUnresolved says which values are not known, and whether the live
// configuration stands in. Without it nothing that touches the packets' way can
// be judged.
func (r *Run) sayUnresolved() {
	for _, u := range r.release.Unresolved {
		matters := u.Path == masqConfig || strings.HasPrefix(u.Path, masqConfig+".")
		for _, f := range cilium.FlagsOfHelm(wholeList(u.Path)) {
			for _, part := range packetParts {
				if ok, _ := cilium.Influences(f.Name, part); ok {
					matters = true
				}
			}
		}
		if !matters {
			continue
		}
		names := "${" + strings.Join(u.Variables, "}, ${") + "}"
		if r.live != nil {
			r.unknown = append(r.unknown, fmt.Sprintf("%s: it is %s, and %s; the live cilium-config stands in for it", u.Path, names, u.Why))
			continue
		}
		r.doubt(fmt.Sprintf("%s: it is %s, and %s; give --snapshot DIR or --context NAME, so that the live cilium-config stands in for it", u.Path, names, u.Why))
	}
}

// doubtApproximated says what of the packets' way only the chart tells, where
// there is none.
func (r *Run) doubtApproximated() {
	if r.chart != nil {
		return
	}
	unresolved := r.unresolvedKeys(r.current.Config)
	for _, key := range slices.Sorted(maps.Keys(r.current.Config.Unknown)) {
		if _, said := unresolved[key]; said {
			continue
		}
		for _, part := range []cilium.Part{cilium.PartAddresses, cilium.PartRoutes, cilium.PartMasquerade} {
			if ok, _ := cilium.Influences(key, part); ok {
				r.doubt(fmt.Sprintf("%s of cilium-config: %s; give --chart DIR|TGZ", key, r.current.Config.Unknown[key]))
				break
			}
		}
	}
}

const masqConfig = "ipMasqAgent.config"

// doubt notes something that the diagnosis would rest on and that is not known.
func (r *Run) doubt(what string) {
	r.doubts = append(r.doubts, what)
	r.unknown = append(r.unknown, what)
}

// postObjects are what is read of a render.
var postObjects = [][2]string{{"ConfigMap", "cilium-config"}, {"ConfigMap", "ip-masq-agent"}, {"DaemonSet", "cilium"}}

// postRender applies the release's post-renderers to what is read of a render.
// What cannot be applied to the current values is noted, and holds the plan.
func (r *Run) postRender(out *render.Rendered) (*render.Rendered, error) {
	if len(r.release.PostRenderers) == 0 || r.postUnknown != "" {
		return out, nil
	}
	var objects []map[string]any
	for _, o := range postObjects {
		if obj, ok := out.Find(o[0], o[1]); ok {
			objects = append(objects, obj)
		}
	}
	changed, err := r.release.PostRender(objects)
	if err == nil && !sameNames(objects, changed) {
		err = errors.New("spec.postRenderers rename or remove Cilium's objects")
	}
	switch {
	case err == nil:
		return out.With(changed...), nil
	case r.current.Config.Values == nil:
		r.postUnknown = err.Error()
		r.unknown = append(r.unknown, "what Flux makes of the rendered chart: "+r.postUnknown)
		return out, nil
	}
	return nil, err
}

func sameNames(a, b []map[string]any) bool {
	return slices.Equal(names(a), names(b))
}

func names(objects []map[string]any) []string {
	var out []string
	for _, o := range objects {
		meta, _ := o["metadata"].(map[string]any)
		out = append(out, fmt.Sprint(o["kind"], "/", meta["name"]))
	}
	sort.Strings(out)
	return out
}

// comesThrough refuses a change of values that post-renderers replace again.
func (r *Run) comesThrough(out plan.Rendered, sets []plan.Set) error {
	if len(r.release.PostRenderers) == 0 {
		return nil
	}
	a, b := r.current.Config, out.Config
	sameAgent := (a.MasqAgent == nil) == (b.MasqAgent == nil) && (a.MasqAgent == nil || *a.MasqAgent == *b.MasqAgent)
	if !maps.Equal(a.Values, b.Values) || !sameAgent || r.current.AgentTemplate != out.AgentTemplate {
		return nil
	}
	return fmt.Errorf("spec.postRenderers of the HelmRelease (%s:%d) replace what the chart makes of %s: the change belongs there", r.release.File, r.release.Line, pathsOf(sets))
}

func pathsOf(sets []plan.Set) string {
	var out []string
	for _, s := range sets {
		out = append(out, s.Path)
	}
	return strings.Join(out, ", ")
}

// noteChartVersion says that the chart at hand is not the one the release names.
func (r *Run) noteChartVersion() {
	want := r.release.Chart
	if r.opts.Chart == "" || want.Version == "" || render.Fits(want.Version, r.chart.Version) {
		return
	}
	r.unknown = append(r.unknown, fmt.Sprintf("what chart %s %s, which %s names, renders: --chart gave %s, and configuration and proof are of that version",
		want.Name, want.Version, want.Source, r.chart.Version))
}

// caveats adds to a plan what the steps before it know and the planner does not.
func (r *Run) caveats(p *v1alpha1.Plan) {
	if len(r.doubts) > 0 {
		p.Abstained = "nothing can be judged while values are not known: " + strings.Join(r.doubts, "; ")
	}
	if s := r.release.SuspendedBy; len(s) > 0 {
		p.Delivery.How += fmt.Sprintf(". %s: spec.suspend is set, so Flux reconciles nothing of this until it is resumed (flux resume)", strings.Join(s, ", "))
	}
	if len(r.release.PostRenderers) > 0 && r.postUnknown == "" && r.current.Complete {
		p.Notices = append(p.Notices, v1alpha1.Evidence{Kind: "config", Source: fmt.Sprintf("%s:%d", r.release.File, r.release.Line),
			Text: "spec.postRenderers change what the chart renders; they are applied to cilium-config, ip-masq-agent and the agents' DaemonSet here"})
	}
	r.noteVariables(p)
	r.noteAgreed(p)
	r.noteCopies(p)
	for i := range p.Candidates {
		c := &p.Candidates[i]
		for _, ch := range c.Changes {
			if o := r.release.Where(ch.Path).Opaque; len(o) > 0 && !r.liveAgrees(ch.Path) {
				c.Proof.Notes = append(c.Proof.Notes, fmt.Sprintf("%s comes after this file in the values' order and cannot be read: if it sets %s, this change has no effect", strings.Join(o, ", "), ch.Path))
			}
		}
	}
}

// liveAgrees: the live configuration holds what the values that can be read
// render, so no other source sets something else.
func (r *Run) liveAgrees(path string) bool {
	flags := cilium.FlagsOfHelm(path)
	if r.live == nil || len(flags) == 0 {
		return false
	}
	for _, f := range flags {
		if r.live.Values[f.Name] != r.current.Config.Values[f.Name] {
			return false
		}
	}
	return true
}
