package remediate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"sync"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/render"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// renderCurrent loads the chart and renders the repository as it is. A chart
// that is not to be had costs the render, not the plan.
func (r *Run) renderCurrent(ctx context.Context) error {
	if err := r.loadChart(ctx); err != nil {
		return err
	}
	r.readLive()
	cur, err := r.renderValues(r.chart, r.release.Values)
	switch {
	case render.IsRefusal(err):
		if r.renderError = refusal(err); len(r.release.Unresolved) > 0 {
			r.renderError = ""
			r.doubt("whether the chart takes the values (" + refusal(err) + ")")
		}
		cur = plan.Rendered{Config: plan.FromValues(r.release.Values, r.ciliumVersion()), Values: r.release.Values}
		r.resolve(&cur.Config)
	case err != nil:
		return err
	}
	r.current = cur
	r.sayUnresolved()
	r.doubtApproximated()
	r.weighUnreadable()
	return nil
}

// refusal is the chart's verdict without the words that introduce it, which the
// finding says itself.
func refusal(err error) string {
	var f *render.FailError
	if errors.As(err, &f) {
		return f.Message + " (" + f.Template + ")"
	}
	return err.Error()
}

func (r *Run) readLive() {
	if r.snapshot.AgentConfig.Known {
		live := cilium.Config{Version: r.liveVersion(), Values: r.snapshot.AgentConfig.Value, Source: r.snapshot.AgentConfig.Source}
		if r.snapshot.MasqAgentConfig.Known {
			text := r.snapshot.MasqAgentConfig.Value
			live.MasqAgent = &text
		}
		r.live = &live
	}
}

func (r *Run) liveVersion() string {
	if r.snapshot.AgentImageVersion.Known {
		return r.snapshot.AgentImageVersion.Value
	}
	return r.ciliumVersion()
}

func (r *Run) loadChart(ctx context.Context) error {
	if r.withoutChart {
		return nil
	}
	path := r.opts.Chart
	if path == "" {
		var err error
		if path, err = r.charts.path(r.chartKey(), func() (string, error) { return r.pullChart(ctx) }); err != nil {
			r.opts.progress("no chart: %v", err)
			r.unknown = append(r.unknown, "the chart "+r.release.Chart.Name+" "+r.release.Chart.Version+
				" was not to be had, so nothing was rendered: start-up rules and datapath were checked on an approximation; give --chart DIR|TGZ")
			return nil
		}
	}
	chart, err := r.charts.load(path)
	if err != nil {
		return err
	}
	if chart.Name != r.release.Chart.Name {
		return fmt.Errorf("chart %s is %s, and the release %s/%s wants %s", path, chart.Name, r.release.Namespace, r.release.Name, r.release.Chart.Name)
	}
	r.chart, r.chartPath = chart, path
	r.noteChartVersion()
	r.deciding = chart.Only("cilium-configmap.yaml", "*masq*.yaml", "daemonset.yaml")
	return nil
}

// pullChart finds the chart that the HelmRelease names: in the repository
// itself, in the cache, or in its registry.
func (r *Run) pullChart(ctx context.Context) (string, error) {
	if r.release.Chart.Local {
		p, err := r.folder(r.release.Chart.Path)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(filepath.Join(p, "Chart.yaml")); err == nil {
			return p, nil
		}
	}
	if r.opts.Offline {
		return render.Cached(r.release.Chart, r.opts.CacheDir)
	}
	return render.Pull(ctx, r.release.Chart, r.opts.CacheDir)
}

func (r *Run) renderOptions() render.Options {
	return render.Options{Release: r.release.ReleaseName, Namespace: r.release.TargetNamespace, KubeVersion: r.snapshot.KubernetesVersion.Value}
}

// renderValues renders one set of values, or derives the configuration from
// them where there is no chart. The current values are rendered in full; for
// changed ones the templates that decide the agents' configuration and their
// restart will do, besides the chart's own checks.
func (r *Run) renderValues(chart *render.Chart, values map[string]any) (plan.Rendered, error) {
	if chart == nil {
		cfg := plan.FromValues(values, r.ciliumVersion())
		cfg.Source = "values"
		r.resolve(&cfg)
		return plan.Rendered{Config: cfg, Values: values}, nil
	}
	out, err := r.renderKnown(chart, values)
	if err != nil {
		return plan.Rendered{}, err
	}
	if chart == r.chart {
		r.rendered = out
	}
	if out, err = r.postRender(out); err != nil {
		return plan.Rendered{}, err
	}
	data, ok := out.ConfigMap("cilium-config")
	if !ok {
		return plan.Rendered{}, fmt.Errorf("chart %s %s renders no ConfigMap cilium-config: is it Cilium's?", r.chart.Name, r.chart.Version)
	}
	cfg := cilium.Config{Version: r.ciliumVersion(), Values: data, Source: "ConfigMap " + r.release.TargetNamespace + "/cilium-config (rendered)"}
	if m, ok := out.ConfigMap("ip-masq-agent"); ok {
		text := m["config"]
		cfg.MasqAgent = &text
	}
	sum, _ := out.PodTemplateChecksum("DaemonSet/cilium")
	r.resolve(&cfg)
	return plan.Rendered{Config: cfg, Complete: r.postUnknown == "", AgentTemplate: sum, Values: values}, nil
}

