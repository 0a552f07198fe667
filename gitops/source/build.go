package source

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	kustypes "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

const (
	originAnnotation = "config.kubernetes.io/origin"
	// memoryRoot is where the repository lies in kustomize's memory file system.
	memoryRoot           = "/repo"
	transformsAnnotation = "alpha.config.kubernetes.io/transformations"
)

// kustomizeLock serialises builds: kustomize's OpenAPI schema is one per
// process.
var kustomizeLock sync.Mutex

// built is one object of a build, before variables are substituted.
type built struct {
	id     objectID
	object map[string]any
	origin origin
}

// madeFrom reports whether a built object can have been made from one of the
// given name: kustomize adds prefixes, suffixes and hashes.
func (b built) madeFrom(name string) bool {
	return name != "" && strings.Contains(b.id.name, name)
}

// origin is where kustomize read or generated an object.
type origin struct {
	Path         string `yaml:"path"`
	Repo         string `yaml:"repo"`
	ConfiguredIn string `yaml:"configuredIn"`
	ConfiguredBy struct {
		Kind string `yaml:"kind"`
		Name string `yaml:"name"`
	} `yaml:"configuredBy"`
}

// builder builds Flux Kustomizations of one tree.
type builder struct {
	t *tree
	g *graph
	// notes says what was left out of a build, by Kustomization.
	notes map[*flux][]string
	// all are the Kustomizations of the repository, where they are known.
	all []*flux
	// effs are the Kustomizations as their parents apply them, applied what
	// building a parent gave.
	effs    map[*flux]*flux
	applied map[*flux]*children
	// vars are the variables of Kustomizations, single what building one gave of
	// one file.
	vars   map[variablesKey]*variables
	single map[singleKey][]built
	// wanted are the files of Kustomizations that will be asked for.
	wanted map[string]bool
}

func newBuilder(t *tree, g *graph, all []*flux) *builder {
	return &builder{
		t: t, g: g, all: all, notes: map[*flux][]string{},
		effs: map[*flux]*flux{}, applied: map[*flux]*children{}, wanted: map[string]bool{},
		vars: map[variablesKey]*variables{}, single: map[singleKey][]built{},
	}
}

// build runs kustomize on what k applies. keep, if not nil, says which
// resource files matter: the others are left out, which is much faster for a
// Kustomization that applies a whole cluster. A build that fails this way is
// done again with what its patches and replacements need, then in full.
func (b *builder) build(k *flux, keep func(file string) bool) ([]built, error) {
	if keep != nil {
		objs, err := b.run(k, keep)
		if err == nil {
			return objs, nil
		}
		if more := b.alsoNeeded(k, keep); more != nil {
			if objs, err = b.run(k, more); err == nil {
				return objs, nil
			}
		}
	}
	objs, err := b.run(k, func(string) bool { return true })
	if err != nil {
		return nil, fmt.Errorf("%s does not build: %w%s", k.describe(), err, b.leftOut(k))
	}
	return objs, nil
}

func (b *builder) run(k *flux, keep func(string) bool) ([]built, error) {
	b.t.kept.builds.Add(1)
	fs := newFS()
	units := b.g.closure(k.path, k.extra...)
	kept := keptUnits(units, k.extra, keep)
	if err := checkNesting(units, kept, k.extra); err != nil {
		return nil, err
	}
	custom := false
	for i, u := range units {
		if !kept[u.dir] {
			continue
		}
		if err := b.load(fs, k, u, kept, keep, i == 0); err != nil {
			return nil, err
		}
		custom = custom || child(u.node, "openapi") != nil
	}
	m, err := runKustomize(fs, path.Join(memoryRoot, k.path), custom)
	if err != nil {
		return nil, fmt.Errorf("kustomize: %w", err)
	}
	return collect(k.path, m)
}

// keptUnits are the directories that a build needs: those from which a kept file
// is reached, or whose kustomization is kept for what it generates, and the
// components that these list, which transform what they hold.
func keptUnits(units []*unit, extra []string, keep func(string) bool) map[string]bool {
	kept := map[string]bool{units[0].dir: true}
	yields := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for _, u := range slices.Backward(units) {
			if !yields[u.dir] && u.yields(yields, keep) {
				yields[u.dir], changed = true, true
			}
		}
	}
	for _, d := range extra {
		kept[d] = true
	}
	for changed := true; changed; {
		changed = false
		for _, u := range units {
			if !kept[u.dir] {
				continue
			}
			for _, e := range u.entries {
				if e.dir && !kept[e.path] && (yields[e.path] || e.field == "components") {
					kept[e.path], changed = true, true
				}
			}
		}
	}
	return kept
}

// yields reports whether a directory gives an object of a kept file.
func (u *unit) yields(below map[string]bool, keep func(string) bool) bool {
	return keep(u.kfile) || slices.ContainsFunc(u.entries, func(e entry) bool {
		return e.path != "" && (e.dir && below[e.path] || !e.dir && keep(e.path))
	})
}

