package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// VerifyOptions say which merged change to follow, and how long.
type VerifyOptions struct {
	Options
	// Commit on the branch that Flux follows: a revision of the checkout.
	Commit string
	// PullRequest is the address of the one that it was merged with, for the answer
	// and for what a controller in the cluster remembers of it.
	PullRequest string
	// Wait for a verdict until the context ends. Otherwise the probes are listened to
	// for the hold time where every agent runs the change, and it is looked once where
	// not.
	Wait bool
	// Grace and Hold; see [verify.Input].
	Grace, Hold time.Duration
	// ProbeNamespace to look for probes in; empty looks everywhere.
	ProbeNamespace string
	// Looked is told the state after each look; nil is silent.
	Looked func(verify.State)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// lookEvery is how often it is looked: agents take a minute to start.
const lookEvery = 2 * time.Second

// Verify follows a merged change: to Flux, to every agent, and to what probes see.
// It reads and writes nothing. An end of the context before there is a verdict is
// no error: the answer says what it waits for.
func Verify(ctx context.Context, opts VerifyOptions) (*v1alpha1.VerifyResult, error) {
	if opts.Cluster == nil {
		return nil, withHint(errors.New("there is no cluster to look at"), "give --context or --kubeconfig")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	v := &verifying{opts: opts}
	defer v.close()
	for _, do := range []func(context.Context) error{v.connect, v.change, v.remember, v.listen} {
		if err := do(ctx); err != nil {
			return nil, err
		}
	}
	return v.follow(ctx)
}

// verifying is one run of Verify.
type verifying struct {
	opts     VerifyOptions
	client   client.Client
	follower *Follower
	followed Followed
	changed  *Change
	// watcher listens to the probes; nil when there are none.
	watcher *Watcher
	stop    func()
	notes   []string
	state   verify.State
	begun   time.Time
}

func (v *verifying) close() {
	if v.stop != nil {
		v.stop()
	}
	if v.changed != nil {
		v.changed.Close()
	}
}

func (v *verifying) connect(context.Context) error {
	c, err := FollowClient(v.opts.Cluster)
	if err != nil {
		return withHint(fmt.Errorf("reach the cluster: %w", err), "check --context and --kubeconfig")
	}
	v.client = c
	v.follower = &Follower{Client: c, Now: v.opts.Now,
		Metrics: (&AgentMetrics{Cluster: v.opts.Cluster, Now: v.opts.Now}).Read}
	return nil
}

// change reads the commit from the checkout.
func (v *verifying) change(ctx context.Context) error {
	v.opts.progress("reading what the commit changes")
	c, err := ChangeAt(ctx, v.opts.Options, v.opts.Commit)
	if err != nil {
		return err
	}
	v.changed = c
	v.notes = append(v.notes, c.Notes...)
	v.followed = Followed{Release: c.Release, Merged: verify.Merged{Commit: c.Commit, At: c.At}, Planned: c.Planned, Contains: c.Holds(),
		Grace: v.opts.Grace, Hold: v.opts.Hold}
	return nil
}

// remember takes over what a controller in the cluster knows of the change: the
// baseline, and what it was for.
func (v *verifying) remember(ctx context.Context) error {
	r, err := RemediationOf(ctx, v.client, func(s *v1alpha1.Remediation) bool { return s.Status.Commit == v.changed.Commit })
	switch {
	case err != nil:
		return err
	case r == nil:
		v.notes = append(v.notes, "what worked before the change: no Remediation in the cluster is about it, so nothing can be said to have broken, and all that probes try has to work")
		return nil
	}
	v.opts.progress("Remediation %s/%s remembers what was before", r.Namespace, r.Name)
	cause := verify.Cause{Signature: string(r.Spec.Signature), Family: r.Spec.Family, About: r.Spec.About}
	v.followed.Planned = PlannedFor(v.followed.Planned, cause)
	v.followed.Baseline = verify.BaselineOf(r.Status.Baseline)
	if p := r.Status.PullRequest; p != nil && v.opts.PullRequest == "" {
		v.opts.PullRequest = p.URL
	}
	return nil
}

// RemediationOf is the newest Remediation in a cluster of which is holds; nil when
// there is none, or the cluster has no such kind.
func RemediationOf(ctx context.Context, c client.Reader, is func(*v1alpha1.Remediation) bool) (*v1alpha1.Remediation, error) {
	list := &v1alpha1.RemediationList{}
	f := &Follower{Client: c}
	var out *v1alpha1.Remediation
	_, err := f.list(ctx, list, func() error {
		for i := range list.Items {
			r := &list.Items[i]
			if is(r) && (out == nil || r.CreationTimestamp.After(out.CreationTimestamp.Time)) {
				out = r.DeepCopy()
			}
		}
		return nil
	})
	return out, err
}

// listen finds the probes that the cluster has, and begins to read them.
func (v *verifying) listen(ctx context.Context) error {
	c, err := deploy.New(v.opts.Cluster)
	if err != nil {
		return err
	}
	found, err := c.Find(ctx, v.opts.ProbeNamespace)
	if err != nil {
		v.notes = append(v.notes, "what pods experience: "+err.Error())
		return ctx.Err()
	}
	i := slices.IndexFunc(found, deploy.Installation.Stays)
	if i < 0 {
		v.notes = append(v.notes, "what pods experience: no probes are installed, so no verdict about flows can be given")
		return nil
	}
	v.watcher = &Watcher{Cluster: v.opts.Cluster, Namespace: found[i].Namespace, Host: found[i].Host, Reads: true, Now: v.opts.Now}
	within, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { v.watcher.Run(within); close(done) }()
	v.stop = func() { cancel(); <-done }
	v.opts.progress("listening to the probes in namespace %s", found[i].Namespace)
	return nil
}

// counted is the name under which the watcher counts.
const counted = "verify"

// follow looks until there is a verdict, or nothing more is to be waited for.
func (v *verifying) follow(ctx context.Context) (*v1alpha1.VerifyResult, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	v.begun = v.opts.Now()
	for {
		err := v.look(ctx)
		switch {
		case err != nil && (ctx.Err() == nil || v.state.Steps == nil):
			return nil, err
		case err != nil, v.enough():
			return v.result(), nil
		}
		select {
		case <-ctx.Done():
			return v.result(), nil
		case <-tick.C:
		}
	}
}

func (v *verifying) look(ctx context.Context) error {
	probes := verify.Probes{}
	if v.watcher != nil {
		probes = v.watcher.Probes(counted)
	}
	in, err := v.follower.Look(ctx, v.followed, probes)
	if err != nil {
		return err
	}
	v.state = verify.Judge(in)
	if v.watcher != nil && !v.state.Since.RolledOut.Equal(v.followed.Before.RolledOut) {
		v.watcher.CountFrom(counted, v.state.Since.RolledOut)
		v.watcher.Refresh()
	}
	v.followed.Before = v.state.Since
	if v.opts.Looked != nil {
		v.opts.Looked(v.state)
	}
	return nil
}

// enough: there is a verdict, or nobody waits for one.
func (v *verifying) enough() bool {
	s := v.state
	switch {
	case s.Verdict != verify.Pending:
		return true
	case v.opts.Wait:
		return false
	case s.Stage != verify.StageRolledOut || v.watcher == nil:
		return true
	}
	// Probes are read from the kubelets' logs and speak every ten seconds.
	hold := v.opts.Hold
	if hold <= 0 {
		hold = verify.DefaultHold
	}
	return v.opts.Now().Sub(v.begun) > hold+30*time.Second
}

func (v *verifying) result() *v1alpha1.VerifyResult {
	r := v.state.Result()
	r.Commit, r.Release, r.PullRequest = v.changed.Commit, v.changed.Release, v.opts.PullRequest
	r.NotChecked = v.notes
	if v.watcher != nil {
		if err := v.watcher.Sight().Err; err != nil {
			r.NotChecked = append(slices.Clone(r.NotChecked), "what pods experience: "+strings.TrimSpace(err.Error()))
		}
	}
	return &r
}
