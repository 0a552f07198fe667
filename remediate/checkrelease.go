package remediate

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/source"
)

// file adds what the comparison of one release found to the result.
func (c *check) file(x *comparison, p pair) {
	c.problems = append(c.problems, x.problems...)
	c.repairs = append(c.repairs, x.repairs...)
	in := "both"
	if p.base == nil {
		in = "head"
	}
	rel := checked(p.head, in)
	if x.head.run.chart != nil {
		rel.Version = x.head.run.chart.Version
	}
	if rel.Changed = x.changed; rel.Changed == nil {
		rel.Changed = []v1alpha1.ValueChange{}
	}
	rel.Flows = x.flows
	c.releases = append(c.releases, rel)
	for _, u := range x.head.run.unknown {
		c.unknown[u] = true
	}
	if f := x.head.run.facts; f != nil {
		for _, family := range f.Families() {
			if pool, _ := f.Snapshot.Pool(f.Settings.IPAM, family); len(pool) == 0 {
				c.unknown[family+" pod CIDRs"] = true
			}
		}
	}
	if x.base != nil && x.base.err == nil && x.head.err == nil {
		c.listen(x.base.run, x.head.run)
	}
}

// hide notes a release that cannot be judged and is no fault of the change.
func (c *check) hide(r *source.Release, err error) {
	c.unknown["whether "+releaseName(r)+" of "+r.ClusterPath()+" is sound: "+oneLine(err.Error())] = true
	c.unjudged = err
}

func checked(r *source.Release, in string) v1alpha1.CheckedRelease {
	return v1alpha1.CheckedRelease{Release: releaseName(r), ClusterPath: r.ClusterPath(), Chart: r.Chart.Name, Version: r.Chart.Version,
		File: r.File, Line: r.Line, In: in, Changed: []v1alpha1.ValueChange{}}
}

// doesNotBuild reports a release whose values cannot be had.
func (x *comparison) doesNotBuild(err error, introduced bool) {
	p := unbuildable(x.head.run.release, err, introduced)
	x.problems = append(x.problems, p)
}

func unbuildable(r *source.Release, err error, introduced bool) v1alpha1.Problem {
	p := v1alpha1.Problem{Introduced: introduced, Release: releaseName(r), ClusterPath: r.ClusterPath(), File: r.File, Line: r.Line}
	fault(&p, err)
	return p
}

// fault fills in a problem about something that cannot be built.
func fault(p *v1alpha1.Problem, err error) {
	text := oneLine(err.Error())
	p.Signature, p.Severity, p.Confidence = signature.ReleaseDoesNotBuild, v1alpha1.SeverityCritical, v1alpha1.ConfidenceConfirmed
	p.Summary = "Flux cannot build this release: " + text
	p.Advice = "nothing of it is applied until it builds again; flux build kustomization shows the same error"
	p.Evidence = []v1alpha1.Evidence{}
	if m := errorPlace.FindStringSubmatch(text); m != nil {
		p.File = m[1]
		p.Line, _ = strconv.Atoi(m[2])
		p.Evidence = append(p.Evidence, v1alpha1.Evidence{Kind: "config", Text: text, Source: m[1] + ":" + m[2]})
	}
}

// errorPlace finds file:line in an error.
var errorPlace = regexp.MustCompile(`(?:^|[\s("'])([\w.+@/-]+\.(?:ya?ml|json|env|txt)):(\d+)\b`)

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// gone reports a release of the base that the checked state does not have: it
// cannot be built, or it is no longer applied.
func (c *check) gone(r *source.Release) {
	c.releases = append(c.releases, checked(r, "base"))
	err := c.head.why(r.ClusterPath())
	if err == nil {
		err = c.unparsable(r, nil)
	}
	if err == nil {
		err = c.leadsNowhere(r)
	}
	if err != nil {
		c.problems = append(c.problems, unbuildable(r, err, true))
		return
	}
	c.removed(r)
}

// leadsNowhere: the Kustomization that applied the release is as it was, and the
// directory that it names is gone. Flux fails on that, and prunes nothing.
func (c *check) leadsNowhere(r *source.Release) error {
	file, line := r.AppliedBy()
	if file == "" || c.changed[file] {
		return nil
	}
	if !c.emptied(r.AppliedFrom()) {
		return nil
	}
	return fmt.Errorf("%s:%d: spec.path names %s, which is no longer there", file, line, r.AppliedFrom())
}