// load puts one unit into the memory file system: the files it keeps and its
// kustomization with only the entries that were found in the repository, so
// that kustomize has nothing to fetch.
func (b *builder) load(fs filesys.FileSystem, k *flux, u *unit, kept map[string]bool, keep func(string) bool, top bool) error {
	var lists = map[string][]any{}
	for _, e := range u.entries {
		switch {
		case e.remote:
			if e.field == "components" {
				b.note(k, b.t.unread(u, e)+"; a component may change the release")
			}
			continue
		case e.path == "", e.dir && !kept[e.path], !e.dir && (!keep(e.path) || k.only != "" && e.path != k.only):
			continue
		case !e.dir:
			if err := b.copy(fs, e.path); err != nil {
				return err
			}
		}
		lists[e.field] = append(lists[e.field], relative(u.dir, e.path))
	}
	if len(u.problems) > 0 {
		return u.problems[0]
	}
	for _, f := range u.reads {
		if err := b.copy(fs, f); err != nil {
			return fmt.Errorf("%s: %w", u.kfile, err)
		}
	}
	for _, said := range u.unread() {
		b.note(k, said)
	}
	for i, r := range u.remote {
		if err := fs.WriteFile(unreadFile(u, i), []byte(unreadMark+r.why(u))); err != nil {
			return err
		}
	}
	text, err := b.kustomizationText(k, u, lists, top)
	if err != nil {
		return err
	}
	return fs.WriteFile(path.Join(memoryRoot, u.dir, "kustomization.yaml"), text)
}

func (b *builder) note(k *flux, s string) {
	if !slices.Contains(b.notes[k], s) {
		b.notes[k] = append(b.notes[k], s)
	}
}

// copy loads one file, after the same checks that every YAML file gets.
func (b *builder) copy(fs filesys.FileSystem, file string) error {
	src, err := b.t.read(file)
	if err != nil {
		return err
	}
	if isYAMLName(file) && len(src) > 64<<10 || strings.Contains(string(src), "&") && isYAMLName(file) {
		if _, err := parse(file, src); err != nil && !strings.Contains(string(src), "${") {
			return err
		}
	}
	return fs.WriteFile(path.Join(memoryRoot, file), src)
}

func relative(from, to string) string {
	if from == "." {
		return "./" + to
	}
	return strings.Repeat("../", strings.Count(from, "/")+1) + to
}

// runKustomize builds with plugins off. A build that loads an OpenAPI schema
// of its own must not leave it to the next one.
func runKustomize(fs filesys.FileSystem, dir string, customSchema bool) (m resmap.ResMap, err error) {
	kustomizeLock.Lock()
	defer kustomizeLock.Unlock()
	if customSchema {
		defer openapi.ResetOpenAPI()
	}
	// kustomize panics on some invalid objects.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("invalid object: %v", r)
		}
	}()
	return krusty.MakeKustomizer(&krusty.Options{
		LoadRestrictions: kustypes.LoadRestrictionsNone,
		PluginConfig:     kustypes.DisabledPluginConfig(),
	}).Run(fs, dir)
}

func collect(dir string, m resmap.ResMap) ([]built, error) {
	objs := make([]built, 0, m.Size())
	for _, r := range m.Resources() {
		o, err := toBuilt(dir, r)
		if err != nil {
			return nil, err
		}
		objs = append(objs, o)
	}
	return objs, nil
}

func toBuilt(dir string, r *resource.Resource) (built, error) {
	obj, err := r.Map()
	if err != nil {
		return built{}, fmt.Errorf("kustomize: read %s %s: %w", r.GetKind(), r.GetName(), err)
	}
	b := built{object: obj}
	b.id = objectID{apiVersion: r.GetApiVersion(), kind: r.GetKind(), namespace: r.GetNamespace(), name: r.GetName()}
	meta, _ := obj["metadata"].(map[string]any)
	ann, _ := meta["annotations"].(map[string]any)
	if s, ok := ann[originAnnotation].(string); ok {
		if err := yaml.Unmarshal([]byte(s), &b.origin); err != nil {
			return built{}, fmt.Errorf("kustomize: origin of %s: %w", r.GetName(), err)
		}
	}
	for _, a := range []string{originAnnotation, transformsAnnotation} {
		delete(ann, a)
	}
	if len(ann) == 0 {
		delete(meta, "annotations")
	}
	if b.origin.Repo == "" {
		b.origin.Path = under(dir, b.origin.Path)
		b.origin.ConfiguredIn = under(dir, b.origin.ConfiguredIn)
	}
	return b, nil
}

func under(dir, p string) string {
	if p == "" {
		return ""
	}
	return path.Join(dir, p)
}
