package remediate

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/source"
)

// place is one value in one source.
type place struct {
	file     string
	document int
	block    string
	path     string
}

// unheard is a value that the change sets or alters in a source, and that the
// releases read so far do not take from there.
type unheard struct {
	value   any
	run     *Run
	winner  source.Provenance
	decides bool
}

// listen notes what the change does to each source of a release, and whether
// the release takes the value from it.
func (c *check) listen(base, head *Run) {
	for _, s := range head.release.Sources {
		if s.File == "" || s.Kind == "Secret" || s.Unreadable || s.TargetPath != "" {
			continue
		}
		was, ok := sameSource(base.release.Sources, s)
		if !ok {
			continue
		}
		for _, d := range differences(was.Values, s.Values) {
			if d.to != nil {
				c.note(base, head, placeIn(s, d.path), d.to)
			}
		}
	}
	c.listenInline(base, head)
}

func placeIn(s source.ValuesSource, path string) place {
	p := place{file: s.File, document: s.Document, path: path}
	if s.Block {
		p.block = s.Path()
	}
	return p
}

func sameSource(in []source.ValuesSource, s source.ValuesSource) (source.ValuesSource, bool) {
	i := slices.IndexFunc(in, func(o source.ValuesSource) bool {
		return o.Kind == s.Kind && o.Name == s.Name && o.File == s.File && o.Path() == s.Path()
	})
	if i < 0 {
		return source.ValuesSource{}, false
	}
	return in[i], true
}

// note says for one value of one release whether it decides. A value that
// another source sets alike, or that the same change sets elsewhere too, is not
// unheard.
func (c *check) note(base, head *Run, at place, value any) {
	u := c.set[at]
	if u == nil {
		u = &unheard{value: value, run: head}
		c.set[at] = u
	}
	w := head.release.Where(at.path)
	own := w.File == at.file && w.Document == at.document && strings.Join(w.Block, ".") == at.block
	before := base.release.Where(at.path)
	moved := !reflect.DeepEqual(normal(w.Value), normal(before.Value))
	if own || !w.Found || moved || reflect.DeepEqual(normal(w.Value), normal(value)) || len(w.Chain) == 0 {
		u.decides = true
	}
	u.winner = w
}

// listenInline does the same for spec.values as the HelmRelease's file has them:
// patches replace some of them before anything else is merged.
func (c *check) listenInline(base, head *Run) {
	if base.release.File != head.release.File || !c.changed[head.release.File] {
		return
	}
	was, okWas := inlineValues(base)
	is, okIs := inlineValues(head)
	if !okWas || !okIs {
		return
	}
	for _, d := range differences(was, is) {
		text, isText := d.to.(string)
		if d.to == nil || isText && strings.Contains(text, "${") {
			continue
		}
		c.note(base, head, place{file: head.release.File, document: head.release.Document, path: d.path}, d.to)
	}
}

// inlineValues reads spec.values of the HelmRelease as its file has it.
func inlineValues(r *Run) (map[string]any, bool) {
	src, err := r.readFile(r.release.File)
	if err != nil {
		return nil, false
	}
	docs, err := edit.Documents(src)
	if err != nil || r.release.Document >= len(docs) {
		return nil, false
	}
	var doc struct {
		Spec struct {
			Values map[string]any `yaml:"values"`
		} `yaml:"spec"`
	}
	if docs[r.release.Document].Decode(&doc) != nil {
		return nil, false
	}
	return doc.Spec.Values, true
}

// unheardValues reports what the change sets and no release takes.
func (c *check) unheardValues() {
	for at, u := range c.set {
		if u.decides {
			delete(c.set, at)
		}
	}
	for _, at := range sortedPlaces(c.set) {
		c.problems = append(c.problems, c.set[at].problem(at))
	}
}

func sortedPlaces(m map[place]*unheard) []place {
	out := make([]place, 0, len(m))
	for p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b place) int {
		return strings.Compare(fmt.Sprintf("%s\x00%06d\x00%s\x00%s", a.file, a.document, a.block, a.path), fmt.Sprintf("%s\x00%06d\x00%s\x00%s", b.file, b.document, b.block, b.path))
	})
	return out
}

func (u *unheard) problem(at place) v1alpha1.Problem {
	r, w := u.run.release, u.winner
	wins := placeOf(w)
	if wins == "" {
		wins = "another source"
	}
	p := v1alpha1.Problem{Signature: signature.ValueOverridden, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidenceConfirmed, Introduced: true,
		Release: releaseName(r), ClusterPath: r.ClusterPath(), File: at.file, Line: u.line(at),
		Summary: fmt.Sprintf("%s is changed here without effect: %s overrides it", at.path, wins),
		Advice:  "change it in " + wins + ", or remove it there",
	}
	p.Evidence = []v1alpha1.Evidence{{Kind: "config", Text: at.path + ": " + fmt.Sprint(u.run.presentable(at.path, u.value)), Source: fmt.Sprintf("%s:%d", p.File, p.Line)}}
	hidden := w.Secret || shown(at.path, w.Value) == notShown || shown(at.path, u.value) == notShown
	for _, s := range w.Chain {
		if hidden {
			s = "another source sets it; values are not shown"
		}
		p.Evidence = append(p.Evidence, v1alpha1.Evidence{Kind: "config", Text: s, Source: wins})
	}
	return p
}

// line of the value in its source, or of the source.
func (u *unheard) line(at place) int {
	src, err := u.run.readFile(at.file)
	if err != nil {
		return 0
	}
	for _, s := range u.run.release.Sources {
		if s.File != at.file || s.Document != at.document {
			continue
		}
		path, err := edit.ParsePath(at.path)
		if err != nil {
			return s.Line
		}
		var line int
		var found bool
		if s.Block {
			line, _, found, err = edit.PositionBlock(src, s.Document, s.YAMLPath, path)
		} else {
			line, _, found, err = edit.Position(src, s.Document, append(slices.Clone(s.YAMLPath), path...))
		}
		if err == nil && found {
			return line
		}
		return s.Line
	}
	return 0
}
