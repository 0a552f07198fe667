package source

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Verification is what an edit changes in what Flux applies.
type Verification struct {
	// Values are the differences of the release's merged values, by path.
	Values []Difference
	// Strays are the differences of the release besides its values: its
	// HelmRelease's other fields and its chart. An edit of values has none.
	Strays []Difference
	// Effects are the Kustomizations whose inputs the edit changes, by name. The
	// release's own is among them only when something else in it changes or it
	// could not be built.
	Effects []Effect
}

// Effect is what an edit changes in one Flux Kustomization.
type Effect struct {
	// Kustomization is named as in [Release.Affects].
	Kustomization string
	// Differences, by object and path; none: it was built again and is the same.
	// At most 20; More counts the rest.
	Differences []Difference
	More        int
	// Unknown is why the Kustomization could not be built before the edit; what
	// the edit does to it cannot be told then.
	Unknown string
}

// ErrNoLongerBuilds says that an edit keeps a Kustomization from being built.
var ErrNoLongerBuilds = errors.New("no longer builds with this edit")

// Verify builds again every Flux Kustomization that the given files can change
// (nil content: the file does not exist) and says what differs. The Release
// itself does not change. An error that matches [ErrNoLongerBuilds] means that
// a Kustomization built before and does not now: such an edit must not be
// proposed.
//
// Built, before and after, are those Kustomizations of which an input changes:
// a file that kustomize reads for them (resources, bases, components, patches,
// generators' files, configurations, the kustomization files themselves); their
// own manifest, as their parents patch and substitute it; or a post-build
// variable whose name occurs in one of these. A build is a function of exactly
// these inputs: kustomize and the substitution read nothing else, no clock and
// no network. So for every other Kustomization the input is the same, byte for
// byte, and with it what Flux applies. The names that cannot be told from the
// text, because YAML writes them with escapes, count as occurring.
//
// Every other Cilium release that reads a changed source is compared by its
// merged values. Verify is safe for concurrent use; what the repository builds
// before the edit is remembered.
func (r *Release) Verify(ctx context.Context, files map[string][]byte) (*Verification, error) {
	changed := r.changes(files)
	out := &Verification{}
	if len(changed) == 0 {
		return out, nil
	}
	v := r.verifier(changed)
	for i := range v.twins {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := v.twin(ctx, &v.twins[i], out); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out.Effects, func(a, b Effect) int { return strings.Compare(a.Kustomization, b.Kustomization) })
	return out, nil
}

// changes keeps the files that differ from the tree.
func (r *Release) changes(files map[string][]byte) map[string][]byte {
	changed := map[string][]byte{}
	for f, content := range files {
		f = r.at.t.real(path.Clean(f))
		old, err := r.at.t.read(f)
		if content == nil && !r.at.t.isEntry(f) || content != nil && err == nil && string(old) == string(content) {
			continue
		}
		changed[f] = content
	}
	return changed
}

// verifier compares two states of the repository.
type verifier struct {
	r             *Release
	changed       map[string][]byte
	before, after *world
	twins         []twin
	// objects are the ConfigMaps and Secrets that the edit may change, as
	// KIND/NAME; variables are those of them that variables may come from.
	objects, variables map[string]bool
	// touches says of which Kustomizations an input changes, rebuilt for which
	// of them kustomize has to run again: for the others only variables change.
	touches, rebuilt map[*flux]bool
}

// twin is one Kustomization in both states; one side is nil when it appears or
// vanishes.
type twin struct {
	before, after *flux
	own           bool
	// name is asked for only when there is something to say.
	name func() string
}

func (r *Release) verifier(changed map[string][]byte) *verifier {
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	v := &verifier{r: r, changed: changed, before: r.world(), touches: map[*flux]bool{}, rebuilt: map[*flux]bool{}}
	t := r.at.t.with(changed)
	ix := r.at.ix.with(t, changed)
	g := r.at.g.with(t, changed)
	v.after = newWorld(&search{t: t, ix: ix, g: g, all: r.at.all, opts: r.at.opts})
	if restructures(r.at.t, r.at.ix, ix, changed) {
		v.after.all = fluxes(t, ix, g)
		v.after.b.all = v.after.all
		v.after.subjects = subjectsOf(v.after.search, nil)
	} else {
		v.after.subjects = v.before.subjects
	}
	v.twins = v.match(r.at.k)
	v.objects = dataObjects(v.before.search, v.after.search, changed)
	v.variables = variableObjects(v.before.search, v.after.search, v.objects)
	return v
}

// restructures reports whether the edit can change which Kustomizations there
// are and what reaches them.
func restructures(t *tree, before, after *index, changed map[string][]byte) bool {
	for f, content := range changed {
		if (content != nil) != t.isFile(f) || slices.Contains(kustomizationNames, path.Base(f)) {
			return true
		}
		of := func(d document) bool { return d.file == f }
		for _, docs := range [][]document{before.fluxes, before.syncs, after.fluxes, after.syncs} {
			if slices.ContainsFunc(docs, of) {
				return true
			}
		}
	}
	return false
}

// match pairs what Flux applies before and after the edit.
func (v *verifier) match(own *flux) []twin {
	later := map[string]*flux{}
	for _, s := range v.after.subjects {
		later[s.key()] = s.k
	}
	var twins []twin
	for _, s := range v.before.subjects {
		twins = append(twins, twin{name: v.namer(v.before, s), before: s.k, after: later[s.key()], own: sameFlux(s.k, own)})
		delete(later, s.key())
	}
	for _, s := range v.after.subjects {
		if later[s.key()] == s.k {
			twins = append(twins, twin{name: v.namer(v.after, s), after: s.k})
		}
	}
	return twins
}

