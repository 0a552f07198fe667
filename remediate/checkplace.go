package remediate

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/signature"
)

var fileLine = regexp.MustCompile(`^(.+):(\d+)$`)

// place is where a reviewer should look: at evidence in a file that the change
// touches, at a changed value that the finding is about, at evidence in another
// file, and else at the release.
func (x *comparison) place(f *v1alpha1.Finding) (string, int) {
	file, line := "", 0
	for _, e := range f.Evidence {
		if name, at, ok := x.inRepository(x.written[keyOf(e.Text)]); ok && x.c.changed[name] {
			return name, at
		}
		name, at, ok := x.inRepository(e.Source)
		if ok && x.c.changed[name] {
			return name, at
		}
		if ok && file == "" {
			file, line = name, at
		}
	}
	if name, at, ok := x.inRepository(x.reason(f)); ok {
		return name, at
	}
	if file != "" {
		return file, line
	}
	return x.head.run.release.File, x.head.run.release.Line
}

// keyOf is the value that a line of evidence shows: "path: value".
func keyOf(text string) string {
	key, _, _ := strings.Cut(text, ": ")
	return key
}

func (x *comparison) inRepository(source string) (file string, line int, ok bool) {
	m := fileLine.FindStringSubmatch(source)
	if m == nil || path.IsAbs(m[1]) {
		return "", 0, false
	}
	line, err := strconv.Atoi(m[2])
	if err != nil {
		return "", 0, false
	}
	_, err = x.head.run.readFile(m[1])
	return m[1], line, err == nil
}

// reason is the place of a changed value that a refusal is about: one whose flag
// the rule names, or whose name the chart's message holds; else, for a chart
// that refuses, of the first.
func (x *comparison) reason(f *v1alpha1.Finding) string {
	keys := map[string]bool{}
	for _, r := range x.head.run.facts.Start.Refusals {
		if f.Signature == signature.AgentRefusesToStart && r.ID == f.About {
			for _, k := range r.Keys {
				keys[k] = true
			}
		}
	}
	first := ""
	for _, v := range x.changed {
		if v.To == nil || v.Source == "" {
			continue
		}
		if first == "" {
			first = v.Source
		}
		if f.Signature == signature.ChartRefusesValues && strings.Contains(f.Summary, v.Path) {
			return v.Source
		}
		for _, flag := range cilium.FlagsOfHelm(v.Path) {
			if keys[flag.Name] {
				return v.Source
			}
		}
	}
	if f.Signature == signature.ChartRefusesValues {
		return cmp.Or(first, x.named(f.Summary))
	}
	for _, k := range sortedKeys(keys) {
		if flag, ok := flagNamed(k); ok {
			for _, h := range flag.Helm {
				if at := placeOf(x.head.run.release.Where(h)); at != "" {
					return at
				}
			}
		}
	}
	return ""
}

// valueNamed finds the values that a chart's message names: ".Values.bpf.tproxy",
// and, as the schema has it, "at '/hubble/relay/replicas'".
var valueNamed = regexp.MustCompile(`\.Values\.([\w.-]*\w)|at '/([^']+)'`)

// named is the place of the first value that a chart's message names: where only
// the chart changed, that is what the reviewer has to change.
func (x *comparison) named(message string) string {
	for _, m := range valueNamed.FindAllStringSubmatch(message, -1) {
		key := cmp.Or(m[1], strings.ReplaceAll(m[2], "/", "."))
		if _, set := lookupPath(x.head.run.release.Values, key); !set {
			continue
		}
		if at := placeOf(x.head.run.release.Where(key)); at != "" {
			return at
		}
	}
	return ""
}

func flagNamed(name string) (cilium.Flag, bool) {
	for _, f := range cilium.Flags() {
		if f.Name == name {
			return f, true
		}
	}
	return cilium.Flag{}, false
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
