package remediate

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/source"
)

// writeAt makes one change of a file's text at a place of the release's values.
func writeAt(src []byte, place source.Place, change edit.Change) ([]byte, error) {
	switch {
	case place.Format != "":
		change.Value = strings.ReplaceAll(place.Format, "%s", fmt.Sprint(change.Value))
	case place.Variable != "" || place.Env != "":
		change.Value = fmt.Sprint(change.Value)
	}
	switch {
	case place.Env != "":
		return edit.ApplyEnv(src, place.Env, change.Value.(string))
	case place.Block != nil:
		change.Document = 0
		return edit.ApplyBlock(src, place.Document, place.Block, change)
	}
	return edit.Apply(src, change)
}

// yamlPath is where a change stands in its file, for people: the key of an env
// file is one as well.
func yamlPath(p source.Place) string {
	if p.Env != "" {
		return p.Env
	}
	return edit.FormatPath(p.YAMLPath)
}

// noteVariables says of each candidate who else uses the variables that it sets.
func (r *Run) noteVariables(p *v1alpha1.Plan) {
	notes := map[string]string{}
	for i := range p.Candidates {
		c := &p.Candidates[i]
		for _, ch := range c.Changes {
			note, known := notes[ch.Path]
			if !known {
				note = r.release.VariableNote(r.release.Place(ch.Path))
				notes[ch.Path] = note
			}
			if note != "" && !slices.Contains(c.SideEffects, note) {
				c.SideEffects = append(c.SideEffects, note)
			}
		}
	}
}

// submodules are the paths of other repositories in the checkout; one whose
// index cannot be read is known by .gitmodules alone.
func (r *Run) submodules() []string {
	if r.repo == nil {
		return nil
	}
	paths, err := r.repo.Submodules()
	if err != nil {
		return nil
	}
	return paths
}

// remotes are the addresses that the checkout comes from; where they cannot be
// read, what the tree itself says has to do.
func (r *Run) remotes() []string {
	if r.repo == nil {
		return nil
	}
	urls, err := r.repo.Remotes()
	if err != nil {
		return nil
	}
	return urls
}

// unintended says in which values an edit misses the intent: another source
// overrides it, or a variable or an anchor is shared.
func unintended(want, got any) error {
	paths := differing("", want, got)
	const shown = 3
	if len(paths) == 0 {
		return errors.New("the edit does not give the intended values")
	}
	more := ""
	if n := len(paths); n > shown {
		paths, more = paths[:shown], fmt.Sprintf(" and %d more", n-shown)
	}
	return fmt.Errorf("the edit does not give the intended values: %s%s differ, because another source sets the same key, or what is edited sets these too", strings.Join(paths, ", "), more)
}

// differing lists the paths in which two values differ, sorted.
func differing(path string, a, b any) []string {
	x, isX := a.(map[string]any)
	y, isY := b.(map[string]any)
	if !isX || !isY {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return []string{path}
	}
	keys := map[string]bool{}
	for _, m := range []map[string]any{x, y} {
		for k := range m {
			keys[k] = true
		}
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, differing(strings.TrimPrefix(path+"."+k, "."), x[k], y[k])...)
	}
	return out
}
