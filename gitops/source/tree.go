package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"syscall"
)

const (
	defaultMaxFileBytes = 4 << 20
	// maxFiles bounds the names kept in memory; the largest public Flux
	// repositories hold some tens of thousands of files.
	maxFiles = 500_000
)

// tree is a repository's files, confined to its root. The overlay stands in
// front of the disk: nil content means that the file does not exist.
type tree struct {
	root   *os.Root
	max    int64
	yamls  []string // sorted paths of *.yaml and *.yml files
	others []string // sorted paths of other files whose name matters
	// disk is what was listed, nil for a tree that was opened without listing.
	disk    *listing
	overlay map[string][]byte
	// made are the directories that hold a file of the overlay.
	made map[string]bool
	// gone are the files of the disk that the overlay takes away, sorted.
	gone []string
	kept *contents
	// remotes are the remote bases that were asked for, by address.
	remotes map[string]mount
	// submodules are the paths of other repositories in this one, sorted.
	submodules []string
}

// listing is what lies on the disk.
type listing struct {
	names []string // sorted paths of everything but directories
	files map[string]bool
	dirs  map[string]bool
	links map[string]bool
}

// openShallow opens the repository without listing it.
func openShallow(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the repository: %w", err)
	}
	return &tree{root: root, max: defaultMaxFileBytes, kept: &contents{}}, nil
}

// openOverlaid lists the repository as the given files change it.
func openOverlaid(dir string, max int64, files map[string][]byte) (*tree, error) {
	t, err := openTree(dir, max)
	if err != nil || len(files) == 0 {
		return t, err
	}
	for _, f := range sortedKeys(files) {
		if _, inside := join(".", f); !inside {
			return nil, fmt.Errorf("the file %q of the overlay %w", f, ErrOutside)
		}
	}
	return t.with(files), nil
}

