package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/render"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/guard"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// Run is what the steps fill, each from what the earlier ones found.
type Run struct {
	opts Options

	repo *repo.Repo
	root string
	// origin is the URL that the repository was cloned from, fit to be shown.
	origin    string
	temporary string
	release   *source.Release
	// scope is what .remediate.yaml states for the release.
	scope source.Scope

	snapshot *snapshot.Snapshot
	unknown  []string

	// chart, and what of it decides the agents' configuration and their restart.
	chart, deciding *render.Chart
	chartPath       string
	// rendered is the chart with the current values.
	rendered    *render.Rendered
	current     plan.Rendered
	renderError string
	live        *cilium.Config
	// postUnknown is why the release's post-renderers could not be applied.
	postUnknown string
	// agreed names the sources of values that cannot be read and that, as the live
	// configuration shows, set nothing that matters.
	agreed string
	// doubts name what of the configuration is not known and decides the findings.
	doubts   []string
	facts    *signature.Input
	findings []v1alpha1.Finding
	notices  []cilium.Notice

	// states are those that Git holds, newest first; history leaves out the present one.
	states      []plan.State
	history     []plan.State
	historyNote string
	plan        v1alpha1.Plan
	// copies are what installs Cilium besides Flux.
	copies []source.Copy
	// edits are the files that each candidate changes, by candidate and path.
	edits *editLog

	// files stand in front of the working tree, as [source.Options] has it, when
	// another state than the working tree is judged.
	files map[string][]byte
	// given is a snapshot that was read before; charts and stated likewise share
	// what several runs need. Nil: the run reads for itself.
	given  *snapshot.Snapshot
	charts *charts
	stated *statements
	// withoutChart judges the values alone.
	withoutChart bool
	// folders hold what was written out of files, until the run is closed.
	folders []string
}

// step is one entry of the list. checkout: it reads the checkout and nothing else.
type step struct {
	name     string
	do       func(*Run, context.Context) error
	checkout bool
}

// planSteps is the list from observe to plan.
func planSteps() []step {
	return []step{
		{name: "open the repository", do: (*Run).openRepository},
		{name: "find the release", do: (*Run).findRelease, checkout: true},
		{name: "observe", do: (*Run).observe},
		{name: "hear the probes", do: (*Run).hear},
		{name: "state facts", do: (*Run).stateFacts},
		{name: "render", do: (*Run).renderCurrent},
		{name: "detect", do: (*Run).detect},
		{name: "read history", do: (*Run).readHistory},
		{name: "plan", do: (*Run).makePlan},
	}
}

// CheckoutError is why a repository cannot be planned for as it stands: trying again
// gives the same, until somebody commits something else.
type CheckoutError struct{ error }

// Unwrap is the error itself.
func (e *CheckoutError) Unwrap() error { return e.error }

func (s *step) failed(ctx context.Context, err error) error {
	if s.checkout && ctx.Err() == nil {
		return &CheckoutError{err}
	}
	return err
}

// Result is a plan and what is needed to apply it.
type Result struct {
	Plan v1alpha1.Plan
	root string
	repo *repo.Repo
	// origin and clusterPath are the release's.
	origin      source.Origin
	clusterPath string
	// values are the release's merged values.
	values map[string]any
	// files are the edited files by candidate id and path in the repository, before
	// what they were.
	files  map[string]map[string][]byte
	before map[string][]byte
	// freeze is what of the cluster's state freezes proposals.
	freeze guard.Cluster
	// deliver is whether and how a merged change arrives.
	deliver delivering
	// states are the release's values as Git holds them, newest first, the present
	// ones too; nil when nobody looked. historyNote is what limits them.
	states      []plan.State
	historyNote string
}

// Plan diagnoses and plans. It writes nothing.
func Plan(ctx context.Context, opts Options) (*Result, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	r := &Run{opts: opts, edits: newEditLog()}
	defer r.close()
	for _, s := range planSteps() {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		if err := s.do(r, ctx); err != nil {
			return nil, s.failed(ctx, err)
		}
	}
	res := &Result{Plan: r.plan, states: r.states, historyNote: r.historyNote, root: r.root, repo: r.repo, origin: r.release.Origin(), clusterPath: r.release.ClusterPath(), values: r.release.Values, files: map[string]map[string][]byte{}}
	res.before, res.freeze = map[string][]byte{}, r.freezeOf()
	res.deliver = r.delivering()
	for _, c := range r.plan.Candidates {
		res.files[c.ID] = r.edits.of(c)
		for f := range res.files[c.ID] {
			if b, err := r.readFile(f); err == nil {
				res.before[f] = b
			}
		}
	}
	return res, nil
}

