package source

import (
	"fmt"
	"path"
	"slices"

	"github.com/go-git/go-git/v5/config"
)

// readSubmodules takes the paths of submodules from .gitmodules, and those that
// the caller knows.
func (t *tree) readSubmodules(more []string) {
	for _, p := range more {
		t.submodules = append(t.submodules, path.Clean(p))
	}
	src, err := t.read(".gitmodules")
	if err != nil {
		return
	}
	m := config.NewModules()
	if m.Unmarshal(src) != nil {
		return
	}
	for _, sub := range m.Submodules {
		if p, inside := join(".", sub.Path); inside && p != "." {
			t.submodules = append(t.submodules, p)
		}
	}
	slices.Sort(t.submodules)
	t.submodules = slices.Compact(t.submodules)
}

// submoduleOf is the submodule that a path lies in or is, or "".
func (t *tree) submoduleOf(p string) string {
	for _, sub := range t.submodules {
		if within(p, sub) {
			return sub
		}
	}
	return ""
}

// absent explains a path that is not there, or an empty directory, when it lies
// in a submodule that was not checked out.
func (t *tree) absent(p string) error {
	sub := t.submoduleOf(p)
	if sub == "" || t.hasFiles(sub) {
		return nil
	}
	return fmt.Errorf("lies in the submodule %s, which is not checked out: git submodule update --init %s", sub, sub)
}

func (t *tree) hasFiles(dir string) bool {
	if t.disk == nil || t.made[dir] {
		return true
	}
	at, _ := slices.BinarySearch(t.disk.names, dir+"/")
	return at < len(t.disk.names) && within(t.disk.names[at], dir)
}
