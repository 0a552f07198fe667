package source

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Options say where to look and what to choose.
type Options struct {
	// Root is the repository's directory.
	Root string
	// Release is NAMESPACE/NAME of the HelmRelease; empty takes the only one.
	Release string
	// ClusterPath restricts the search to what is applied from this directory
	// of the repository; empty takes all.
	ClusterPath string
	// AllowRemoteBases has the remote bases fetched that the releases need; they
	// are read, never edited. Without it they are left out, and
	// [Release.Missing] says so.
	AllowRemoteBases bool
	// Fetch brings them; nil is [FetchRemote].
	Fetch Fetcher
	// Submodules are paths of other repositories in this one, besides those that
	// .gitmodules names: what lies there is read, never edited.
	Submodules []string
	// Remotes are the addresses from which the checkout was cloned, if known: a
	// Kustomization whose source has one of them applies this repository.
	Remotes []string
	// MaxFileBytes bounds one file; 0 means 4 MiB.
	MaxFileBytes int64
	// Files stand in front of the working tree, by path from the root with
	// forward slashes: the content in place of the file's, nil for a file that
	// does not exist. They may add and take away whole directories. They are not
	// copied: do not change them.
	Files map[string][]byte
	// Failed is told of what could not be built or read although it holds a
	// Cilium release, while other releases could: with the path of the cluster
	// as [Release.ClusterPath] has it. Nil drops that. Where there is no release
	// at all, [List] returns the error.
	Failed func(clusterPath string, err error)
}

// Release is a Cilium HelmRelease as Flux applies it.
type Release struct {
	Namespace, Name string
	// File and Line are where the HelmRelease stands.
	File string
	Line int
	// Document is the index of the YAML document in File.
	Document int
	Chart    Chart
	// TargetNamespace is where the chart is installed.
	TargetNamespace string
	// ReleaseName is the name that Helm gives the release.
	ReleaseName string
	// Values are merged as helm-controller merges them, as Helm reads them:
	// numbers are float64.
	Values map[string]any
	// Sources are in merge order: a later one wins.
	Sources []ValuesSource
	// Missing names what could set values but could not be read, with why.
	Missing []string
	// Kustomizations are the Flux Kustomizations that apply the release, from
	// the entry point down.
	Kustomizations []string
	// Suspended: Flux does not reconcile the release. SuspendedBy names the
	// HelmRelease or the Kustomizations that have spec.suspend set.
	Suspended   bool
	SuspendedBy []string
	// PostRenderers are spec.postRenderers, which change the rendered manifests;
	// see [Release.PostRender].
	PostRenderers []PostRenderer
	// Unresolved are the values that hold a variable which only a source that
	// cannot be read may set, by path: they are not known.
	Unresolved []Unresolved

	at state
}

// Chart is the chart that a release names.
type Chart struct {
	Name string
	// Version is a version, a tag or a semantic version range; empty means the
	// newest.
	Version string
	// Digest pins an OCI artifact, "sha256:…"; usually empty.
	Digest string
	// Kind is HelmRepository, OCIRepository or GitRepository.
	Kind string
	// URL is that of the source; an oci:// URL of an OCIRepository is the
	// chart's own, that of a HelmRepository ends before the chart's name.
	URL string
	// Insecure: the OCI registry is spoken to over plain HTTP, as spec.insecure of the
	// source says.
	Insecure bool
	// Path is the chart's directory in a GitRepository.
	Path string
	// Local is true when Path lies in this repository.
	Local bool
	// Source is file:line of the source object, or of the HelmRelease when the
	// source is not in the repository.
	Source string
}

// ValuesSource is one of the places that a release's values come from.
type ValuesSource struct {
	// Kind is HelmRelease for spec.values, else ConfigMap or Secret.
	Kind string
	Name string
	// File is where a person edits it; empty when that is not in the repository.
	File     string
	Document int
	Line     int
	// YAMLPath leads to the values: empty for a whole file, [spec values], or
	// with Block [data values.yaml], a string that holds YAML.
	YAMLPath []string
	Block    bool
	// TargetPath is the value that valuesFrom.targetPath sets; the source then
	// holds only that one.
	TargetPath string
	// Values are this source's own, variables substituted.
	Values map[string]any
	// Writable is false when File cannot be edited to change them; Why says so.
	Writable bool
	Why      string
	// Unreadable: it may set values, and cannot be read; Why says so.
	Unreadable bool
}

// Path is YAMLPath as one string, with "\." for a dot in a key.
func (s ValuesSource) Path() string { return joinPath(s.YAMLPath) }

// state is what a Release needs to answer questions later.
type state struct {
	mu    *sync.Mutex // guards g and before, which remember what was read
	t     *tree
	ix    *index
	g     *graph
	all   []*flux
	k     *flux // as its file says
	eff   *flux // as its parents apply it
	vars  *variables
	parts []part
	opts  Options
	// release is the built HelmRelease before substitution.
	release built
	// doc is the document that it was built from.
	doc document
	// peers are all releases of the repository, this one among them.
	peers []*Release
	// before is the repository without any edit, once asked for.
	before *world
}

