package remediate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// state is one of the two that are compared.
type state struct {
	v1alpha1.CheckState
	files    map[string][]byte
	stated   *statements
	releases []*source.Release
	// failed could not be built while others could; err is why nothing was found.
	failed []failure
	err    error
}

type failure struct {
	cluster string
	err     error
}

func newState(s v1alpha1.CheckState) *state { return &state{CheckState: s, stated: &statements{}} }

// builds: all that there is could be built.
func (s *state) builds() bool {
	return len(s.failed) == 0 && (s.err == nil || nothingThere(s.err))
}

// why is the error that kept a cluster's releases from being built, or nil.
func (s *state) why(cluster string) error {
	for _, f := range s.failed {
		if f.cluster == cluster {
			return f.err
		}
	}
	if s.err != nil && !nothingThere(s.err) {
		return s.err
	}
	return nil
}

// pair is one release in both states; a missing side is nil.
type pair struct {
	base, head *source.Release
	// earlier: base comes from a state before the base, which could not be built.
	earlier bool
}

// match pairs the releases of two states: by cluster, the Kustomization's path
// and name; then by cluster and name; then by name alone; of several alike first
// those in the same file, and what cannot be told apart in the order found.
func match(base, head []*source.Release) []pair {
	inFile := func(key func(*source.Release) string) func(*source.Release) string {
		return func(r *source.Release) string { return fmt.Sprintf("%s\x00%s\x00%d", key(r), r.File, r.Document) }
	}
	applied := func(r *source.Release) string {
		return r.ClusterPath() + "\x00" + r.AppliedFrom() + "\x00" + releaseName(r)
	}
	cluster := func(r *source.Release) string { return r.ClusterPath() + "\x00" + releaseName(r) }
	var out []pair
	for _, p := range pairUp(base, head,
		[]func(*source.Release) string{inFile(applied), applied},
		[]func(*source.Release) string{inFile(cluster), cluster, inFile(releaseName), releaseName}) {
		out = append(out, pair{base: p[0], head: p[1]})
	}
	return out
}

// pairUp pairs what has the same key, the first key before the next: by an exact
// key in the order found, by a loose one only where it is unambiguous. Each pair
// is of base and head, in the order of head; then come those of base alone.
func pairUp[T comparable](base, head []T, exact, loose []func(T) string) [][2]T {
	var none T
	of, taken := map[T]T{}, map[T]bool{none: true}
	for n, key := range slices.Concat(exact, loose) {
		left := byKey(base, key, func(b T) bool { return !taken[b] })
		for k, hs := range byKey(head, key, func(h T) bool { return of[h] == none }) {
			bs := left[k]
			if n >= len(exact) && (len(hs) != 1 || len(bs) != 1) {
				continue
			}
			for i := range min(len(hs), len(bs)) {
				of[hs[i]], taken[bs[i]] = bs[i], true
			}
		}
	}
	var out [][2]T
	for _, h := range head {
		out = append(out, [2]T{of[h], h})
	}
	for _, b := range base {
		if !taken[b] {
			out = append(out, [2]T{b, none})
		}
	}
	return out
}

func byKey[T comparable](all []T, key func(T) string, free func(T) bool) map[string][]T {
	out := map[string][]T{}
	for _, r := range all {
		if free(r) {
			out[key(r)] = append(out[key(r)], r)
		}
	}
	return out
}

// fill gives releases that only the checked state has a counterpart from an
// earlier state.
func fill(pairs []pair, earlier []*source.Release) []pair {
	var alone []*source.Release
	for _, p := range pairs {
		if p.base == nil {
			alone = append(alone, p.head)
		}
	}
	was := map[*source.Release]*source.Release{}
	for _, p := range match(earlier, alone) {
		if p.head != nil {
			was[p.head] = p.base
		}
	}
	for i, p := range pairs {
		if p.base == nil && was[p.head] != nil {
			pairs[i] = pair{base: was[p.head], head: p.head, earlier: true}
		}
	}
	return pairs
}

func releaseName(r *source.Release) string { return r.Namespace + "/" + r.Name }

// judged is one release in one state.
type judged struct {
	run *Run
	// findings of the state, without those that only observations show.
	findings []v1alpha1.Finding
	// err is why the state could not be judged: the repository's own fault, or,
	// when hidden, nobody's.
	err    error
	hidden bool
	// withoutChart: the other state's chart was not to be had, so that only what
	// the values alone show can be compared.
	withoutChart bool
}