func (r *Run) close() {
	if r.temporary != "" {
		_ = os.RemoveAll(r.temporary)
	}
	for _, dir := range r.folders {
		_ = os.RemoveAll(dir)
	}
}

func (r *Run) openRepository(ctx context.Context) error {
	dir := r.opts.Repo
	if dir == "" {
		dir = "."
	}
	if repo.IsURL(dir) {
		tmp, err := r.clone(ctx, dir)
		if err != nil {
			return err
		}
		dir = tmp
	}
	rp, err := repo.Open(dir)
	if err != nil {
		return err
	}
	r.repo, r.root = rp, rp.Root()
	return nil
}

// clone brings a repository into a folder that goes when the run is over.
func (r *Run) clone(ctx context.Context, from string) (string, error) {
	if r.opts.Offline {
		return "", fmt.Errorf("--offline and --repo %s contradict each other: clone it yourself and give --repo DIR", repo.Redact(from))
	}
	r.origin = repo.Redact(from)
	tmp, err := os.MkdirTemp("", "remediate-clone-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the clone: %w", err)
	}
	r.temporary = tmp
	r.opts.progress("cloning the repository")
	return tmp, repo.Clone(ctx, from, tmp)
}

func (r *Run) findRelease(ctx context.Context) error {
	rel, err := source.Find(ctx, source.Options{Root: r.root, Release: r.opts.Release, ClusterPath: r.opts.ClusterPath, AllowRemoteBases: r.opts.AllowRemoteBases, Submodules: r.submodules(), Remotes: r.remotes()})
	if err != nil {
		return err
	}
	return r.take(rel)
}

// take makes a release the subject of the run.
func (r *Run) take(rel *source.Release) error {
	r.release = rel
	if err := r.inspectSources(); err != nil {
		return err
	}
	for _, m := range rel.Missing {
		r.unknown = append(r.unknown, "values: "+m)
	}
	settings, err := source.ReadSettings(r.root, r.files)
	if err != nil {
		return &settingsError{err}
	}
	r.scope = settings.For(rel.Namespace+"/"+rel.Name, path.Dir(rel.File))
	return nil
}

// settingsError is a fault of .remediate.yaml, which no cluster reads.
type settingsError struct{ error }

func (e *settingsError) Unwrap() error { return e.error }

// inspectSources refuses values that cannot be read as they stand: encrypted
// files, templates, YAML bombs. A Secret among the sources is no such file: what
// it could set is unknown, and said.
func (r *Run) inspectSources() error {
	for _, s := range r.release.Sources {
		if s.File == "" || s.Kind == "Secret" {
			continue
		}
		src, err := r.readFile(s.File)
		if err != nil {
			return err
		}
		if err := edit.Inspect(src); err != nil {
			return fmt.Errorf("%s: %w", s.File, err)
		}
	}
	return nil
}

// observe fills the snapshot: a folder or archive, a cluster, or nothing.
func (r *Run) observe(ctx context.Context) error {
	if r.given != nil {
		r.snapshot = r.given
		return nil
	}
	from := r.opts.Snapshot
	if from == "" && (r.opts.Cluster == nil || r.opts.ClusterOptional) && r.scope.Snapshot.Value != "" {
		var err error
		if from, err = r.folder(r.scope.Snapshot.Value); err != nil {
			return err
		}
		r.opts.progress("facts come from %s, which %s names", r.scope.Snapshot.Value, r.scope.Snapshot.Source)
	}
	switch {
	case from != "":
		s, err := observe.Open(ctx, from)
		if err != nil {
			return err
		}
		r.snapshot = s
	case r.opts.Cluster != nil:
		return r.observeCluster(ctx)
	default:
		r.opts.progress("no snapshot and no cluster: the repository alone speaks")
		r.snapshot = observe.FromFacts("repository")
	}
	return nil
}

