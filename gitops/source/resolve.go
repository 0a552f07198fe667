package source

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fluxcd/pkg/apis/meta"
	"helm.sh/helm/v4/pkg/chart/common"
)

// part is a values source with what is needed to find lines in it.
type part struct {
	ValuesSource
	ref meta.ValuesReference
	// raw is the YAML text before, data after substitution; raw is not used for
	// spec.values.
	raw, data string
	secret    bool
	// found is false when the object or its key is not in the repository.
	found bool
	// patched is true for spec.values that patches have changed, and for a
	// ConfigMap's string that a patch replaces which could not be found.
	patched bool
	// env and format are those of [Place], for a generator's env file or literal.
	env, format string
	// vars are those of another Kustomization that applies the object, else nil.
	vars *variables
}

// resolver reads one built HelmRelease.
type resolver struct {
	*search
	k, eff  *flux
	vars    *variables
	objs    []built
	release built

	obj       map[string]any // release with variables substituted
	namespace string
	missing   []string
	// absent: something that the release names is not in the repository.
	absent bool
}

// resolve returns nil for a HelmRelease of another chart.
func (r *resolver) resolve(ctx context.Context) (*Release, error) {
	obj, err := r.vars.object(r.release.object)
	if err != nil {
		return nil, err
	}
	r.obj = obj
	r.namespace = r.namespaceOf(r.release.id)
	chart, ok := r.chart()
	if !ok {
		return nil, nil
	}
	rel := &Release{Namespace: r.namespace, Name: stringAt(obj, "metadata", "name"), Chart: chart}
	rel.at = state{mu: &sync.Mutex{}, t: r.t, ix: r.ix, g: r.g, all: r.all, k: r.k, eff: r.eff, vars: r.vars, opts: r.opts, release: r.release}
	r.describe(rel)
	parts, err := r.parts(rel.at.doc)
	if err != nil {
		return nil, err
	}
	rel.at.parts = parts
	if rel.Values, err = merge(ctx, r.namespace, rel.Name, specValues(obj), parts); err != nil {
		return nil, err
	}
	for _, p := range parts {
		if isRemotePath(p.File) {
			p.File, p.Line = "", 0
		}
		rel.Sources = append(rel.Sources, p.ValuesSource)
	}
	rel.Unresolved = r.vars.unresolved(rel.Values)
	rel.Missing = append(r.missing, r.b.notesOn(r.k, r.eff)...)
	if r.absent {
		rel.Missing = append(rel.Missing, r.unreadIn(r.eff)...)
	}
	rel.Missing = append(rel.Missing, r.doubts()...)
	slices.Sort(rel.Missing)
	rel.Missing = slices.Compact(rel.Missing)
	return rel, nil
}

// describe fills in where the release stands and how it is applied.
func (r *resolver) describe(rel *Release) {
	if d, ok := r.find(r.release); ok {
		rel.at.doc = d
		rel.File, rel.Line, rel.Document = d.file, d.line, d.index
	} else {
		rel.File = r.release.origin.Path
	}
	rel.TargetNamespace = stringAt(r.obj, "spec", "targetNamespace")
	if rel.TargetNamespace == "" {
		rel.TargetNamespace = r.namespace
	}
	rel.ReleaseName = releaseName(rel, stringAt(r.obj, "spec", "targetNamespace"), stringAt(r.obj, "spec", "releaseName"))
	spec, _ := r.obj["spec"].(map[string]any)
	if suspended, _ := spec["suspend"].(bool); suspended {
		rel.SuspendedBy = append(rel.SuspendedBy, fmt.Sprintf("HelmRelease %s/%s (%s:%d)", rel.Namespace, rel.Name, rel.File, rel.Line))
	}
	for _, k := range r.eff.lineage() {
		if k.doc.node != nil {
			rel.Kustomizations = append(rel.Kustomizations, k.describe())
			if suspended, _ := k.spec["suspend"].(bool); suspended {
				rel.SuspendedBy = append(rel.SuspendedBy, fmt.Sprintf("%s (%s:%d)", k, k.doc.file, k.doc.line))
			}
		}
	}
	rel.Suspended = len(rel.SuspendedBy) > 0
	rel.PostRenderers = postRenderers(spec["postRenderers"])
}

// releaseName is helm-controller's default: TARGETNAMESPACE-NAME when a target
// namespace is set, else NAME.
func releaseName(rel *Release, target, name string) string {
	switch {
	case name != "":
		return name
	case target != "":
		return target + "-" + rel.Name
	}
	return rel.Name
}

func (r *resolver) namespaceOf(id objectID) string {
	if id.namespace != "" {
		return id.namespace
	}
	return "default"
}

// find returns the document that an object was built from.
func (r *resolver) find(o built) (document, bool) {
	if o.origin.Path == "" {
		return document{}, false
	}
	src, err := r.t.read(o.origin.Path)
	if err != nil {
		return document{}, false
	}
	docs, err := parse(o.origin.Path, src)
	if err != nil {
		return document{}, false
	}
	var best document
	for _, d := range docs {
		if d.id.kind == o.id.kind && o.madeFrom(d.id.name) && (best.node == nil || len(d.id.name) > len(best.id.name)) {
			best = d
		}
	}
	best.file = r.t.real(best.file)
	return best, best.node != nil
}

