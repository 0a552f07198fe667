package source

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// clash reports two paths that differ only in case where one is a source of the
// release or on the way to it: which of them a checkout holds depends on the
// file system.
func (r *Release) clash() error {
	t := r.at.t
	if t.disk == nil {
		return nil
	}
	wanted := map[string]string{}
	for _, f := range r.ownFiles() {
		for p := f; p != "." && p != "/" && p != ""; p = path.Dir(p) {
			wanted[strings.ToLower(p)] = p
		}
	}
	var clashes []string
	check := func(name string) {
		if own, ok := wanted[strings.ToLower(name)]; ok && own != name {
			pair := []string{own, name}
			slices.Sort(pair)
			clashes = append(clashes, pair[0]+" and "+pair[1])
		}
	}
	for _, name := range t.disk.names {
		check(name)
	}
	for dir := range t.disk.dirs {
		check(dir)
	}
	if len(clashes) == 0 {
		return nil
	}
	slices.Sort(clashes)
	return fmt.Errorf("%s differ only in case, and one of them decides %s/%s: on macOS and Windows one takes the other's place; rename one", clashes[0], r.Namespace, r.Name)
}

// ownFiles are the files that decide the release: its manifest, its values, the
// Kustomizations above it and the kustomizations that build it.
func (r *Release) ownFiles() []string {
	files := []string{r.File}
	for _, p := range r.at.parts {
		files = append(files, p.File)
	}
	for _, k := range r.at.eff.lineage() {
		files = append(files, k.doc.file, k.path)
	}
	for _, u := range r.at.g.closure(r.at.eff.path, r.at.eff.extra...) {
		holds := func(f string) bool { return f != "" && within(f, u.dir) }
		if u.kfile != "" && slices.ContainsFunc(files, holds) {
			files = append(files, u.kfile)
		}
	}
	return files
}