// hidden: Flux may well read what is encrypted, made by a template, or too large
// to be read here.
func hidden(err error) bool {
	var refused *edit.Error
	return errors.As(err, &refused) && !errors.Is(err, edit.ErrNotYAML)
}

// newRun prepares a run for one release of a state.
func (c *check) newRun(s *state) *Run {
	r := &Run{opts: c.opts.Options, repo: c.first.repo, root: c.first.root, origin: c.first.origin, edits: newEditLog(),
		files: s.files, given: c.given, charts: c.charts, stated: s.stated}
	r.opts.Cluster, r.opts.Snapshot = nil, ""
	c.runs = append(c.runs, r)
	return r
}

// prepare takes the release as far as its facts; what it returns as err is not
// the repository's fault.
func (c *check) prepare(ctx context.Context, s *state, rel *source.Release) (*judged, error) {
	j := &judged{run: c.newRun(s)}
	err := j.run.take(rel)
	var fault *settingsError
	switch {
	case errors.As(err, &fault) && s == c.head:
		return nil, err
	case errors.As(err, &fault):
		c.unknown["what "+source.SettingsFile+" of the base states, for it cannot be read: "+err.Error()] = true
	case err != nil:
		j.err, j.hidden = err, hidden(err)
		return j, nil
	}
	if err := j.run.observe(ctx); err != nil {
		return nil, err
	}
	j.run.snapshot = withoutObservations(j.run.snapshot)
	return j, j.run.stateFacts(ctx)
}

// run renders and detects.
func (c *check) run(ctx context.Context, j *judged) error {
	if j.err != nil {
		return nil
	}
	r := j.run
	r.withoutChart = j.withoutChart
	if err := r.renderCurrent(ctx); err != nil {
		if r.chart == nil {
			return err
		}
		j.err = err
		return nil
	}
	if err := r.detect(ctx); err != nil {
		return err
	}
	// A change is not live yet: that the cluster runs something else says nothing.
	r.findings = slices.DeleteFunc(r.findings, func(f v1alpha1.Finding) bool {
		return f.Signature == signature.LiveConfigDiffers || f.Signature == signature.ConfigNotActive
	})
	j.findings = r.findings
	return nil
}

// sameFacts: two prepared runs would give the same findings.
func sameFacts(a, b *judged) bool {
	if a.err != nil || b.err != nil {
		return false
	}
	x, y := a.run, b.run
	cx, cy := x.release.Chart, y.release.Chart
	cx.Source, cy.Source = "", ""
	return cx == cy && !(cx.Local && x.differsFrom(y, cx.Path)) &&
		x.release.ReleaseName == y.release.ReleaseName && x.release.TargetNamespace == y.release.TargetNamespace &&
		reflect.DeepEqual(normal(x.release.Values), normal(y.release.Values)) &&
		reflect.DeepEqual(x.release.Unresolved, y.release.Unresolved) &&
		reflect.DeepEqual(x.release.PostRenderers, y.release.PostRenderers) &&
		reflect.DeepEqual(x.release.Missing, y.release.Missing) &&
		x.scope.CiliumVersion.Value == y.scope.CiliumVersion.Value && x.scope.Snapshot.Value == y.scope.Snapshot.Value &&
		!(x.scope.Snapshot.Value != "" && x.differsFrom(y, x.scope.Snapshot.Value)) &&
		reflect.DeepEqual(ranges(x), ranges(y))
}

// ranges are the stated facts of a run without their places.
func ranges(r *Run) [][]string {
	s := r.snapshot
	out := make([][]string, 4)
	for _, c := range s.PodPools {
		out[0] = append(out[0], c.Prefix.String()+c.IPAM)
	}
	for _, c := range s.ServiceCIDRs {
		out[1] = append(out[1], c.Prefix.String())
	}
	for _, c := range s.NodeCIDRs {
		out[2] = append(out[2], c.Prefix.String())
	}
	for _, f := range []string{cidr.IPv6, cidr.IPv4} {
		out[3] = append(out[3], fmt.Sprint(s.NodeMaskSize[f].Known, s.NodeMaskSize[f].Value))
	}
	return out
}

// differsFrom: two states of one working tree differ below a directory.
func (r *Run) differsFrom(o *Run, dir string) bool {
	for f := range changedFiles(r.files, o.files) {
		if below(f, dir) {
			return true
		}
	}
	return false
}
