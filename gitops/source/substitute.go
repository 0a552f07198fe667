package source

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	sigsyaml "sigs.k8s.io/yaml"
)

var (
	variableName = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*$`)
	variableUse  = regexp.MustCompile(`\$\{([_a-zA-Z][_a-zA-Z0-9]*)([^}]*)\}`)
)

const substituteKey = "kustomize.toolkit.fluxcd.io/substitute"

// text substitutes as kustomize-controller does without its strict mode: an
// unknown variable becomes its default or "". Only when a source of variables
// could not be read, an unknown one without default is left as it stands.
func (vs *variables) text(s string) (string, error) {
	if len(vs.byName) == 0 && len(vs.opaque) == 0 || !strings.Contains(s, "${") {
		return s, nil
	}
	if len(vs.opaque) > 0 {
		s = variableUse.ReplaceAllStringFunc(s, func(use string) string {
			m := variableUse.FindStringSubmatch(use)
			if _, ok := vs.byName[m[1]]; ok || m[2] != "" {
				return use
			}
			return "$" + use
		})
	}
	out, err := envsubst.Eval(s, func(name string) (string, bool) { return vs.byName[name].value, true })
	if err != nil {
		return "", fmt.Errorf("substitute variables: %w", err)
	}
	return out, nil
}

// object substitutes in a whole object, as text, so that a variable can change
// a value's type.
func (vs *variables) object(obj map[string]any) (map[string]any, error) {
	if disabled(obj) || len(vs.byName)+len(vs.opaque) == 0 || !holdsVariable(obj) {
		return obj, nil
	}
	src, err := sigsyaml.Marshal(obj)
	if err != nil {
		return nil, err
	}
	out, err := vs.text(string(src))
	if err != nil {
		return nil, err
	}
	var next map[string]any
	if err := sigsyaml.Unmarshal([]byte(out), &next); err != nil {
		return nil, fmt.Errorf("after substitution of variables: %w", err)
	}
	return next, nil
}

// holdsVariable reports whether a string or a key below v has a variable in it.
func holdsVariable(v any) bool {
	switch x := v.(type) {
	case string:
		return strings.Contains(x, "${")
	case map[string]any:
		for k, e := range x {
			if strings.Contains(k, "${") || holdsVariable(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(x, holdsVariable)
	}
	return false
}

func disabled(obj map[string]any) bool {
	meta, _ := obj["metadata"].(map[string]any)
	for _, f := range []string{"labels", "annotations"} {
		m, _ := meta[f].(map[string]any)
		if m[substituteKey] == "disabled" {
			return true
		}
	}
	return false
}

// unknown lists the variables that a text uses, that are not set, and that a
// source which could not be read may set.
func (vs *variables) unknown(s string) []string {
	if len(vs.opaque) == 0 {
		return nil
	}
	var names []string
	for _, m := range variableUse.FindAllStringSubmatch(s, -1) {
		if _, ok := vs.byName[m[1]]; !ok && !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// Unresolved is a value that holds a variable nobody in the repository sets,
// while a source of variables cannot be read.
type Unresolved struct {
	// Path is the Helm value's path.
	Path string
	// Variables are the names, sorted.
	Variables []string
	// Why says which sources cannot be read.
	Why string
}

// unresolved lists the values that hold an unknown variable, sorted by path.
func (vs *variables) unresolved(values map[string]any) []Unresolved {
	if len(vs.opaque) == 0 {
		return nil
	}
	var out []Unresolved
	why := strings.Join(vs.opaque, "; ")
	walkStrings(values, nil, func(path []string, s string) {
		if names := vs.unknown(s); len(names) > 0 {
			slices.Sort(names)
			out = append(out, Unresolved{Path: joinPath(path), Variables: names, Why: why})
		}
	})
	return out
}

// walkStrings visits every string below v in the order of the keys.
func walkStrings(v any, path []string, visit func(path []string, s string)) {
	at := func(seg string) []string { return append(slices.Clone(path), seg) }
	switch x := v.(type) {
	case string:
		visit(path, x)
	case map[string]any:
		for _, k := range sortedKeys(x) {
			walkStrings(x[k], at(k), visit)
		}
	case []any:
		for i, e := range x {
			walkStrings(e, at("["+itoa(i)+"]"), visit)
		}
	}
}
