package remediate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// readCopies looks for the places that install Cilium besides Flux.
func (r *Run) readCopies(ctx context.Context) error {
	copies, err := r.release.Copies(ctx)
	if err != nil {
		return fmt.Errorf("look for copies of the values: %w", err)
	}
	r.copies = copies
	return nil
}

// copyValues lists what both a copy and the release set, of what ends up in a
// flag of the agent. Copies that may be another cluster's are left out.
func (r *Run) copyValues() []signature.CopyValue {
	var out []signature.CopyValue
	for i := range r.copies {
		c := &r.copies[i]
		if c.Undecided != "" {
			continue
		}
		for _, path := range leaves(c) {
			if v, ok := r.copyValue(c, path); ok {
				out = append(out, v)
			}
		}
	}
	return out
}

// leaves are the paths of a copy's values, sorted.
func leaves(c *source.Copy) []string {
	if c.Flags {
		return slices.Sorted(maps.Keys(c.Values))
	}
	var out []string
	var walk func(at string, m map[string]any)
	walk = func(at string, m map[string]any) {
		for k, v := range m {
			if strings.ContainsAny(k, `.[\`) {
				continue
			}
			if sub, ok := v.(map[string]any); ok {
				walk(at+k+".", sub)
				continue
			}
			out = append(out, at+k)
		}
	}
	walk("", c.Values)
	slices.Sort(out)
	return out
}

func (r *Run) copyValue(c *source.Copy, path string) (signature.CopyValue, bool) {
	v, ok := c.Where(path)
	if !ok || variable(v.Value) {
		return signature.CopyValue{}, false
	}
	out := signature.CopyValue{Copy: c.Kind, File: c.File, Path: path, Source: at(v.File, v.Line), Value: plainText(path, v.Value)}
	if c.Flags {
		return out, r.againstFlag(&out)
	}
	for _, f := range cilium.FlagsOfHelm(path) {
		out.Flags = append(out.Flags, f.Name)
	}
	if len(out.Flags) == 0 {
		return out, false
	}
	w := r.release.Where(path)
	if !w.Found || w.Secret || w.Value == nil || v.Value == nil || variable(w.Value) {
		return out, false
	}
	out.Release, out.ReleaseSource = plainText(path, w.Value), placeOf(w)
	return out, true
}

// againstFlag compares a key of a rendered cilium-config with what the release
// renders, where the release sets a value that ends up in it.
func (r *Run) againstFlag(v *signature.CopyValue) bool {
	flag, known := cilium.FlagByName(v.Path)
	now, rendered := r.current.Config.Values[v.Path]
	if !known || !rendered || variable(now) {
		return false
	}
	for _, h := range flag.Helm {
		if w := r.release.Where(h); w.Found && !w.Secret {
			v.Flags, v.Release, v.ReleaseSource = []string{flag.Name}, plainText(v.Path, now), placeOf(w)
			return true
		}
	}
	return false
}

func variable(v any) bool {
	s := fmt.Sprint(v)
	return strings.Contains(s, "${") || strings.Contains(s, "{{")
}

func at(file string, line int) string { return file + ":" + strconv.Itoa(line) }

// plainText writes a value so that equal values are equal texts: a list of one
// is the item, a range is in its shortest form, a number has no exponent.
func plainText(path string, v any) string {
	if s := shown(path, v); s == notShown {
		return s
	}
	switch x := normal(v).(type) {
	case []any:
		var items []string
		for _, e := range x {
			items = append(items, plainText(path, e))
		}
		return strings.Join(items, ", ")
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case string:
		return plainString(x)
	}
	return fmt.Sprint(v)
}

func plainString(s string) string {
	items := strings.FieldsFunc(s, isSeparator)
	for i, item := range items {
		if p, err := netip.ParsePrefix(item); err == nil {
			items[i] = p.String()
		}
	}
	return strings.Join(items, ", ")
}

// copyChange is one value that a copy would have to take over.
type copyChange struct {
	at source.CopyValue
	to any
}

// changeCopies says which copies set what a candidate changes and, if asked to,
// changes them in the same way: all that the candidate changes, or nothing.
func (r *Run) changeCopies(e *edited, sets []plan.Set, out plan.Rendered) []v1alpha1.Copy {
	var list []v1alpha1.Copy
	for i := range r.copies {
		c := &r.copies[i]
		changes, lacks := r.copyChanges(c, sets, out)
		if len(changes) == 0 {
			continue
		}
		why := r.whyNot(c, changes, lacks)
		if why == "" && !r.opts.WithCopies {
			why = leftAlone
		}
		if why == "" {
			if err := r.editCopy(e, c, changes); err != nil {
				why = err.Error()
			}
		}
		for _, ch := range changes {
			list = append(list, v1alpha1.Copy{Kind: c.Kind, File: ch.at.File, Line: ch.at.Line, Path: ch.at.Path,
				Value: copied(ch.at), Edited: why == "", Why: why})
		}
	}
	return list
}

// leftAlone is why a copy is not edited that could be.
const leftAlone = "it is left alone without --with-copies"

func copied(v source.CopyValue) any {
	if s := shown(v.Path, v.Value); s == notShown {
		return s
	}
	return v.Value
}

// copyChanges lists the changed values that the copy sets to something else, and
// the changed ones that it lacks.
func (r *Run) copyChanges(c *source.Copy, sets []plan.Set, out plan.Rendered) (changes []copyChange, lacks []string) {
	note := func(path string, to any) {
		v, ok := c.Where(path)
		switch {
		case !ok:
			lacks = append(lacks, path)
		case plainText(path, v.Value) != plainText(path, to):
			changes = append(changes, copyChange{v, to})
		}
	}
	if !c.Flags {
		for _, s := range sets {
			note(s.Path, s.Value)
		}
		return changes, lacks
	}
	delta := cilium.Delta(r.current.Config, out.Config)
	for _, key := range slices.Sorted(maps.Keys(delta)) {
		if to := delta[key][1]; to != nil {
			note(key, *to)
		}
	}
	if a, b := r.current.Config.MasqAgent, out.Config.MasqAgent; b != nil && (a == nil || *a != *b) {
		lacks = append(lacks, "ConfigMap ip-masq-agent")
	}
	return changes, lacks
}

// whyNot is why a copy cannot be edited, or "".
func (r *Run) whyNot(c *source.Copy, changes []copyChange, lacks []string) string {
	if c.Why != "" {
		return c.Why
	}
	for _, ch := range changes {
		_, list := ch.to.([]any)
		switch {
		case ch.at.Why != "":
			return ch.at.Why
		case list && ch.at.Setting:
			return ch.at.Path + " is a list: change it by hand"
		}
	}
	if len(lacks) > 0 {
		return "it does not set " + strings.Join(lacks, ", ") + ", which the change needs too: change it by hand"
	}
	return ""
}

// editCopy makes the changes in memory, reads the copy again and compares it
// with what was intended.
func (r *Run) editCopy(e *edited, c *source.Copy, changes []copyChange) error {
	src, ok := e.files[c.File]
	if !ok {
		var err error
		if src, err = r.readFile(c.File); err != nil {
			return err
		}
	}
	want := copyMap(c.Values)
	for _, ch := range changes {
		out, err := edit.ApplyNested(src, blocksOf(ch.at), edit.Change{Document: ch.at.Document, Path: ch.at.YAMLPath, Value: written(ch)})
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		src = out
		if c.Flags {
			want[ch.at.Path] = ch.to
		} else {
			want = intended(want, []plan.Set{{Path: ch.at.Path, Value: ch.to}})
		}
	}
	got, err := c.Reread(r.release, map[string][]byte{c.File: src})
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(normal(got), normal(want)) {
		return errors.New("the edit does not give the intended values: change it by hand")
	}
	e.files[c.File] = src
	return nil
}

// written is the value in the form that its place asks for.
func written(ch copyChange) any {
	switch {
	case ch.at.Format != "":
		return strings.ReplaceAll(ch.at.Format, "%s", fmt.Sprint(ch.to))
	case ch.at.Text:
		return fmt.Sprint(ch.to)
	}
	return ch.to
}

func blocksOf(v source.CopyValue) []edit.Block {
	var out []edit.Block
	for _, b := range v.Blocks {
		out = append(out, edit.Block(b))
	}
	return out
}

// noteCopies says of each candidate what a copy that keeps the old value means,
// and names the copies that cannot be read.
func (r *Run) noteCopies(p *v1alpha1.Plan) {
	for i := range p.Candidates {
		c := &p.Candidates[i]
		for _, k := range c.Copies {
			if !k.Edited {
				c.SideEffects = append(c.SideEffects, keeps(k))
			}
		}
		for _, k := range r.copies {
			if k.Unreadable != "" {
				c.SideEffects = append(c.SideEffects, fmt.Sprintf("%s (%s) may set the same values, and cannot be read: %s", at(k.File, k.Line), k.Kind, k.Unreadable))
			}
		}
	}
}

// keeps says what a copy with the old value means.
func keeps(k v1alpha1.Copy) string {
	text := fmt.Sprintf("%s (%s) sets %s too and keeps %s: %s", at(k.File, k.Line), k.Kind, k.Path, plainText(k.Path, k.Value), comesBack(k.Kind))
	switch {
	case k.Why == leftAlone:
		return text + "; --with-copies changes it as well"
	case strings.Contains(k.Why, "by hand"):
		return text + "; " + k.Why
	}
	return text + "; change it by hand: " + k.Why
}

// comesBack is when a copy's value becomes live again.
func comesBack(kind string) string {
	switch kind {
	case source.CopyTalos, source.CopyJob:
		return "the next bootstrap, or talosctl upgrade-k8s, applies it again"
	case source.CopyK3s:
		return "k3s applies it again when its servers start"
	case source.CopyTerraform:
		return "the next terraform apply brings it back"
	}
	return "the next bootstrap starts with it, until Flux takes over"
}
