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
	root    *os.Root
	max     int64
	yamls   []string // sorted paths of *.yaml and *.yml files
	others  []string // sorted paths of other files whose name matters
	overlay map[string][]byte
}

// openShallow opens the repository without listing it.
func openShallow(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the repository: %w", err)
	}
	return &tree{root: root, max: defaultMaxFileBytes}, nil
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
	count := 0
	err = fs.WalkDir(t.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("list the repository: %w", err)
		}
		if d.IsDir() {
			if d.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		if count++; count > maxFiles {
			return fmt.Errorf("more than %d files under %s: give the directory of the cluster with --repo", maxFiles, dir)
		}
		t.note(p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(t.yamls)
	sort.Strings(t.others)
	return t, nil
}

func (t *tree) note(p string) {
	switch strings.ToLower(path.Ext(p)) {
	case ".yaml", ".yml":
		t.yamls = append(t.yamls, p)
	case ".j2", ".jinja", ".jinja2", ".tmpl", ".gotmpl", ".tpl", ".tf", ".cue", ".nix", ".jsonnet", ".libsonnet", ".k":
		t.others = append(t.others, p)
	}
}

// with returns a tree in which the given files have the given contents.
func (t *tree) with(files map[string][]byte) *tree {
	c := *t
	c.overlay = make(map[string][]byte, len(t.overlay)+len(files))
	for p, b := range t.overlay {
		c.overlay[p] = b
	}
	c.yamls = slices.Clone(t.yamls)
	for p, b := range files {
		p = path.Clean(p)
		c.overlay[p] = b
		at, found := slices.BinarySearch(c.yamls, p)
		switch isYAML := isYAMLName(p); {
		case b == nil && found:
			c.yamls = slices.Delete(c.yamls, at, at+1)
		case b != nil && !found && isYAML:
			c.yamls = slices.Insert(c.yamls, at, p)
		}
	}
	return &c
}

func isYAMLName(p string) bool {
	ext := strings.ToLower(path.Ext(p))
	return ext == ".yaml" || ext == ".yml"
}

// read returns the content of a regular file. It never opens a device or a
// pipe, never leaves the root, and never reads more than the limit.
func (t *tree) read(p string) ([]byte, error) {
	if b, ok := t.overlay[p]; ok {
		if b == nil {
			return nil, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
		}
		return b, nil
	}
	if len(t.overlay) > 0 {
		if b := t.overlay[t.real(p)]; b != nil {
			return b, nil
		}
	}
	info, err := t.root.Stat(p)
	if err != nil {
		return nil, t.explain(p, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", p)
	}
	if info.Size() > t.max {
		return nil, fmt.Errorf("%s: %w: %d bytes, the limit is %d; keep the release's values in a file of their own", p, ErrTooLarge, info.Size(), t.max)
	}
	f, err := t.root.Open(p)
	if err != nil {
		return nil, t.explain(p, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, t.max))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	return b, nil
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
	info, err := t.root.Stat(p)
	return err == nil && info.Mode().IsRegular()
}

func (t *tree) isDir(p string) bool {
	info, err := t.root.Stat(p)
	if err == nil {
		return info.IsDir()
	}
	for f, b := range t.overlay {
		if b != nil && strings.HasPrefix(f, p+"/") {
			return true
		}
	}
	return false
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
