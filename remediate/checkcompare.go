package remediate

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/gitops/source"
)

// comparison is one release before and after.
type comparison struct {
	c          *check
	base, head *judged
	// changed are the merged values that differ.
	changed []v1alpha1.ValueChange
	flows   *v1alpha1.FlowCounts
	// written is where a person writes each of them: file:line.
	written map[string]string

	problems []v1alpha1.Problem
	repairs  []v1alpha1.Repair
	// masked are the families in which the change only hides a fault.
	masked map[string]bool
	// advice of the planner by signature and family, for each state, once asked for.
	advice map[*judged]map[identity]string
}

// identity tells findings of two states apart.
type identity struct{ signature, family, about string }

func identityOf(f *v1alpha1.Finding) identity { return identity{f.Signature, f.Family, f.About} }

// pair judges one release and files what the comparison finds.
func (c *check) pair(ctx context.Context, p pair) error {
	if p.head == nil {
		c.gone(p.base)
		return nil
	}
	x := &comparison{c: c, written: map[string]string{}, masked: map[string]bool{}, advice: map[*judged]map[identity]string{}}
	var err error
	if x.head, err = c.prepare(ctx, c.head, p.head); err != nil {
		return err
	}
	if err = c.run(ctx, x.head); err != nil {
		return err
	}
	if x.head.hidden {
		c.hide(p.head, x.head.err)
		return nil
	}
	if err := x.before(ctx, p); err != nil {
		return err
	}
	x.compare(ctx, p)
	c.file(x, p)
	return ctx.Err()
}

// before judges the release's base, unless nothing that matters changed.
func (x *comparison) before(ctx context.Context, p pair) error {
	if p.base == nil {
		return nil
	}
	s := x.c.base
	if p.earlier {
		s = x.c.earlier
	}
	base, err := x.c.prepare(ctx, s, p.base)
	if err != nil {
		return err
	}
	x.base = base
	if sameFacts(base, x.head) {
		base.findings = x.head.findings
		return nil
	}
	if err := x.c.run(ctx, base); err != nil || base.err != nil || x.head.err != nil {
		return err
	}
	return x.level(ctx, p, s)
}

// level judges both states by their values alone where only one chart is to be
// had: a render beside an approximation would show differences that are none.
func (x *comparison) level(ctx context.Context, p pair, s *state) error {
	if (x.base.run.chart == nil) == (x.head.run.chart == nil) {
		return nil
	}
	again := func(j **judged, s *state, rel *source.Release) error {
		if (*j).run.chart == nil {
			return nil
		}
		next, err := x.c.prepare(ctx, s, rel)
		if err != nil {
			return err
		}
		next.withoutChart = true
		*j = next
		return x.c.run(ctx, next)
	}
	if err := again(&x.base, s, p.base); err != nil {
		return err
	}
	return again(&x.head, x.c.head, p.head)
}

func (x *comparison) compare(ctx context.Context, p pair) {
	switch {
	case x.head.err != nil:
		x.doesNotBuild(x.head.err, x.base == nil || x.base.err == nil)
		return
	case x.unread() != nil:
		x.doesNotBuild(x.unread(), true)
	case x.base != nil && p.base.Live() && !p.head.Live():
		x.c.removed(p.base)
		return
	case x.base != nil && x.base.err != nil && !x.base.hidden:
		x.repair(v1alpha1.Repair{Signature: signature.ReleaseDoesNotBuild, Severity: v1alpha1.SeverityCritical,
			Summary: "the values can be read again; before: " + x.base.err.Error()})
	}
	x.values()
	x.findings(ctx)
	x.repaired(ctx)
	x.broken()
	x.unseen()
}