// Find returns the one release that the options choose. The error matches
// [ErrNoRelease], [ErrSeveral] or [ErrNotOurs], or says which file cannot be
// read or built.
func Find(ctx context.Context, opts Options) (*Release, error) {
	all, err := List(ctx, opts)
	if err != nil {
		return nil, err
	}
	if len(all) > 1 {
		return nil, &SeveralError{Releases: all}
	}
	return all[0], nil
}

// List returns all live Cilium releases that fit the options, by cluster path,
// namespace and name. There is at least one, or an error.
func List(ctx context.Context, opts Options) ([]*Release, error) {
	t, err := openOverlaid(opts.Root, opts.MaxFileBytes, opts.Files)
	if err != nil {
		return nil, err
	}
	t.readSubmodules(opts.Submodules)
	ix, err := scan(ctx, t)
	if err != nil {
		return nil, err
	}
	ix.remotes = opts.Remotes
	s, rs, err := lookThrough(ctx, t, ix, opts)
	if err != nil {
		return nil, err
	}
	if len(rs) == 0 {
		return nil, s.none()
	}
	if err := s.template(rs); err != nil {
		return nil, err
	}
	rs = merged(rs)
	sort.SliceStable(rs, func(i, j int) bool { return rs[i].sortKey() < rs[j].sortKey() })
	for _, r := range rs {
		if err := r.clash(); err != nil {
			return nil, err
		}
		r.at.peers = s.passed
	}
	return rs, nil
}

func (r *Release) sortKey() string {
	return r.at.eff.path + "\x00" + r.Namespace + "/" + r.Name
}

// search is one look through a tree.
type search struct {
	t    *tree
	ix   *index
	g    *graph
	b    *builder
	all  []*flux
	opts Options
	// passed are the releases that the options excluded.
	passed []*Release
	// suspected is what may be a Cilium release, relevant are the files that
	// matter to one, synced the roots; each once asked for.
	suspected *suspects
	relevant  map[string]bool
	synced    []*flux
}

func newSearch(t *tree, ix *index, opts Options) *search {
	g := newGraph(t)
	s := &search{t: t, ix: ix, g: g, opts: opts, b: newBuilder(t, g, nil)}
	s.all = fluxes(t, ix, g)
	s.b.all = s.all
	return s
}

func (s *search) releases(ctx context.Context) ([]*Release, error) {
	var found, first []*Release
	var failed []error
	var failedAt []*flux
	cands := s.candidates()
	for _, tier := range []int{3, 2, 1, 0} {
		done := map[*flux]bool{}
		for _, c := range cands {
			if c.tier != tier || done[c.k] {
				continue
			}
			done[c.k] = true
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			rs, err := s.resolveAll(ctx, c.k)
			if err != nil {
				failed = append(failed, err)
				failedAt = append(failedAt, c.k)
			}
			found = append(found, rs...)
		}
		if first == nil {
			first = found
		}
		if s.chosen(found) || len(failed) > 0 || len(found) > 0 && tier == 1 {
			break
		}
	}
	fit := slices.DeleteFunc(slices.Clone(found), func(r *Release) bool { return !s.fits(r) })
	if s.passed = found; len(fit) == 0 {
		s.passed = first
	}
	if len(fit) == 0 && len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	s.tellFailed(failedAt, failed)
	return fit, nil
}

func tierOf(k *flux) int {
	switch {
	case k.live:
		return 3
	case isArchive(k.doc.file) || isArchive(k.path):
		return 0
	}
	return 2
}

// resolveAll builds what k applies and reads its Cilium releases.
func (s *search) resolveAll(ctx context.Context, k *flux) ([]*Release, error) {
	eff := s.b.effective(s.ix, k)
	objs, err := s.b.build(eff, s.matters)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, k, eff, s.b.variablesOf(s.ix, eff), objs)
}

// read resolves the Cilium releases among the objects that k builds.
func (s *search) read(ctx context.Context, k, eff *flux, vars *variables, objs []built) ([]*Release, error) {
	var rs []*Release
	for _, o := range objs {
		if o.id.kind != "HelmRelease" || o.id.group() != "helm.toolkit.fluxcd.io" || !s.mayBeCilium(builtChart(o.object)) {
			continue
		}
		r := &resolver{search: s, k: k, eff: eff, vars: vars, objs: objs, release: o}
		rel, err := r.resolve(ctx)
		if err != nil {
			return rs, fmt.Errorf("HelmRelease %s in %s: %w", o.id.name, o.origin.Path, err)
		}
		if rel != nil {
			rs = append(rs, rel)
		}
	}
	return rs, nil
}

// fits applies --release and --cluster-path.
func (s *search) fits(r *Release) bool {
	if s.opts.Release != "" && s.opts.Release != r.Namespace+"/"+r.Name {
		return false
	}
	if s.opts.ClusterPath == "" {
		return true
	}
	want := path.Clean(strings.TrimPrefix(s.opts.ClusterPath, "./"))
	within := func(p string) bool {
		return want == "." || p == want || strings.HasPrefix(p, want+"/")
	}
	for _, k := range r.at.eff.lineage() {
		if within(k.path) || k.doc.file != "" && within(k.doc.file) {
			return true
		}
	}
	return within(r.File)
}
