package remediate

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// values lists the merged values that differ, where both states have them. They
// are shown, unless they are or look like credentials.
func (x *comparison) values() {
	if !x.baseJudged() {
		return
	}
	was, is := x.base.run, x.head.run
	for _, d := range differences(was.release.Values, is.release.Values) {
		v := v1alpha1.ValueChange{Path: d.path, From: was.presentable(d.path, d.from), To: is.presentable(d.path, d.to)}
		if v.Source = writtenAt(is, d.path); d.to == nil {
			v.Source = writtenAt(was, d.path)
		}
		x.written[d.path] = v.Source
		x.changed = append(x.changed, v)
	}
}

// writtenAt is file:line of a value as a person writes it: of its variable, where
// it is one.
func writtenAt(r *Run, path string) string {
	if p := r.release.Place(path); p.Variable != "" && p.Err == nil && p.Line > 0 {
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return placeOf(r.release.Where(path))
}

// presentable is a value fit to be shown, nil for none.
func (r *Run) presentable(path string, v any) any {
	if v == nil {
		return nil
	}
	if r.release.Where(path).Secret || shown(path, v) == notShown {
		return notShown
	}
	return v
}

// difference is one leaf of two trees of values; a missing side is nil.
type difference struct {
	path     string
	from, to any
}

// differences compares leaf by leaf, sorted by path; lists are leaves.
func differences(a, b map[string]any) []difference {
	var out []difference
	diffMaps("", a, b, &out)
	slices.SortFunc(out, func(x, y difference) int { return strings.Compare(x.path, y.path) })
	return out
}

func diffMaps(at string, a, b map[string]any, out *[]difference) {
	for k := range a {
		if _, ok := b[k]; !ok {
			diffValues(joinKey(at, k), a[k], nil, out)
		}
	}
	for k := range b {
		diffValues(joinKey(at, k), a[k], b[k], out)
	}
}

func diffValues(at string, a, b any, out *[]difference) {
	ma, okA := a.(map[string]any)
	mb, okB := b.(map[string]any)
	switch {
	case okA && (okB || b == nil) && len(ma)+len(mb) > 0, okB && a == nil && len(mb) > 0:
		diffMaps(at, ma, mb, out)
	case !reflect.DeepEqual(normal(a), normal(b)):
		*out = append(*out, difference{at, a, b})
	}
}

// joinKey writes a path as [source.Release.Where] reads it.
func joinKey(at, key string) string {
	key = strings.ReplaceAll(key, ".", `\.`)
	if at == "" {
		return key
	}
	return at + "." + key
}
