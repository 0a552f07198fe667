package source

import (
	"path"
	"slices"
	"strings"
)

// ClusterPath is the directory of the repository from which the release's
// cluster is synchronised: the path of the outermost Flux Kustomization that
// applies it, or the directory that holds it where there is none.
func (r *Release) ClusterPath() string { return r.at.eff.lineage()[0].path }

// AppliedFrom is the path of the Flux Kustomization that applies the release
// itself.
func (r *Release) AppliedFrom() string { return r.at.eff.path }

// AppliedBy is where the Flux Kustomization stands that applies the release
// itself; file is empty where it has none.
func (r *Release) AppliedBy() (file string, line int) { return r.at.eff.doc.file, r.at.eff.doc.line }

// Live says whether Flux applies the release from an entry point of the
// repository. One that only lies there, or that a Kustomization holds which
// nothing applies, is not live.
func (r *Release) Live() bool { return r.at.eff.live }

// Reads says whether one of the Flux Kustomizations that lead to the release
// builds from a file, or the release takes values from it.
func (r *Release) Reads(file string) bool {
	file = path.Clean(file)
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	return slices.ContainsFunc(r.at.eff.lineage(), func(k *flux) bool { return r.reads(k, file) }) ||
		slices.ContainsFunc(r.at.parts, func(p part) bool { return p.File == file })
}

// Faults are the errors that keep Flux from building a Kustomization that leads
// to the release, though the release itself could be read: an entry of a
// kustomization file that is not there, or one that leads out of the repository.
// In the order of the Kustomizations, the entry point first.
func (r *Release) Faults() []error {
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	var out []error
	seen := map[string]bool{}
	for _, k := range r.at.eff.lineage() {
		for _, dir := range append([]string{k.path}, k.extra...) {
			out = append(out, r.at.g.faults(dir, seen)...)
		}
	}
	return out
}

func (g *graph) faults(dir string, seen map[string]bool) []error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	u := g.unit(dir)
	out := slices.Clone(u.problems)
	for _, e := range u.entries {
		if e.dir {
			out = append(out, g.faults(e.path, seen)...)
		}
	}
	return out
}

// tellFailed reports what could not be built to [Options.Failed], as far as the
// options choose its cluster.
func (s *search) tellFailed(at []*flux, errs []error) {
	if s.opts.Failed == nil {
		return
	}
	for i, k := range at {
		if s.opts.ClusterPath == "" || withinCluster(s.opts.ClusterPath, k) {
			s.opts.Failed(k.lineage()[0].path, errs[i])
		}
	}
}

func withinCluster(want string, k *flux) bool {
	want = path.Clean(strings.TrimPrefix(want, "./"))
	for _, f := range k.lineage() {
		for _, p := range []string{f.path, f.doc.file} {
			if want == "." || p == want || strings.HasPrefix(p, want+"/") {
				return true
			}
		}
	}
	return false
}
