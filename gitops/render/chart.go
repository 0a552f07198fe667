package render

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// maxChartBytes bounds a chart's archive and the files of its directory.
// Cilium 1.18.6 has 150 kB compressed and 1.2 MB as files.
const maxChartBytes = 32 << 20

// ErrNoChart says that a chart cannot be had.
var ErrNoChart = errors.New("no chart")

// Chart is a loaded Helm chart. It is safe for concurrent use.
type Chart struct {
	Name, Version, AppVersion string

	path   string
	chart  *chart.Chart
	index  func() *index
	schema *schema
}

// LoadChart reads a chart from a directory or a .tgz archive.
func LoadChart(path string) (*Chart, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	c, err := loader.Load(path)
	if err != nil {
		return nil, fmt.Errorf("load the chart %s: %w", path, err)
	}
	if c.Metadata == nil {
		return nil, fmt.Errorf("load the chart %s: it has no Chart.yaml", path)
	}
	return &Chart{Name: c.Name(), Version: c.Metadata.Version, AppVersion: c.AppVersion(), path: path, chart: c,
		index: sync.OnceValue(func() *index { return newIndex(c) }), schema: newSchema(c)}, nil
}

// check bounds what the loader will read.
func check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w at %s: %w; give the chart's directory or archive with --chart", ErrNoChart, path, err)
	}
	if !info.IsDir() {
		if info.Size() > maxChartBytes {
			return fmt.Errorf("the chart %s has %d bytes, the limit is %d", path, info.Size(), maxChartBytes)
		}
		return nil
	}
	return checkDir(path)
}

// checkDir refuses symbolic links out of the chart, which Helm would follow.
func checkDir(dir string) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("open the chart %s: %w", dir, err)
	}
	var total int64
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("read the chart %s: %w", dir, err)
		}
		if d.Type()&fs.ModeSymlink != 0 {
			to, err := filepath.EvalSymlinks(p)
			if err != nil || !strings.HasPrefix(to, root+string(filepath.Separator)) {
				return fmt.Errorf("the chart %s holds a symbolic link out of it: %s", dir, p)
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("the chart %s holds %s, which is not a regular file", dir, p)
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("read the chart %s: %w", dir, err)
		}
		if total += info.Size(); total > maxChartBytes {
			return fmt.Errorf("the chart %s has more than %d bytes", dir, maxChartBytes)
		}
		return nil
	})
}

// Only returns a chart that renders just the templates that match one of the
// patterns, as path.Match reads them, against the path below templates/ or the
// base name. Partials and validate.yaml always stay, so that the chart's own
// checks still fail.
func (c *Chart) Only(patterns ...string) *Chart {
	next := *c
	cut := *c.chart
	cut.Templates = slices.DeleteFunc(slices.Clone(c.chart.Templates), func(f *common.File) bool {
		return !keep(f.Name, patterns)
	})
	next.chart = &cut
	return &next
}

func keep(name string, patterns []string) bool {
	base := path.Base(name)
	if strings.HasPrefix(base, "_") || base == "validate.yaml" {
		return true
	}
	below := strings.TrimPrefix(name, "templates/")
	return slices.ContainsFunc(patterns, func(p string) bool {
		onPath, _ := path.Match(p, below)
		onBase, _ := path.Match(p, base)
		return onPath || onBase
	})
}

// Config returns a chart that renders only what decides the agents'
// configuration: the cilium-config and ip-masq-agent ConfigMaps.
func (c *Chart) Config() *Chart {
	return c.Only("cilium-configmap.yaml", "*masq*.yaml")
}

// Default returns the chart's own value at a path.
func (c *Chart) Default(path string) (any, bool) {
	return valueAt(c.chart.Values, strings.Split(path, "."))
}
