package source

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	// variableChart finds a chart, or a chart's source, that a variable names.
	variableChart = regexp.MustCompile(`(?:chart|name)["']?\s*:\s*["']?[^\s#]*\$\{`)
	// patchesChart finds what a patch that changes a chart's name can look like.
	patchesChart = regexp.MustCompile(`chart["']?\s*:\s*["']?[^\s#]*(?:cilium|\$\{)|chartRef|/spec/chart`)
	// variableSource finds a chart's source whose address or chart a variable
	// ends.
	variableSource = regexp.MustCompile(`(?:chart|url)["']?\s*:\s*["']?[^\s#]*\}["']?\s*(?:[#,}\n]|$)`)
	// variableReference finds a name that a variable gives.
	variableReference = regexp.MustCompile(`name["']?\s*:\s*["']?[^\s#]*\$\{`)
)

// candidate is a file that may hold a Cilium release and what applies it.
type candidate struct {
	k    *flux
	tier int
	file string
}

// suspects is what may be a Cilium release.
type suspects struct {
	// docs are the HelmReleases by file; none for a file of which only a patch
	// can make one.
	docs map[string][]document
	// sources are the names of chart sources of Cilium, or that a variable
	// decides.
	sources []string
	// text is that of the files, in which the names of values sources stand.
	text []byte
}

// suspects are looked for once.
func (s *search) suspects() *suspects {
	if s.suspected != nil {
		return s.suspected
	}
	found := &suspects{docs: map[string][]document{}, sources: s.chartSources()}
	s.suspected = found
	for _, d := range append(slices.Clone(s.ix.releases), s.namedBySource()...) {
		if s.mayBeCilium(statedChart(d)) {
			found.docs[d.file] = append(found.docs[d.file], d)
		}
	}
	for f := range s.patchedCharts() {
		found.docs[f] = append([]document(nil), found.docs[f]...)
	}
	for _, f := range sortedKeys(found.docs) {
		if src, err := s.t.read(f); err == nil {
			found.text = append(append(found.text, src...), '\n')
		}
	}
	return found
}

func statedChart(d document) (chart, ref string) {
	return text(lookup(d.node, "spec", "chart", "spec", "chart")), text(lookup(d.node, "spec", "chartRef", "name"))
}

func builtChart(obj map[string]any) (chart, ref string) {
	return stringAt(obj, "spec", "chart", "spec", "chart"), stringAt(obj, "spec", "chartRef", "name")
}

// mayBeCilium judges by what names a chart, before variables are substituted. A
// HelmRelease that names none is a patch, or a patch completes it.
func (s *search) mayBeCilium(chart, ref string) bool {
	switch {
	case chart != "":
		return path.Base(chart) == "cilium" || strings.Contains(chart, "${")
	case ref != "":
		return strings.Contains(ref, "cilium") || strings.Contains(ref, "${") || slices.ContainsFunc(s.suspects().sources, func(name string) bool {
			return strings.Contains(ref, name) || strings.Contains(name, ref)
		})
	}
	return true
}

// chartSources names the OCIRepositories and HelmCharts of the chart, or whose
// chart a variable names.
func (s *search) chartSources() []string {
	var names []string
	for _, f := range s.ix.sources {
		src, err := s.t.read(f)
		if err != nil || !bytes.Contains(src, []byte("cilium")) && !variableSource.Match(src) {
			continue
		}
		docs, err := s.t.documents(f)
		if err != nil {
			continue
		}
		for _, d := range docs {
			field := map[string]string{"OCIRepository": "url", "HelmChart": "chart"}[d.id.kind]
			chart := path.Base(text(lookup(d.node, "spec", field)))
			if field != "" && d.id.name != "" && (chart == "cilium" || strings.Contains(chart, "}")) {
				names = append(names, d.id.name)
			}
		}
	}
	return names
}

// namedBySource are the HelmReleases of files that do not mention cilium, but a
// source of its chart.
func (s *search) namedBySource() []document {
	names := slices.DeleteFunc(s.chartSources(), func(n string) bool { return strings.Contains(n, "cilium") })
	if len(names) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, d := range s.ix.releases {
		known[d.file] = true
	}
	var out []document
	for _, f := range s.ix.helm {
		src, err := s.t.read(f)
		if err != nil || known[f] || !bytes.Contains(src, []byte("chartRef")) || !slices.ContainsFunc(names, func(n string) bool { return bytes.Contains(src, []byte(n)) }) {
			continue
		}
		docs, _ := s.t.documents(f)
		for _, d := range docs {
			if _, ref := statedChart(d); d.id.kind == "HelmRelease" && ref != "" {
				out = append(out, d)
			}
		}
	}
	return out
}