func (v *verifier) namer(w *world, s subject) func() string {
	return func() string {
		v.r.at.mu.Lock()
		defer v.r.at.mu.Unlock()
		return w.name(s)
	}
}

// sameFlux compares what two Kustomizations are and who applies them.
func sameFlux(a, b *flux) bool {
	for range maxLineage {
		if a == b {
			return true
		}
		if a == nil || b == nil || a.doc.file != b.doc.file || a.doc.index != b.doc.index || a.path != b.path {
			return false
		}
		a, b = a.parent, b.parent
	}
	return true
}

// twin adds what changes for one Kustomization.
func (v *verifier) twin(ctx context.Context, p *twin, out *Verification) error {
	switch {
	case p.before == nil:
		out.Effects = append(out.Effects, Effect{Kustomization: p.name(), Differences: []Difference{{Object: p.name(), To: true}}})
		return nil
	case p.after == nil && p.own:
		return fmt.Errorf("%w: %s is no longer applied with this edit", ErrNoRelease, p.before)
	case p.after == nil:
		out.Effects = append(out.Effects, Effect{Kustomization: p.name(), Differences: []Difference{{Object: p.name(), From: true}}})
		return nil
	}
	touched := v.touched(p)
	if !touched && !p.own && !v.feeds(ctx, p) {
		return nil
	}
	was, is := v.outcomes(ctx, p)
	switch {
	case is.err != nil && was.err == nil:
		return fmt.Errorf("%s %w: %w", p.name(), ErrNoLongerBuilds, is.err)
	case was.err != nil && (touched || p.own):
		out.Effects = append(out.Effects, Effect{Kustomization: p.name(), Unknown: was.err.Error()})
		return nil
	}
	e := Effect{Kustomization: p.name()}
	diffs, err := v.compare(p, was, is, out)
	if err != nil {
		return err
	}
	e.Differences = diffs[:min(len(diffs), maxDifferences)]
	e.More = len(diffs) - len(e.Differences)
	if touched && !p.own || len(diffs) > 0 {
		out.Effects = append(out.Effects, e)
	}
	return nil
}

func (v *verifier) outcomes(ctx context.Context, p *twin) (was, is *outcome) {
	v.r.at.mu.Lock()
	was = v.before.outcome(ctx, p.before)
	again := was.raw == nil || v.rebuilt[p.before]
	_, eff := v.effective(p.before, p.after)
	v.r.at.mu.Unlock()
	if again {
		return was, v.after.outcome(ctx, p.after)
	}
	return was, v.after.substitute(ctx, p.after, eff, was.raw)
}

// compare gives the differences of the objects, those of the Cilium releases by
// their merged values. What changes the release in question goes to out.
func (v *verifier) compare(p *twin, was, is *outcome, out *Verification) ([]Difference, error) {
	diffs := compareObjects(was.objs, is.objs)
	for _, b := range was.releases {
		a := is.release(b)
		own := p.own && b.Namespace == v.r.Namespace && b.Name == v.r.Name
		object := fmt.Sprintf("HelmRelease %s/%s", b.Namespace, b.Name)
		if a == nil && own {
			return nil, fmt.Errorf("%w: %s/%s is not applied by %s with these files", ErrNoRelease, b.Namespace, b.Name, p.before)
		}
		if a == nil {
			continue
		}
		values := compareValues(object, b.Values, a.Values)
		var strays []Difference
		diffs, strays = carriers(b, own, len(values) > 0, diffs)
		if own {
			out.Values = values
			out.Strays = append(strays, chartDifference(object, b, a)...)
			continue
		}
		diffs = append(diffs, values...)
	}
	slices.SortStableFunc(diffs, func(a, b Difference) int { return strings.Compare(a.Object+"\x00"+a.Path, b.Object+"\x00"+b.Path) })
	return diffs, nil
}

// carriers takes out the differences that only carry a release's values: its
// spec.values and the objects of its valuesFrom. With own, what else differs in
// the HelmRelease is returned apart.
func carriers(r *Release, own, changes bool, diffs []Difference) (rest, strays []Difference) {
	for _, d := range diffs {
		inline := d.Object == r.at.release.label() && (strings.HasPrefix(d.Path, "spec.values.") || d.Path == "spec.values")
		switch {
		case changes && (inline || r.carries(d)):
		case own && d.Object == r.at.release.label() && !inline:
			strays = append(strays, d)
		default:
			rest = append(rest, d)
		}
	}
	return rest, strays
}

// carries reports whether a difference is that of a key which the release reads.
func (r *Release) carries(d Difference) bool {
	for _, p := range r.at.parts {
		if p.Kind == "HelmRelease" || !p.found {
			continue
		}
		id := objectID{kind: p.Kind, namespace: r.Namespace, name: p.Name}
		if d.Object != id.String() && d.Object != p.Kind+" "+p.Name {
			continue
		}
		for _, field := range []string{"data", "stringData"} {
			key := joinPath([]string{field, p.ref.GetValuesKey()})
			if d.Path == key || strings.HasPrefix(d.Path, key+".") {
				return true
			}
		}
	}
	return false
}

func chartDifference(object string, b, a *Release) []Difference {
	x, y := b.Chart, a.Chart
	x.Source, y.Source = "", ""
	if x == y {
		return nil
	}
	show := func(c Chart) string {
		return strings.TrimSpace(c.URL + " " + c.Name + " " + c.Version + " " + c.Digest)
	}
	return []Difference{{Object: object, Path: "chart", From: show(x), To: show(y)}}
}
