package source

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// real is the file behind a path: a symbolic link inside the repository is
// followed, so that an edit, a diff and Git's history are those of the file
// that a person edits. What leads out of the repository, or is not there, stays
// as it is; reading it fails with the reason.
func (t *tree) real(p string) string {
	if p == "" || !t.linked(p) {
		return p
	}
	root, err := filepath.EvalSymlinks(t.root.Name())
	if err != nil {
		return p
	}
	full, err := filepath.EvalSymlinks(filepath.Join(root, filepath.FromSlash(p)))
	if err != nil {
		return p
	}
	rel, err := filepath.Rel(root, full)
	if err != nil || !filepath.IsLocal(rel) {
		return p
	}
	return filepath.ToSlash(rel)
}

// linked reports whether the path or a directory on its way is a symbolic link.
func (t *tree) linked(p string) bool {
	at := ""
	for _, seg := range strings.Split(p, "/") {
		at = path.Join(at, seg)
		info, err := t.root.Lstat(at)
		if err != nil {
			return false
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}