// openTree lists the repository without reading it.
func openTree(dir string, max int64) (*tree, error) {
	t, err := openShallow(dir)
	if err != nil {
		return nil, err
	}
	if max > 0 {
		t.max = max
	}
	t.disk = &listing{files: map[string]bool{}, dirs: map[string]bool{}, links: map[string]bool{}}
	err = fs.WalkDir(t.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("list the repository: %w", err)
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if len(t.disk.names) >= maxFiles {
			return fmt.Errorf("more than %d files under %s: give the directory of the cluster with --repo", maxFiles, dir)
		}
		t.disk.add(p, d)
		if !d.IsDir() {
			t.note(p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(t.disk.names)
	sort.Strings(t.yamls)
	sort.Strings(t.others)
	return t, nil
}

func (l *listing) add(p string, d fs.DirEntry) {
	if d.IsDir() {
		l.dirs[p] = true
		return
	}
	l.names = append(l.names, p)
	switch {
	case d.Type().IsRegular():
		l.files[p] = true
	case d.Type()&fs.ModeSymlink != 0:
		l.links[p] = true
	}
}

func (t *tree) note(p string) {
	switch {
	case isYAMLName(p):
		t.yamls = append(t.yamls, p)
	case isOtherName(p):
		t.others = append(t.others, p)
	}
}

func isYAMLName(p string) bool {
	ext := strings.ToLower(path.Ext(p))
	return ext == ".yaml" || ext == ".yml"
}

func isOtherName(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".j2", ".jinja", ".jinja2", ".tmpl", ".gotmpl", ".tpl", ".tf", ".cue", ".nix", ".jsonnet", ".libsonnet", ".k":
		return true
	}
	return false
}

// with returns a tree in which the given files have the given contents.
func (t *tree) with(files map[string][]byte) *tree {
	c := *t
	c.overlay = make(map[string][]byte, len(t.overlay)+len(files))
	for p, b := range t.overlay {
		c.overlay[p] = b
	}
	listed := false
	for p, b := range files {
		p = path.Clean(p)
		listed = listed || (b != nil) != t.isEntry(p)
		c.overlay[p] = b
	}
	if listed || t.made == nil {
		c.relist()
	}
	return &c
}

// isEntry reports whether something other than a directory has the name.
func (t *tree) isEntry(p string) bool {
	if b, ok := t.overlay[p]; ok {
		return b != nil
	}
	if t.disk != nil {
		_, found := slices.BinarySearch(t.disk.names, p)
		return found
	}
	info, err := t.root.Lstat(p)
	return err == nil && !info.IsDir()
}

// relist derives from the overlay which names there are.
func (t *tree) relist() {
	t.made, t.gone = map[string]bool{}, nil
	names := slices.Concat(t.yamls, t.others)
	for p, b := range t.overlay {
		if b == nil {
			t.gone = append(t.gone, p)
			continue
		}
		names = append(names, p)
		for d := path.Dir(p); !t.made[d]; d = path.Dir(d) {
			t.made[d] = true
		}
	}
	slices.Sort(t.gone)
	slices.Sort(names)
	t.yamls, t.others = nil, nil
	for _, p := range slices.Compact(names) {
		if b, ok := t.overlay[p]; !ok || b != nil {
			t.note(p)
		}
	}
}

// read returns the content of a regular file. It never opens a device or a
// pipe, never leaves the root, and never reads more than the limit.
func (t *tree) read(p string) ([]byte, error) {
	if b, ok := t.overlay[p]; ok {
		return t.overlaid(p, b)
	}
	if len(t.overlay) > 0 {
		if b, ok := t.overlay[t.real(p)]; ok || t.hidden(p) {
			return t.overlaid(p, b)
		}
	}
	if b, ok := t.kept.get(p); ok {
		return b, nil
	}
	b, err := t.readDisk(p)
	if err == nil {
		t.kept.put(p, b)
	}
	return b, err
}

func (t *tree) overlaid(p string, b []byte) ([]byte, error) {
	switch {
	case b == nil:
		return nil, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
	case int64(len(b)) > t.max:
		return nil, t.tooLarge(p, int64(len(b)))
	}
	return b, nil
}

func (t *tree) tooLarge(p string, size int64) error {
	return fmt.Errorf("%s: %w: %d bytes, the limit is %d; keep the release's values in a file of their own", p, ErrTooLarge, size, t.max)
}

// readDisk opens without waiting, for the case that a pipe took the file's
// place after the listing.
func (t *tree) readDisk(p string) ([]byte, error) {
	if t.disk == nil || !t.disk.files[p] {
		info, err := t.root.Stat(p)
		if err != nil {
			return nil, t.explain(p, err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", p)
		}
	}
	f, err := t.root.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, t.explain(p, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", p)
	}
	if info.Size() > t.max {
		return nil, t.tooLarge(p, info.Size())
	}
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	return b[:n], nil
}

// explain turns the errors of os.Root into words for the reader.
func (t *tree) explain(p string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", p, fs.ErrNotExist)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("read %s: %w", p, fs.ErrPermission)
	}
	if strings.Contains(err.Error(), "escapes") {
		return fmt.Errorf("%s is, or lies behind, a symbolic link that %w: it is not followed; keep the file itself in the repository", p, ErrOutside)
	}
	return fmt.Errorf("read %s: %w", p, err)
}

// isFile and isDir report what a path is, following links inside the root.
func (t *tree) isFile(p string) bool {
	if b, ok := t.overlay[p]; ok {
		return b != nil
	}
	if t.disk != nil && t.disk.files[p] {
		return true
	}
	if t.hasLinks() {
		p = t.real(p)
	}
	if b, ok := t.overlay[p]; ok {
		return b != nil
	}
	if t.disk != nil {
		return t.disk.files[p]
	}
	info, err := t.root.Stat(p)
	return err == nil && info.Mode().IsRegular()
}

func (t *tree) isDir(p string) bool {
	if t.hasLinks() {
		p = t.real(p)
	}
	switch {
	case p == "." || t.made[p]:
		return true
	case t.disk != nil:
		return t.disk.dirs[p] && !t.emptied(p)
	}
	info, err := t.root.Stat(p)
	return err == nil && info.IsDir()
}

// emptied reports whether the overlay takes away all that a directory of the
// disk holds: Git knows no empty directories.
func (t *tree) emptied(dir string) bool {
	if len(t.gone) == 0 {
		return false
	}
	prefix := dir + "/"
	on := t.disk.names[sort.SearchStrings(t.disk.names, prefix):]
	lost := 0
	for _, p := range on {
		if !strings.HasPrefix(p, prefix) {
			break
		}
		if b, ok := t.overlay[p]; !ok || b != nil {
			return false
		}
		lost++
	}
	return lost > 0
}

// under returns the YAML files below a directory, sorted.
func (t *tree) under(dir string) []string {
	if dir == "." {
		return t.yamls
	}
	prefix := dir + "/"
	from := sort.SearchStrings(t.yamls, prefix)
	to := from
	for to < len(t.yamls) && strings.HasPrefix(t.yamls[to], prefix) {
		to++
	}
	return t.yamls[from:to]
}

// join resolves a path that a file in dir names. ok is false when it leaves
// the root.
func join(dir, rel string) (p string, ok bool) {
	if path.IsAbs(rel) {
		return "", false
	}
	p = path.Join(dir, rel)
	return p, p != ".." && !strings.HasPrefix(p, "../")
}