// renderSets writes sets into the files in memory, rebuilds the values, holds
// them against the intended ones, and renders.
func (r *Run) renderSets(sets []plan.Set) (plan.Rendered, error) {
	e, err := r.edit(sets)
	if err != nil {
		return plan.Rendered{}, err
	}
	values, err := r.release.Rebuild(e.files)
	if err != nil {
		return plan.Rendered{}, fmt.Errorf("rebuild the values after the edit: %w", err)
	}
	if want := intended(r.release.Values, sets); !reflect.DeepEqual(normal(values), normal(want)) {
		return plan.Rendered{}, unintended(normal(want), normal(values))
	}
	out, err := r.renderValues(r.deciding, values)
	if err != nil {
		return plan.Rendered{}, err
	}
	if err := r.comesThrough(out, sets); err != nil {
		return plan.Rendered{}, err
	}
	out.Copies = r.changeCopies(e, sets, out)
	out.Changes, out.Diff, out.Affects = e.changes, e.diff(r.readFile), r.affects(e)
	out.Verify = func() ([]v1alpha1.Effect, error) { return r.effects(e.files) }
	r.edits.keep(out.Diff, e.files)
	return out, nil
}

// edited is a change of files in memory.
type edited struct {
	files   map[string][]byte
	changes []v1alpha1.Change
}

func (r *Run) edit(sets []plan.Set) (*edited, error) {
	e := &edited{files: map[string][]byte{}}
	for _, s := range sets {
		if err := r.editOne(e, s); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Path, err)
		}
	}
	return e, nil
}

// editOne writes one value where the repository decides it.
func (r *Run) editOne(e *edited, s plan.Set) error {
	place := r.release.Place(s.Path)
	if place.Err != nil {
		return place.Err
	}
	src, ok := e.files[place.File]
	if !ok {
		var err error
		if src, err = r.readFile(place.File); err != nil {
			return err
		}
	}
	change := edit.Change{Document: place.Document, Path: place.YAMLPath, Value: s.Value}
	if r.opts.ExplainInFile {
		change.Comment = s.Why
	}
	out, err := writeAt(src, place, change)
	if err != nil {
		return fmt.Errorf("%s: %w", place.File, err)
	}
	e.files[place.File] = out
	e.changes = append(e.changes, r.change(s, place, out))
	return nil
}

// readFile reads a file of the checkout, never through a symlink out of it.
func (r *Run) readFile(name string) ([]byte, error) {
	if b, ok := r.files[path.Clean(name)]; ok {
		if b == nil {
			return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
		}
		return b, nil
	}
	root, err := os.OpenRoot(r.root)
	if err != nil {
		return nil, fmt.Errorf("open the checkout: %w", err)
	}
	defer root.Close()
	b, err := root.ReadFile(filepath.FromSlash(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// change describes one edit, with the line that it ends up on.
func (r *Run) change(s plan.Set, place source.Place, out []byte) v1alpha1.Change {
	c := v1alpha1.Change{Path: s.Path, To: s.Value, File: place.File, Line: place.Line, YAMLPath: yamlPath(place), Chain: place.Chain}
	if w := r.release.Where(s.Path); w.Found && !w.Secret {
		c.From = w.Value
	}
	if c.Line == 0 {
		if line, _, found, err := position(out, place); err == nil && found {
			c.Line = line
		}
	}
	if c.Chain == nil {
		c.Chain = []string{}
	}
	c.Source = strings.Join(c.Chain, "; ")
	return c
}

func position(src []byte, p source.Place) (line, column int, found bool, err error) {
	switch {
	case p.Env != "":
		return p.Line, 1, p.Line > 0, nil
	case p.Block != nil:
		return edit.PositionBlock(src, p.Document, p.Block, p.YAMLPath)
	}
	return edit.Position(src, p.Document, p.YAMLPath)
}

func (e *edited) diff(read func(name string) ([]byte, error)) string {
	var b strings.Builder
	for _, f := range sortedFiles(e.files) {
		before, err := read(f)
		if err != nil {
			continue
		}
		b.WriteString(hideContext(edit.Diff(f, before, e.files[f])))
	}
	return b.String()
}

func (r *Run) affects(e *edited) []string {
	seen := map[string]bool{}
	out := []string{}
	for _, f := range sortedFiles(e.files) {
		for _, a := range r.release.Affects(f) {
			if !seen[a] {
				seen[a] = true
				out = append(out, a)
			}
		}
	}
	sort.Strings(out)
	return out
}

func sortedFiles(files map[string][]byte) []string {
	out := make([]string, 0, len(files))
	for f := range files {
		out = append(out, f)
	}
	sort.Strings(out)
	return out
}

// intended is a copy of values with the sets applied.
func intended(values map[string]any, sets []plan.Set) map[string]any {
	out := copyMap(values)
	for _, s := range sets {
		at := out
		keys := strings.Split(s.Path, ".")
		for _, k := range keys[:len(keys)-1] {
			next, ok := at[k].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[k] = next
			}
			at = next
		}
		at[keys[len(keys)-1]] = s.Value
	}
	return out
}

func copyMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if sub, ok := v.(map[string]any); ok {
			v = copyMap(sub)
		}
		out[k] = v
	}
	return out
}

// normal makes values comparable: numbers are floats, as Helm reads them.
func normal(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = normal(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = normal(e)
		}
		return out
	case int:
		return float64(x)
	case int64:
		return float64(x)
	}
	return v
}

// editLog remembers the files of each edit by its diff: renders run side by side.
type editLog struct {
	mu    sync.Mutex
	files map[string]map[string][]byte
}

func newEditLog() *editLog { return &editLog{files: map[string]map[string][]byte{}} }

func (l *editLog) keep(diff string, files map[string][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[diff] = files
}

func (l *editLog) of(c v1alpha1.Candidate) map[string][]byte { return l.files[c.Diff] }