func (r *Run) observeCluster(ctx context.Context) error {
	timeout := r.opts.ClusterTimeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := observe.Cluster(ctx, r.opts.Cluster, observe.ClusterOptions{Origin: r.opts.ClusterName})
	switch {
	case err == nil:
		r.snapshot = s
		return nil
	case r.opts.ClusterOptional:
		r.opts.progress("%s does not answer (%v): the repository alone speaks", r.clusterName(), err)
		r.unknown = append(r.unknown, "everything that only the cluster knows: "+r.clusterName()+" does not answer")
		r.snapshot = observe.FromFacts("repository")
		return nil
	}
	return withHint(err, "check --context and --kubeconfig, or plan from a snapshot (--snapshot DIR) or from the repository alone (--context '')")
}

// clusterName names the cluster for the reader; a kubeconfig need not have contexts.
func (r *Run) clusterName() string {
	switch {
	case r.opts.ClusterName != "":
		return "the cluster of context " + r.opts.ClusterName
	case r.opts.Cluster != nil && r.opts.Cluster.Host != "":
		return "the cluster at " + repo.Redact(r.opts.Cluster.Host) + " (no context is named)"
	}
	return "the cluster"
}

func (r *Run) ciliumVersion() string {
	switch {
	case r.opts.CiliumVersion != "":
		return r.opts.CiliumVersion
	case r.scope.CiliumVersion.Value != "":
		return r.scope.CiliumVersion.Value
	case r.chart != nil && r.chart.AppVersion != "":
		return r.chart.AppVersion
	case r.snapshot.AgentImageVersion.Known:
		return r.snapshot.AgentImageVersion.Value
	}
	return r.release.Chart.Version
}

// detect judges the current configuration.
func (r *Run) detect(ctx context.Context) error {
	in, err := r.signatureInput(ctx)
	if err != nil {
		return err
	}
	r.facts = in
	if len(r.doubts) > 0 {
		return nil
	}
	r.findings = confirmed(detect.Run(in), r.opts.Confirmed)
	return nil
}

func (r *Run) readHistory(ctx context.Context) error {
	var files []string
	for _, s := range r.release.Sources {
		if s.File != "" {
			files = append(files, s.File)
		}
	}
	if len(r.findings) == 0 || len(files) == 0 {
		return nil
	}
	if e := r.opts.Earlier; e != nil && e.states != nil && r.repo.Shallow() {
		r.states, r.historyNote = e.states, e.historyNote
		r.history = r.past(e.states)
		return nil
	}
	versions, note, err := r.repo.History(ctx, files, repo.Limit{})
	if err != nil {
		r.historyNote = err.Error()
		return nil
	}
	r.historyNote = note
	for i, v := range versions {
		s, ok := r.stateAt(v, files)
		if !ok {
			continue
		}
		r.states = append(r.states, s)
		if i > 0 || !r.atHead(v, files) {
			r.history = append(r.history, s)
		}
	}
	return nil
}

// past leaves out the newest state when it is the present one.
func (r *Run) past(states []plan.State) []plan.State {
	if len(states) > 0 && equality.Semantic.DeepEqual(states[0].Values, r.release.Values) {
		return states[1:]
	}
	return states
}

// stateAt rebuilds the values as they were at a commit.
func (r *Run) stateAt(v repo.Version, files []string) (plan.State, bool) {
	at := map[string][]byte{}
	for _, f := range files {
		b, ok, err := v.Read(f)
		if err != nil || !ok {
			return plan.State{}, false
		}
		at[f] = b
	}
	values, err := r.release.Rebuild(at)
	if err != nil {
		return plan.State{}, false
	}
	return plan.State{Commit: v.Commit, Date: v.Date, Subject: v.Subject, Values: values}, true
}

// atHead: the version is what the working tree holds.
func (r *Run) atHead(v repo.Version, files []string) bool {
	for _, f := range files {
		was, ok, err := v.Read(f)
		is, readErr := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(f)))
		if err != nil || readErr != nil || !ok || string(was) != string(is) {
			return false
		}
	}
	return true
}

// Write applies a candidate to the working tree: its files, and nothing else.
func (res *Result) Write(candidate string, force bool) ([]string, error) {
	files, ok := res.files[candidate]
	if !ok || len(files) == 0 {
		return nil, fmt.Errorf("no candidate %q to write", candidate)
	}
	return writeFiles(res.root, res.repo, files, force)
}

var errDirty = errors.New("has uncommitted changes")
