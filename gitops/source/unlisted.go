package source

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// unlisted says of a Cilium release that the kustomization file beside it does
// not list, or is nil.
func (s *search) unlisted() error {
	for _, f := range sortedKeys(s.suspects().docs) {
		kfile := s.g.kfile(path.Dir(f))
		for _, d := range s.suspects().docs[f] {
			chart, ref := statedChart(d)
			if kfile == "" || path.Base(chart) != "cilium" && !strings.Contains(ref, "cilium") || isArchive(f) || s.g.set(path.Dir(f))[f] {
				continue
			}
			return fmt.Errorf("%w that Flux applies: %s:%d is the HelmRelease %s, but %s does not list it: add %s to its resources, or remove the file if it is not in use",
				ErrNoRelease, f, d.line, d.id.name, s.resourcesLine(kfile), path.Base(f))
		}
	}
	return nil
}

// resourcesLine is file:line of a kustomization file's resources.
func (s *search) resourcesLine(kfile string) string {
	line := 1
	if u := s.g.unit(path.Dir(kfile)); u.node != nil {
		line = max(line, keyLine(u.node, "resources"))
	}
	return fmt.Sprintf("%s:%d", kfile, line)
}

// placeholder is a text that a person or a script is to replace.
var placeholder = regexp.MustCompile(`^(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|__[A-Za-z0-9_]+__|<[^<>]+>|\[\[.*\]\]|(?i:change-?_?me|replace-?_?me|placeholder|fill-?_?me(?:-?_?in)?|your-[a-z0-9-]+))$`)

// placeholders are the paths of values that hold one, sorted. Linux
// capabilities and names of environment variables look alike and are none.
func placeholders(v any, at string) []string {
	var out []string
	switch x := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(x) {
			if k != "capabilities" && k != "extraEnv" && k != "env" {
				out = append(out, placeholders(x[k], strings.TrimPrefix(at+"."+k, "."))...)
			}
		}
	case []any:
		for _, e := range x {
			out = append(out, placeholders(e, at)...)
		}
	case string:
		if placeholder.MatchString(x) {
			out = append(out, fmt.Sprintf("%s: %s", at, x))
		}
	}
	return slices.Compact(out)
}

// template refuses a release that is a template: no Flux Kustomization applies
// it, and its values hold placeholders. One that the options choose is taken.
func (s *search) template(rs []*Release) error {
	if s.opts.Release != "" || s.opts.ClusterPath != "" {
		return nil
	}
	for _, r := range rs {
		list := placeholders(r.Values, "")
		if r.Live() || len(r.Kustomizations) > 0 || len(list) == 0 {
			continue
		}
		const shown = 3
		if n := len(list); n > shown {
			list = append(list[:shown:shown], fmt.Sprintf("and %d more", n-shown))
		}
		return fmt.Errorf("%w that is live: %s:%d is applied by no Flux Kustomization of this repository, and its values hold placeholders (%s): run remediate in the repository that fills them in, or choose this one with --release %s/%s",
			ErrNoRelease, r.File, r.Line, strings.Join(list, ", "), r.Namespace, r.Name)
	}
	return nil
}

// chosen reports whether one of the releases fits the options; without options,
// any does.
func (s *search) chosen(found []*Release) bool {
	return slices.ContainsFunc(found, s.fits)
}

// merged takes out releases that are found more than once in the same way.
func merged(rs []*Release) []*Release {
	var out []*Release
	for _, r := range rs {
		if !slices.ContainsFunc(out, r.sameAs) {
			out = append(out, r)
		}
	}
	return out
}

func (r *Release) sameAs(o *Release) bool {
	return r.Namespace == o.Namespace && r.Name == o.Name && r.File == o.File && r.Document == o.Document &&
		r.ClusterPath() == o.ClusterPath() && r.AppliedFrom() == o.AppliedFrom() && slices.Equal(r.Kustomizations, o.Kustomizations) && equalJSON(r.Values, o.Values)
}
