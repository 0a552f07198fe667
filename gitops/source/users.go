package source

import (
	"fmt"
	"slices"
	"strings"
)

// VariableUsers names the other Flux Kustomizations that use the variable which
// a place sets: they take it from the same line, and what they apply holds it.
// Sorted; nil for a place that sets no variable.
func (r *Release) VariableUsers(p Place) []string {
	if p.Variable == "" || p.File == "" {
		return nil
	}
	at := location{file: p.File, doc: p.Document, path: p.YAMLPath, line: p.Line, env: p.Env}
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	b := newBuilder(r.at.t, r.at.g, r.at.all)
	var users []*flux
	for _, k := range r.at.all {
		if k.sameAs(r.at.k) {
			continue
		}
		eff := r.applied(k)
		names := namesAt(b.variablesOf(r.at.ix, eff), at)
		if len(names) > 0 && r.usesAny(eff, names) {
			users = append(users, k)
		}
	}
	var out []string
	for _, k := range users {
		out = append(out, r.perCluster(k)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// namesAt are the variables that one place sets; a Kustomization can hand one
// on under another name.
func namesAt(vs *variables, at location) []string {
	var names []string
	for _, name := range sortedKeys(vs.byName) {
		if vs.byName[name].at.same(at) {
			names = append(names, name)
		}
	}
	return names
}

func (r *Release) usesAny(k *flux, names []string) bool {
	for _, dir := range append([]string{k.path}, k.extra...) {
		for f := range r.at.g.set(dir) {
			src, err := r.at.t.read(f)
			if err == nil && slices.ContainsFunc(names, func(n string) bool { return usesVariable(src, n) }) {
				return true
			}
		}
	}
	return false
}

// nameThere is the variable's name where it is set, which a Kustomization in
// between may have changed.
func (p Place) nameThere() string {
	switch key, _, literal := strings.Cut(p.Format, "="); {
	case p.Env != "":
		return p.Env
	case literal && !strings.HasPrefix(p.Format, "${"):
		return key
	case p.Format == "" && len(p.YAMLPath) > 0 && !strings.HasPrefix(p.YAMLPath[len(p.YAMLPath)-1], "["):
		if name := p.YAMLPath[len(p.YAMLPath)-1]; variableName.MatchString(name) && name != "value" {
			return name
		}
	}
	return p.Variable
}

// VariableNote is the sentence for a plan about who else uses a variable that a
// place sets, or "".
func (r *Release) VariableNote(p Place) string {
	users := r.VariableUsers(p)
	if len(users) == 0 {
		return ""
	}
	const shown = 5
	more := ""
	if n := len(users); n > shown {
		users, more = users[:shown], fmt.Sprintf(" and %d more", n-shown)
	}
	return fmt.Sprintf("variable %s is also used by %s%s", p.nameThere(), strings.Join(users, ", "), more)
}
