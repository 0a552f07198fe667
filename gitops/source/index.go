package source

import (
	"bytes"
	"context"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// index holds what the search for the release starts from. Files are parsed
// only when a cheap look at their bytes says that they can matter.
type index struct {
	releases []document // HelmReleases of files that mention cilium, or a chart by variable
	fluxes   []document // Flux Kustomizations
	syncs    []document // FluxInstances
	sources  []string   // files that mention a Flux source
	configs  []string   // files that mention a ConfigMap or a Secret
	argo     []string   // files with an Argo CD application that mention cilium
	helmfile []string   // helmfiles that mention cilium
	foreign  []string   // Kustomizations of other repositories, in words
	froms    []string   // files that mention substituteFrom
	sets     []document // ResourceSets of the Flux Operator
	remotes  []string   // addresses of this repository
	helm     []string   // files that mention a HelmRelease
	charts   []string   // files that may be, or hold, a patch which sets a chart to cilium
	// broken are files that could hold a release or a Kustomization but could
	// not be parsed, by path.
	broken map[string]error
}

// scanned is what the look at one file gave.
type scanned struct {
	docs                           []document
	source, config, argo, helmfile bool
	from, helm, chart              bool
	err                            error
}

// scan reads every YAML file of the tree, on all processors, and indexes it.
func scan(ctx context.Context, t *tree) (*index, error) {
	files := t.manifests()
	results := make([]scanned, len(files))
	var wg sync.WaitGroup
	workers := max(2, runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < len(files) && ctx.Err() == nil; i += workers {
				results[i] = look(t, files[i])
			}
		}()
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ix := &index{broken: map[string]error{}}
	for i, r := range results {
		ix.add(files[i], r)
	}
	return ix, nil
}

// manifests are the files that can hold objects: YAML, and JSON, which a
// kustomization can list. Sorted.
func (t *tree) manifests() []string {
	files := slices.Clone(t.yamls)
	isJSON := func(f string) bool { return isManifestName(f) && !isYAMLName(f) && t.isFile(f) }
	for _, f := range t.disk.names {
		if isJSON(f) {
			files = append(files, f)
		}
	}
	for f := range t.overlay {
		if isJSON(f) {
			files = append(files, f)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

func isManifestName(p string) bool {
	return isYAMLName(p) || strings.EqualFold(path.Ext(p), ".json")
}

// look reads one file. A file that is too large or cannot be read is remembered
// as broken; the error is shown only if the file turns out to be needed.
func look(t *tree, file string) scanned {
	src, err := t.read(file)
	if err != nil {
		return scanned{err: err}
	}
	var s scanned
	s.helm = bytes.Contains(src, []byte("HelmRelease"))
	s.chart = (containsFold(src, "cilium") || bytes.Contains(src, []byte("${"))) && patchesChart.Match(src)
	release := s.helm && (containsFold(src, "cilium") || variableChart.Match(src))
	flux := bytes.Contains(src, []byte("kustomize.toolkit.fluxcd.io"))
	sync := bytes.Contains(src, []byte("FluxInstance"))
	s.source = bytes.Contains(src, []byte("source.toolkit.fluxcd.io"))
	s.config = bytes.Contains(src, []byte("ConfigMap")) || bytes.Contains(src, []byte("Secret"))
	s.from = bytes.Contains(src, []byte("substituteFrom"))
	s.argo = bytes.Contains(src, []byte("argoproj.io/")) && containsFold(src, "cilium")
	s.helmfile = strings.Contains(path.Base(file), "helmfile") && containsFold(src, "cilium")
	if release || flux || sync {
		s.docs, s.err = t.documents(file)
	}
	return s
}

func containsFold(src []byte, lower string) bool {
	if bytes.Contains(src, []byte(lower)) {
		return true
	}
	return bytes.Contains(src, []byte(strings.ToUpper(lower[:1])+lower[1:]))
}

func (ix *index) add(file string, s scanned) {
	for _, d := range s.docs {
		switch {
		case d.id.kind == "HelmRelease" && d.id.group() == "helm.toolkit.fluxcd.io":
			ix.releases = append(ix.releases, d)
		case d.id.kind == "Kustomization" && d.id.group() == "kustomize.toolkit.fluxcd.io":
			ix.fluxes = append(ix.fluxes, d)
		case d.id.kind == "FluxInstance":
			ix.syncs = append(ix.syncs, d)
		case d.id.kind == "ResourceSet" && d.id.group() == "fluxcd.controlplane.io":
			ix.sets = append(ix.sets, d)
		}
	}
	appendIf := func(list *[]string, yes bool) {
		if yes {
			*list = append(*list, file)
		}
	}
	appendIf(&ix.sources, s.source)
	appendIf(&ix.configs, s.config)
	appendIf(&ix.argo, s.argo)
	appendIf(&ix.helmfile, s.helmfile)
	appendIf(&ix.froms, s.from)
	appendIf(&ix.helm, s.helm)
	appendIf(&ix.charts, s.chart)
	if s.err != nil {
		ix.broken[file] = s.err
	}
}

// with returns the index as it is when the given files have changed.
func (ix *index) with(t *tree, files map[string][]byte) *index {
	changed := func(f string) bool { _, ok := files[f]; return ok }
	ofChanged := func(d document) bool { return changed(d.file) }
	next := &index{
		releases: slices.DeleteFunc(slices.Clone(ix.releases), ofChanged),
		fluxes:   slices.DeleteFunc(slices.Clone(ix.fluxes), ofChanged),
		syncs:    slices.DeleteFunc(slices.Clone(ix.syncs), ofChanged),
		sets:     slices.DeleteFunc(slices.Clone(ix.sets), ofChanged),
		remotes:  ix.remotes,
		sources:  slices.DeleteFunc(slices.Clone(ix.sources), changed),
		configs:  slices.DeleteFunc(slices.Clone(ix.configs), changed),
		argo:     slices.DeleteFunc(slices.Clone(ix.argo), changed),
		helmfile: slices.DeleteFunc(slices.Clone(ix.helmfile), changed),
		froms:    slices.DeleteFunc(slices.Clone(ix.froms), changed),
		helm:     slices.DeleteFunc(slices.Clone(ix.helm), changed),
		charts:   slices.DeleteFunc(slices.Clone(ix.charts), changed),
		broken:   map[string]error{},
	}
	for f, err := range ix.broken {
		if !changed(f) {
			next.broken[f] = err
		}
	}
	for _, f := range sortedKeys(files) {
		if files[f] != nil && isManifestName(f) {
			next.add(f, look(t, f))
		}
	}
	return next
}

// brokenRelease returns the first error, in order of path, of a file that
// mentions a Cilium HelmRelease.
func (ix *index) brokenRelease(t *tree) error {
	for _, f := range sortedKeys(ix.broken) {
		src, err := t.read(f)
		if err != nil {
			if strings.Contains(f, "cilium") {
				return ix.broken[f]
			}
			continue
		}
		if bytes.Contains(src, []byte("HelmRelease")) && containsFold(src, "cilium") {
			return ix.broken[f]
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
