package remediate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/gitops/render"
	"github.com/remediate-dev/remediate/gitops/source"
)

// charts keeps the charts that several runs need. A nil one keeps nothing.
type charts struct {
	paths  map[string]chartPath
	loaded map[string]*render.Chart
}

type chartPath struct {
	path string
	err  error
}

func newCharts() *charts {
	return &charts{paths: map[string]chartPath{}, loaded: map[string]*render.Chart{}}
}

// path is where the chart of a key lies. A chart that was not to be had is not
// asked for again.
func (c *charts) path(key string, get func() (string, error)) (string, error) {
	if c == nil || key == "" {
		return get()
	}
	p, ok := c.paths[key]
	if !ok {
		p.path, p.err = get()
		c.paths[key] = p
	}
	return p.path, p.err
}

func (c *charts) load(from string) (*render.Chart, error) {
	if c == nil {
		return render.LoadChart(from)
	}
	if chart, ok := c.loaded[from]; ok {
		return chart, nil
	}
	chart, err := render.LoadChart(from)
	if err == nil {
		c.loaded[from] = chart
	}
	return chart, err
}

// chartKey names the chart that the release asks for; empty for one that lies in
// the repository, which may differ from state to state.
func (r *Run) chartKey() string {
	c := r.release.Chart
	if c.Local {
		return ""
	}
	c.Source = ""
	return fmt.Sprintf("%+v", c)
}

// statements are what the files of one state say of its networks, read once.
type statements struct {
	facts []source.StatedFact
	err   error
	read  bool
}

func (r *Run) statedByFiles() ([]source.StatedFact, error) {
	if r.stated == nil {
		return source.Stated(r.root, r.files)
	}
	if !r.stated.read {
		r.stated.facts, r.stated.err = source.Stated(r.root, r.files)
		r.stated.read = true
	}
	return r.stated.facts, r.stated.err
}

// maxFolder bounds what is written out of a state, in bytes.
const maxFolder = 256 << 20

// folder is a directory of the state: that of the working tree, or, where the
// state differs from it there, a copy that goes with the run.
func (r *Run) folder(name string) (string, error) {
	name = path.Clean(name)
	on := filepath.Join(r.root, filepath.FromSlash(name))
	if !r.differsBelow(name) {
		return on, nil
	}
	tmp, err := os.MkdirTemp("", "remediate-state-")
	if err != nil {
		return "", fmt.Errorf("make a folder for %s: %w", name, err)
	}
	r.folders = append(r.folders, tmp)
	names, err := r.filesBelow(name)
	if err != nil {
		return "", err
	}
	total := 0
	for _, f := range names {
		b, err := r.readFile(f)
		if err != nil {
			return "", err
		}
		if total += len(b); total > maxFolder {
			return "", fmt.Errorf("%s holds more than %d MiB: give it with --chart or --snapshot", name, maxFolder>>20)
		}
		if err := writeBelow(tmp, strings.TrimPrefix(strings.TrimPrefix(f, name), "/"), b); err != nil {
			return "", fmt.Errorf("copy %s: %w", f, err)
		}
	}
	return tmp, nil
}

func (r *Run) differsBelow(dir string) bool {
	for f := range r.files {
		if below(f, dir) {
			return true
		}
	}
	return false
}

func below(f, dir string) bool { return dir == "." || f == dir || strings.HasPrefix(f, dir+"/") }

// filesBelow lists the regular files of the state below a directory, sorted.
func (r *Run) filesBelow(dir string) ([]string, error) {
	found := map[string]bool{}
	root, err := os.OpenRoot(r.root)
	if err != nil {
		return nil, fmt.Errorf("open the checkout: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found[p] = true
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	for f, b := range r.files {
		if below(f, dir) {
			found[f] = b != nil
		}
	}
	var out []string
	for f, there := range found {
		if there {
			out = append(out, f)
		}
	}
	sort.Strings(out)
	return out, nil
}

func writeBelow(dir, name string, content []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name = filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return root.WriteFile(name, content, 0o644)
}
