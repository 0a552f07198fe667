package remediate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate/plan"
)

// DetectOptions say what to look at, and with which probes.
type DetectOptions struct {
	Options
	Probes ProbeOptions
	// For is how long probes are listened to at most; 0 is [DefaultListen].
	For time.Duration
	// Ask puts a question to the user, yes or no. An error ends the run.
	Ask func(ctx context.Context, question Question) (bool, error)
	// Status is told how far a run has come, several times a second; nil is silent.
	Status func(Status)
	// Abandon is called when the removal of probes goes on after an interrupt; the
	// removal ends when the channel is closed. Nil: nothing ends it.
	Abandon func() <-chan struct{}
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// DefaultListen is how long probes are listened to. A fault that touches most pairs
// is confirmed within 10 s, one of a node within 20 s.
const DefaultListen = 30 * time.Second

// ProbeOptions say how probes are brought onto the cluster.
type ProbeOptions struct {
	// None: passive evidence only.
	None bool
	// Namespace to look for installed probes in, and to make probes in; empty looks
	// everywhere and makes a new one.
	Namespace string
	// Image of the probes.
	Image string
	// Keep leaves the probes that were made for the run.
	Keep bool
	// Host adds twins in the nodes' own network.
	Host bool
	// External are addresses outside of the cluster that the probes try too.
	External []netip.AddrPort
	// By is who starts the run, for others who find what it left.
	By string
	// StartWithin is how long the probes may take to start; 0 is a minute.
	StartWithin time.Duration
}

// Question is what the user decides.
type Question struct {
	Text string
	// Removes: yes removes what an earlier run left, begun at Started.
	Removes bool
	Started time.Time
}

// Status is how far a run has come.
type Status struct {
	// Stage is what is done, for people: "waiting for the probes".
	Stage string
	// Ready of Want pods run; Heard of them were heard; 0 of 0 when not known yet.
	Ready, Want, Heard int
	// Why pods do not start.
	Why []string
	// Left is how long the stage lasts at most.
	Left time.Duration
}

func (o *DetectOptions) withDefaults() {
	if o.For == 0 {
		o.For = DefaultListen
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Status == nil {
		o.Status = func(Status) {}
	}
	if o.Probes.StartWithin == 0 {
		o.Probes.StartWithin = time.Minute
	}
}

// ErrNothingChecked is a detection that could not look at anything.
var ErrNothingChecked = errors.New("nothing could be checked")

// detection is a run of `remediate detect`.
type detection struct {
	opts DetectOptions
	run  *Run
	in   *signature.Input
	out  *report.Detection
	// hubble are the observations that Hubble had.
	hubble []v1alpha1.Observation
	// concluded: out is whole.
	concluded bool
}

// Detect finds out what is wrong on a cluster, with probes or from what is there
// without them. What probes it made are gone when it returns, whatever happens,
// unless they were to be kept. A result together with an error is whole: what failed
// came after it, such as the removal of the probes.
func Detect(ctx context.Context, opts DetectOptions) (*report.Detection, error) {
	opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	d := &detection{opts: opts, run: &Run{opts: opts.Options, edits: newEditLog()}, out: &report.Detection{}}
	defer d.run.close()
	d.out.Result = v1alpha1.DetectResult{APIVersion: v1alpha1.APIVersion, Kind: "DetectResult"}
	steps := []func(context.Context) error{d.facts, d.witnesses, d.passive}
	if !opts.Probes.None {
		steps = []func(context.Context) error{d.facts, d.witnesses, d.probe}
	}
	for _, do := range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := do(ctx); err != nil {
			return d.result(), interrupted(ctx, err)
		}
	}
	return d.result(), nil
}

// interrupted is an interrupt in place of whatever it cut off, unless probes are left.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled) && !errors.Is(err, errLeft) {
		return context.Canceled
	}
	return err
}

// result is nil until there is one.
func (d *detection) result() *report.Detection {
	if !d.concluded {
		return nil
	}
	d.out.Nodes = len(d.in.Snapshot.Nodes)
	d.out.Plans = slices.ContainsFunc(d.out.Causes(), func(f v1alpha1.Finding) bool { return plan.Answers(d.in, f) })
	return d.out
}

func (o *DetectOptions) validate() error {
	switch {
	case o.Snapshot != "" && !o.Probes.None:
		return withHint(errors.New("a snapshot has no probes to ask"), "add --without-probes, or leave --snapshot out")
	case o.Snapshot == "" && o.Cluster == nil:
		return withHint(errors.New("there is no cluster to look at"), "give --context or --kubeconfig, or --snapshot DIR with --without-probes")
	}
	return o.Options.validate()
}

// facts reads the cluster or the snapshot, and the repository where one is given.
func (d *detection) facts(ctx context.Context) error {
	d.opts.progress("reading the facts")
	if d.opts.Repo != "" {
		return d.factsOfRepository(ctx)
	}
	if err := d.run.observe(ctx); err != nil {
		var hinted *Error
		if errors.As(err, &hinted) {
			return withHint(hinted.Err, "check --context and --kubeconfig, or look at a snapshot: --without-probes --snapshot DIR")
		}
		return err
	}
	in, err := liveInput(d.run.snapshot)
	d.in = in
	return err
}

