package source

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// maxLinks bounds the links that one path leads through, as Linux does.
const maxLinks = 40

// hasLinks reports whether the repository may hold symbolic links at all.
func (t *tree) hasLinks() bool { return t.disk == nil || len(t.disk.links) > 0 }

// real is the file behind a path: a symbolic link inside the repository is
// followed, so that an edit, a diff and Git's history are those of the file
// that a person edits. What leads out of the repository, or is not there, stays
// as it is; reading it fails with the reason.
func (t *tree) real(p string) string {
	if p == "" || !t.hasLinks() {
		return p
	}
	at := p
	for range maxLinks {
		link, rest, found := t.firstLink(at)
		if !found {
			return at
		}
		to, err := t.root.Readlink(link)
		if err != nil || path.IsAbs(to) || filepath.IsAbs(to) {
			return p
		}
		next, inside := join(path.Dir(link), filepath.ToSlash(to))
		if !inside {
			return p
		}
		at = path.Join(next, rest)
	}
	return p
}

// firstLink finds the first symbolic link on a path, and what follows it. What
// the overlay holds or takes away is none.
func (t *tree) firstLink(p string) (link, rest string, found bool) {
	for i := 0; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		at := p[:i]
		if _, ok := t.overlay[at]; ok || t.made[at] {
			continue
		}
		if t.isLink(at) {
			return at, strings.TrimPrefix(p[i:], "/"), true
		}
	}
	return "", "", false
}

func (t *tree) isLink(p string) bool {
	if t.disk != nil {
		return t.disk.links[p]
	}
	info, err := t.root.Lstat(p)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// hidden reports whether p, or what leads to it on the disk, is taken away by
// the overlay: a link or a file that it replaces, or a directory of which it
// leaves nothing.
func (t *tree) hidden(p string) bool {
	if t.disk != nil && t.disk.dirs[p] && t.emptied(p) {
		return true
	}
	for d := path.Dir(p); d != "."; d = path.Dir(d) {
		if _, ok := t.overlay[d]; ok {
			return true
		}
	}
	return false
}