// parts lists the values sources in merge order.
func (r *resolver) parts(doc document) ([]part, error) {
	var refs []meta.ValuesReference
	spec, _ := r.obj["spec"].(map[string]any)
	if err := convert(spec["valuesFrom"], &refs); err != nil {
		return nil, fmt.Errorf("spec.valuesFrom: %w", err)
	}
	var parts []part
	for _, ref := range refs {
		p, err := r.referenced(ref)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	own, err := r.inline(doc)
	if err != nil {
		return nil, err
	}
	if len(own.Values) > 0 || len(parts) == 0 {
		parts = append(parts, own)
	}
	for i := range parts {
		parts[i].onlyOurs(r.t)
	}
	return parts, nil
}

// onlyOurs keeps files of other repositories from being edited.
func (p *part) onlyOurs(t *tree) {
	if why := t.notOurs(p.File); why != "" && p.Writable {
		p.Writable, p.Why = false, why
	}
}

// inline is spec.values.
func (r *resolver) inline(doc document) (part, error) {
	p := part{found: true}
	p.Kind, p.Name = "HelmRelease", r.release.id.name
	p.YAMLPath = doc.path("spec", "values")
	p.Values = specValues(r.obj)
	if doc.node == nil {
		p.Why = "the HelmRelease is generated, not a manifest of the repository"
		return p, nil
	}
	p.File, p.Document, p.Writable = doc.file, doc.index, true
	p.Line = keyLine(doc.node, "spec", "values")
	if p.Line == 0 {
		p.Line = doc.line
	}
	var raw map[string]any
	if err := decode(lookup(doc.node, "spec", "values"), &raw); err != nil {
		return p, atLine(doc.file, err)
	}
	p.patched = !equalJSON(raw, specValues(r.release.object))
	for _, name := range r.vars.unknown(asYAML(specValues(r.release.object))) {
		r.miss("variable %s in spec.values: %s", name, strings.Join(r.vars.opaque, "; "))
	}
	return p, nil
}

func (r *resolver) miss(format string, args ...any) {
	r.missing = append(r.missing, fmt.Sprintf(format, args...))
}

const notInRepository = "it is not in the repository"

// referenced resolves one item of valuesFrom.
func (r *resolver) referenced(ref meta.ValuesReference) (part, error) {
	p := part{ref: ref, secret: ref.Kind == "Secret"}
	p.Kind, p.Name, p.TargetPath = ref.Kind, ref.Name, ref.TargetPath
	where := fmt.Sprintf("%s %s/%s key %s", ref.Kind, r.namespace, ref.Name, ref.GetValuesKey())
	if !r.fromBuild(&p) && !r.fromTree(&p) {
		if p.Why == "" {
			p.Why = notInRepository
		}
		if !ref.Optional || p.Why != notInRepository {
			r.miss("%s: %s", where, p.Why)
			r.absent = r.absent || p.Why == notInRepository
		}
		p.Unreadable = !ref.Optional || p.secret || p.Why != notInRepository
		return p, nil
	}
	p.found = true
	for _, name := range r.vars.unknown(p.raw) {
		r.miss("variable %s in %s: %s", name, where, strings.Join(r.vars.opaque, "; "))
	}
	return p, p.read()
}

// read parses the part's data into its values.
func (p *part) read() error {
	if p.TargetPath != "" {
		return nil
	}
	vals, err := common.ReadValues([]byte(p.data))
	if err != nil {
		where := p.File
		if where == "" || p.Block {
			where = fmt.Sprintf("%s %s key %s", p.Kind, p.Name, p.ref.GetValuesKey())
			if p.File != "" {
				where = fmt.Sprintf("%s (%s:%d)", where, p.File, p.Line)
			}
		}
		if p.secret {
			return fmt.Errorf("%s is not valid YAML", where)
		}
		return p.parseError(where, err)
	}
	p.Values = vals
	return nil
}

// parseError names the line of the file where that can be told.
func (p *part) parseError(where string, err error) error {
	if _, perr := parse(p.File, []byte(p.data)); perr != nil && !p.Block && p.File != "" {
		return perr
	}
	if line := templateLine(p.data); line > 0 && p.File != "" {
		if p.Block {
			line += p.Line
		}
		return fmt.Errorf("%s:%d: the values hold a template expression ({{ … }}), which Flux does not render: quote it, or render the template first; remediate edits only plain YAML", p.File, line)
	}
	return fmt.Errorf("%s: not valid YAML: %w", where, err)
}

// templateLine is the first line with an unquoted template expression, or 0.
func templateLine(src string) int {
	for i, l := range strings.Split(src, "\n") {
		l, _, _ = strings.Cut(l, " #")
		if at := strings.Index(l, "{{"); at >= 0 && !strings.ContainsAny(l[:at], `'"#`) {
			return i + 1
		}
	}
	return 0
}

func stringAt(m map[string]any, fields ...string) string {
	var v any = m
	for _, f := range fields {
		mm, _ := v.(map[string]any)
		v = mm[f]
	}
	s, _ := v.(string)
	return s
}

// specValues is spec.values as helm-controller reads it: through JSON.
func specValues(obj map[string]any) map[string]any {
	spec, _ := obj["spec"].(map[string]any)
	var out map[string]any
	if convert(spec["values"], &out) != nil || out == nil {
		return map[string]any{}
	}
	return out
}

func convert(from, into any) error {
	if from == nil {
		return nil
	}
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