func (c *check) removed(r *source.Release) {
	p := v1alpha1.Problem{Signature: signature.ReleaseRemoved, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidencePredicted, Introduced: true,
		Release: releaseName(r), ClusterPath: r.ClusterPath(),
		Summary: fmt.Sprintf("HelmRelease %s is no longer part of what Flux applies from %s: with pruning on, Flux deletes it and Helm uninstalls Cilium",
			releaseName(r), r.ClusterPath()),
		Evidence: []v1alpha1.Evidence{{Kind: "config", Text: "before: " + strings.Join(append([]string{"HelmRelease " + releaseName(r)}, r.Kustomizations...), ", applied by "),
			Source: fmt.Sprintf("%s:%d", r.File, r.Line)}},
		Advice: "to hand Cilium over to something else, first set spec.prune: false or the annotation kustomize.toolkit.fluxcd.io/prune: disabled",
	}
	if b, err := c.headFile(r.File); err == nil && b != nil {
		p.File, p.Line = r.File, r.Line
	}
	if c.emptied(r.ClusterPath()) {
		p.Severity = v1alpha1.SeverityInfo
		p.Summary = fmt.Sprintf("nothing is left of cluster %s: a Flux that still follows that path fails, prunes nothing and leaves HelmRelease %s as it is", r.ClusterPath(), releaseName(r))
		p.Advice = "nothing to do where the cluster is gone or follows another path or repository"
	}
	c.problems = append(c.problems, p)
}

// emptied: a directory of the base is gone from the checked state.
func (c *check) emptied(dir string) bool {
	head := Run{root: c.first.root, files: c.head.files}
	names, err := head.filesBelow(dir)
	return err == nil && len(names) == 0
}

func (c *check) headFile(name string) ([]byte, error) {
	r := Run{root: c.first.root, files: c.head.files}
	return r.readFile(name)
}

func (c *check) baseFile(name string) ([]byte, error) {
	r := Run{root: c.first.root, files: c.base.files}
	return r.readFile(name)
}

// unparsable finds a file that the change leaves as no YAML and that the
// Kustomizations which apply the release read.
func (c *check) unparsable(base, head *source.Release) error {
	for _, f := range sortedKeys(c.changed) {
		if !strings.HasSuffix(f, ".yaml") && !strings.HasSuffix(f, ".yml") {
			continue
		}
		is, err := c.headFile(f)
		if err != nil {
			continue
		}
		_, parseErr := edit.Documents(is)
		if parseErr == nil || !reads(base, f) && !reads(head, f) {
			continue
		}
		if was, err := c.baseFile(f); err == nil {
			if _, err := edit.Documents(was); err != nil {
				continue
			}
		}
		var at *edit.Error
		if errors.As(parseErr, &at) && at.Line > 0 {
			return fmt.Errorf("%s:%d: %w", f, at.Line, parseErr)
		}
		return fmt.Errorf("%s: %w", f, parseErr)
	}
	return nil
}

func reads(r *source.Release, file string) bool { return r != nil && (r.File == file || r.Reads(file)) }

// unbuilt reports what cannot be built in either state and was not told with a
// release, and what can be built again.
func (c *check) unbuilt() {
	told := map[string]bool{}
	for _, p := range c.problems {
		if p.Signature == signature.ReleaseDoesNotBuild {
			told[p.ClusterPath] = true
		}
	}
	failed := c.head.failed
	if err := c.head.err; err != nil && !nothingThere(err) && len(failed) == 0 && len(told) == 0 {
		failed = []failure{{"", err}}
	}
	for _, f := range failed {
		if told[f.cluster] {
			continue
		}
		told[f.cluster] = true
		p := v1alpha1.Problem{Introduced: c.base.why(f.cluster) == nil, ClusterPath: f.cluster}
		fault(&p, f.err)
		c.problems = append(c.problems, p)
	}
	c.builtAgain()
}

func (c *check) builtAgain() {
	fixed := map[string]bool{}
	for _, r := range c.head.releases {
		at := r.ClusterPath()
		why := c.base.why(at)
		if why == nil || c.head.why(at) != nil || fixed[at] {
			continue
		}
		fixed[at] = true
		c.repairs = append(c.repairs, v1alpha1.Repair{Signature: signature.ReleaseDoesNotBuild, Severity: v1alpha1.SeverityCritical,
			Release: releaseName(r), ClusterPath: at, Summary: "the release can be built again; before: " + oneLine(why.Error())})
	}
}