// patchedCharts are the files with HelmReleases of which a patch may make one of
// Cilium.
func (s *search) patchedCharts() map[string]bool {
	charts := map[string]bool{}
	for _, f := range s.ix.charts {
		charts[f] = true
	}
	if len(charts) == 0 {
		return nil
	}
	dirs := map[string]bool{}
	for _, k := range slices.Concat(s.all, s.roots()) {
		if charts[k.doc.file] && len(anyList(k.spec["patches"])) > 0 && patchesChart.MatchString(asYAML(k.spec["patches"])) {
			dirs[k.path] = true
		}
		for _, u := range s.g.closure(k.path, k.extra...) {
			if charts[u.kfile] && u.patches() || slices.ContainsFunc(u.reads, func(f string) bool { return charts[f] && u.patches() }) {
				dirs[u.dir] = true
			}
		}
	}
	found := map[string]bool{}
	for dir := range dirs {
		set := s.g.set(dir)
		for _, f := range s.ix.helm {
			if set[f] {
				found[f] = true
			}
		}
	}
	return found
}

// patches reports whether a kustomization changes objects by patches.
func (u *unit) patches() bool {
	return slices.ContainsFunc([]string{"patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "transformers"}, func(f string) bool {
		return len(items(child(u.node, f))) > 0
	})
}

// matters keeps the files that can hold the release, its chart's source or its
// values, and the kustomizations that can generate these.
func (s *search) matters(file string) bool {
	if s.relevant == nil {
		s.relevant = map[string]bool{}
		for f := range s.suspects().docs {
			s.relevant[f] = true
		}
		for _, f := range slices.Concat(s.ix.sources, s.ix.configs) {
			s.relevant[f] = true
		}
	}
	return s.relevant[file] || slices.Contains(kustomizationNames, path.Base(file)) && s.generates(s.g.unit(path.Dir(file)))
}

// generates reports whether a kustomization generates what a suspect can name.
func (s *search) generates(u *unit) bool {
	written := s.suspects().text
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		for _, gen := range items(child(u.node, field)) {
			if bytes.Contains(written, []byte(text(child(gen, "name")))) || variableReference.Match(written) {
				return true
			}
		}
	}
	return false
}

// roots are the paths that FluxInstances synchronise, always the same ones.
func (s *search) roots() []*flux {
	if s.synced == nil {
		s.synced = syncRoots(s.t, s.ix)
	}
	return s.synced
}

// candidates pairs every file that may hold a Cilium release with all that
// applies it. The tiers: 3 is reached from an entry point, 2 is applied by a
// Kustomization that nothing reaches, 1 by none, 0 lies in an archive.
func (s *search) candidates() []candidate {
	var cands []candidate
	alone := map[string]*flux{}
	for _, f := range sortedKeys(s.suspects().docs) {
		reached := false
		for _, k := range s.all {
			if s.g.applies(k, f) {
				reached = true
				cands = append(cands, candidate{k: k, tier: tierOf(k), file: f})
			}
		}
		for _, k := range s.roots() {
			if s.g.applies(k, f) {
				reached = true
				cands = append(cands, candidate{k: k, tier: 3, file: f})
			}
		}
		if !reached {
			tier := 1
			if isArchive(f) {
				tier = 0
			}
			k := standIn(s.g, f)
			if alone[k.path+"\x00"+k.only] == nil {
				alone[k.path+"\x00"+k.only] = k
			}
			cands = append(cands, candidate{k: alone[k.path+"\x00"+k.only], tier: tier, file: f})
		}
	}
	for _, c := range cands {
		for _, p := range c.k.lineage() {
			s.b.wanted[p.doc.file] = true
		}
	}
	return slices.DeleteFunc(cands, func(c candidate) bool { return !s.named(c) })
}

// named reports whether one of the candidate's HelmReleases is of Cilium once
// variables that name charts are substituted.
func (s *search) named(c candidate) bool {
	docs := s.suspects().docs[c.file]
	return len(docs) == 0 || slices.ContainsFunc(docs, func(d document) bool {
		chart, ref := statedChart(d)
		if !strings.Contains(chart+ref, "${") {
			return true
		}
		vars := s.b.variablesOf(s.ix, s.b.effective(s.ix, c.k))
		chart, err := vars.text(chart)
		if err != nil || strings.Contains(ref, "${") {
			return true
		}
		return path.Base(chart) == "cilium"
	})
}