// unread is why Flux can no longer build what applies the release, though the
// release itself could be read here.
func (x *comparison) unread() error {
	if x.base == nil {
		return nil
	}
	was, is := x.base.run.release, x.head.run.release
	if err := x.c.unparsable(was, is); err != nil {
		return err
	}
	if err := x.c.leadsNowhere(was); err != nil && !is.Live() {
		return err
	}
	if faults := is.Faults(); len(faults) > 0 && len(was.Faults()) == 0 {
		return faults[0]
	}
	return nil
}

// findings sorts the findings of the checked state into introduced and left.
func (x *comparison) findings(ctx context.Context) {
	was := map[identity]v1alpha1.Finding{}
	if x.baseJudged() {
		for _, f := range x.base.findings {
			if old, ok := was[identityOf(&f)]; !ok || f.Severity.Rank() > old.Severity.Rank() {
				was[identityOf(&f)] = f
			}
		}
	}
	for i := range x.head.findings {
		f := &x.head.findings[i]
		old, both := was[identityOf(f)]
		p := x.problem(f)
		p.Introduced = !both || f.Severity.Rank() > old.Severity.Rank()
		if f.Signature == signature.ValuesKeyHasNoEffect {
			p.Introduced = x.deadKeyIntroduced(f.About, both)
			if p.Introduced && !x.touches(f.About) && x.wasDefault(f.About) {
				continue
			}
		}
		if f.Confidence == v1alpha1.ConfidencePossible {
			if !p.Introduced {
				continue
			}
			p.Severity = v1alpha1.SeverityInfo
		}
		if p.Introduced {
			p.Advice = x.adviceFor(ctx, f)
		}
		for _, cause := range x.problems {
			if f.CausedBy != "" && cause.Signature == f.CausedBy {
				p.File, p.Line = cause.File, cause.Line
			}
		}
		x.problems = append(x.problems, p)
	}
}

func (x *comparison) baseJudged() bool { return x.base != nil && x.base.err == nil }

// deadKeyIntroduced: the change sets or alters the key, or a chart that read it
// gave way to one that does not.
func (x *comparison) deadKeyIntroduced(key string, both bool) bool {
	if x.base == nil || x.touches(key) {
		return true
	}
	return !both && x.baseJudged() && x.base.run.chart != nil && x.base.run.renderError == ""
}

// wasDefault: the base's chart had the value by itself, as a copy of a chart's
// values.yaml has. That the next chart no longer reads it takes nothing away.
func (x *comparison) wasDefault(key string) bool {
	if !x.baseJudged() || x.base.run.chart == nil {
		return false
	}
	is, found := lookupPath(x.head.run.release.Values, key)
	own, known := x.base.run.chart.Default(key)
	return found && known && reflect.DeepEqual(normal(is), normal(own))
}

// touches: the change sets or alters the value or one below it.
func (x *comparison) touches(path string) bool {
	return slices.ContainsFunc(x.changed, func(v v1alpha1.ValueChange) bool {
		return v.To != nil && (v.Path == path || strings.HasPrefix(v.Path, path+".") || strings.HasPrefix(path, v.Path+"."))
	})
}

// problem is a finding of the checked state as a problem.
func (x *comparison) problem(f *v1alpha1.Finding) v1alpha1.Problem {
	p := v1alpha1.Problem{Signature: f.Signature, Severity: f.Severity, Confidence: f.Confidence, Family: f.Family, Summary: f.Summary,
		Evidence: slices.Clone(f.Evidence)}
	x.sign(&p)
	p.File, p.Line = x.place(f)
	return p
}

// sign says which release a problem is about.
func (x *comparison) sign(p *v1alpha1.Problem) {
	rel := x.head.run.release
	p.Release, p.ClusterPath = releaseName(rel), rel.ClusterPath()
	if p.Evidence == nil {
		p.Evidence = []v1alpha1.Evidence{}
	}
}

func (x *comparison) repair(r v1alpha1.Repair) {
	rel := x.head.run.release
	r.Release, r.ClusterPath = releaseName(rel), rel.ClusterPath()
	x.repairs = append(x.repairs, r)
}