func (d *detection) factsOfRepository(ctx context.Context) error {
	r := d.run
	for _, do := range []func(context.Context) error{r.openRepository, r.findRelease, r.observe, r.stateFacts, r.renderCurrent} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	in, err := r.signatureInput(ctx)
	d.in = in
	for _, doubt := range r.doubts {
		d.notChecked("the repository's configuration: " + doubt)
	}
	return err
}

// liveInput is what signatures judge when there is no repository: the cluster's own
// cilium-config. Without that the configuration is unknown.
func liveInput(s *snapshot.Snapshot) (*signature.Input, error) {
	in := &signature.Input{Snapshot: s}
	if !s.AgentConfig.Known {
		return in, nil
	}
	live := cilium.Config{Values: s.AgentConfig.Value, Source: s.AgentConfig.Source}
	if s.AgentImageVersion.Known {
		live.Version = s.AgentImageVersion.Value
	}
	if s.MasqAgentConfig.Known {
		text := s.MasqAgentConfig.Value
		live.MasqAgent = &text
	}
	in.Config, in.Live = live, &live
	in.Settings, _ = cilium.Effective(live)
	in.Start = cilium.CheckStart(live)
	var err error
	if in.Snapshot, err = withPools(in); err != nil {
		return nil, err
	}
	in.ModelInput = datapath.Input{Config: live, PerNode: perNode(live, in.Snapshot), Snapshot: in.Snapshot}
	if in.Model, err = datapath.New(in.ModelInput); err != nil {
		return nil, fmt.Errorf("model the datapath: %w", err)
	}
	in.Analysis = in.Model.Analyse()
	return in, nil
}

// withPools states the operator's pools, which are part of the configuration with
// IPAM mode cluster-pool.
func withPools(in *signature.Input) (*snapshot.Snapshot, error) {
	if in.Settings.IPAM != "cluster-pool" {
		return in.Snapshot, nil
	}
	var stated []observe.StatedFact
	for _, family := range in.Families() {
		key := "cluster-pool-" + strings.ToLower(family) + "-cidr"
		for _, p := range strings.FieldsFunc(in.Config.Values[key], isSeparator) {
			if _, err := netip.ParsePrefix(p); err == nil {
				stated = append(stated, observe.StatedFact{Kind: observe.StatedPodPool, Value: p, Source: in.Config.Source + " " + key, IPAM: "cluster-pool"})
			}
		}
	}
	return observe.Merge(in.Snapshot, stated)
}

// passive judges what is there without probes.
func (d *detection) passive(context.Context) error {
	if len(d.in.Snapshot.Nodes) == 0 && !d.in.Snapshot.AgentConfig.Known {
		return withHint(fmt.Errorf("%w: neither nodes nor the cilium-config could be read", ErrNothingChecked), unread(d.in.Snapshot))
	}
	d.out.Result.Findings = detect.Run(d.in)
	d.out.Result.Reports = reportsOf(d.in.Snapshot)
	d.notChecked("what pods experience now: no probes were asked")
	d.limits()
	d.concluded = true
	return nil
}

func unread(s *snapshot.Snapshot) string {
	if len(s.Unreadable) == 0 {
		return "give the folder of a snapshot that holds them"
	}
	return "not read: " + strings.Join(s.Unreadable, "; ")
}

// reportsOf are the snapshot's probe reports, as they were read.
func reportsOf(s *snapshot.Snapshot) []v1alpha1.ProbeReport {
	var out []v1alpha1.ProbeReport
	for _, o := range s.Probes {
		// The source is "ProbeReport NAME #NUMBER".
		name, _, _ := strings.Cut(strings.TrimPrefix(o.Source, "ProbeReport "), " #")
		if len(out) == 0 || out[len(out)-1].Metadata.Name != name {
			out = append(out, v1alpha1.ProbeReport{APIVersion: v1alpha1.APIVersion, Kind: "ProbeReport", Metadata: v1alpha1.ObjectMeta{Name: name}})
		}
		last := &out[len(out)-1]
		last.Observations = append(last.Observations, o.Observation)
	}
	return out
}

// limits says which facts the findings had to do without.
func (d *detection) limits() {
	s := d.in.Snapshot
	if !s.AgentConfig.Known && d.opts.Repo == "" {
		d.notChecked("Cilium's configuration: the ConfigMap cilium-config was not read")
	}
	for _, u := range s.Unreadable {
		if !strings.HasSuffix(u, ": not installed") {
			d.notChecked(u)
		}
	}
}

func (d *detection) notChecked(text string) {
	d.out.Result.NotChecked = append(d.out.Result.NotChecked, text)
}

// runsBy names who runs this: the user's name on this machine, for others to read.
func runsBy() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown machine"
	}
	user := os.Getenv("USER")
	if user == "" {
		return host
	}
	return user + "@" + host
}
