package remediate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
)

// probing is the part of a detection that has to do with probes.
type probing struct {
	*detection
	client *deploy.Client
	at     deploy.Installation
	// made: this run made them.
	made     bool
	options  deploy.Options
	watch    *deploy.Watch
	listener *listener
	progress deploy.Progress
}

// probe finds the cluster's probes or makes them, listens, concludes, and removes
// what it made.
func (d *detection) probe(ctx context.Context) (err error) {
	client, err := deploy.New(d.opts.Cluster)
	if err != nil {
		return err
	}
	p := &probing{detection: d, client: client}
	if err := p.find(ctx); err != nil {
		return err
	}
	defer func() {
		if removal := p.remove(ctx); removal != nil {
			err = errors.Join(err, removal)
		}
	}()
	if p.at.Namespace == "" {
		if err := p.create(ctx); err != nil {
			return err
		}
	}
	return p.listen(ctx)
}

// find looks for installed probes and for what earlier runs left.
func (p *probing) find(ctx context.Context) error {
	found, err := p.client.Find(ctx, p.opts.Probes.Namespace)
	if err != nil {
		return err
	}
	for _, i := range found {
		switch {
		case i.Stays() && p.at.Namespace == "":
			p.at = i
		case i.Stays():
			p.opts.progress("namespace %s has probes too; --probe-namespace %s would take those", i.Namespace, i.Namespace)
		default:
			if err := p.leftover(ctx, i); err != nil {
				return err
			}
		}
	}
	if p.at.Namespace == "" {
		return nil
	}
	if p.at.Kept {
		p.opts.progress("using the probes in %s; to remove them: %s", p.heldBy(p.at), deploy.Command(p.at.Namespace, p.at.Host))
	} else {
		p.opts.progress("using the probes that are installed in namespace %s", p.at.Namespace)
	}
	p.options = deploy.Options{Namespace: p.at.Namespace, Host: p.at.Host, Image: p.at.Image,
		Run: p.at.Run, Started: p.at.Started, By: p.at.By, Keep: p.at.Kept}
	return p.client.CheckRights(ctx, p.at.Namespace, false)
}

// heldBy names a namespace and the run that made it.
func (p *probing) heldBy(i deploy.Installation) string {
	text := "namespace " + i.Namespace
	if i.By != "" {
		text += ", begun by " + i.By
	}
	if !i.Started.IsZero() {
		text += fmt.Sprintf(" %s ago", p.opts.Now().Sub(i.Started).Round(time.Second))
	}
	return text
}

// mayRun is how long another run is taken to be under way still.
const mayRun = 10 * time.Minute

// leftover offers to remove what an earlier run left. This run goes on without.
func (p *probing) leftover(ctx context.Context, i deploy.Installation) error {
	text := "an earlier run left probes in " + p.heldBy(i)
	if p.opts.Now().Sub(i.Started) < mayRun {
		text = "another run, which may be under way, has probes in " + p.heldBy(i)
	}
	ok := false
	if p.opts.Ask != nil {
		var err error
		if ok, err = p.opts.Ask(ctx, Question{Text: text + ". Remove it?", Removes: true, Started: i.Started}); err != nil {
			return err
		}
	}
	if !ok {
		p.opts.progress("%s: left alone; to remove it: %s", text, deploy.Command(i.Namespace, i.Host))
		return nil
	}
	p.opts.progress("removing namespace %s", i.Namespace)
	if err := p.client.Remove(ctx, i.Namespace, i.Run, removeWithin); err != nil {
		p.opts.progress("%v: going on", err)
	}
	return ctx.Err()
}

// create makes probes for this run, after asking.
func (p *probing) create(ctx context.Context) error {
	o := deploy.Options{Namespace: p.opts.Probes.Namespace, Image: p.opts.Probes.Image, Host: p.opts.Probes.Host,
		Run: newRun(), Started: p.opts.Now(), By: p.opts.Probes.By, Keep: p.opts.Probes.Keep}
	if o.By == "" {
		o.By = runsBy()
	}
	if o.Namespace == "" {
		o.Namespace = deploy.Name + "-" + o.Run
	}
	if err := p.client.CheckRights(ctx, o.Namespace, true); err != nil {
		return err
	}
	if p.opts.Ask == nil {
		return withHint(errors.New("no probes are installed, and nobody can be asked whether to make some"), "add --yes to make them for this run, or --without-probes")
	}
	nodes := len(p.in.Snapshot.Nodes)
	ok, err := p.opts.Ask(ctx, Question{Text: fmt.Sprintf("No probes are installed. Create them on %d nodes, in the new namespace %s%s?", nodes, o.Namespace, p.afterwards())})
	switch {
	case err != nil:
		return err
	case !ok:
		return withHint(fmt.Errorf("%w: no probes were to be made", ErrNothingChecked), "without probes there is passive evidence: --without-probes")
	}
	p.options, p.made, p.at = o, true, deploy.Installation{Namespace: o.Namespace, Run: o.Run, Host: o.Host}
	p.opts.progress("making the probes in namespace %s", o.Namespace)
	err = p.client.Create(ctx, o)
	// The namespace comes first, and without it there is nothing to remove.
	p.made = !errors.Is(err, deploy.ErrTaken) || o.Host
	return err
}

func (p *probing) afterwards() string {
	if p.opts.Probes.Keep {
		return ", and keep them"
	}
	return ", and remove them afterwards"
}

// newRun is the id of a run: 8 hexadecimal digits.
func newRun() string {
	b := make([]byte, 4)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// removeWithin is how long the removal is waited for: pods of a node that is down
// cannot end, and the result is shown afterwards.
const removeWithin = 20 * time.Second

// remove takes away what this run made. It works after the run was interrupted, and
// ends at once when it is abandoned.
func (p *probing) remove(ctx context.Context) error {
	if !p.made {
		return nil
	}
	command := deploy.Command(p.at.Namespace, p.at.Host)
	if p.opts.Probes.Keep {
		p.opts.progress("the probes stay in namespace %s; to remove them: %s", p.at.Namespace, command)
		return nil
	}
	p.opts.progress("removing the probes")
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin+30*time.Second)
	defer cancel()
	var again <-chan struct{}
	if ctx.Err() != nil {
		again = p.again()
	}
	go p.abandon(ctx, clean, cancel, again)
	err := p.client.Remove(clean, p.at.Namespace, p.at.Run, removeWithin)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, deploy.ErrTerminating) && clean.Err() == nil:
		p.opts.progress("%v", err)
		return nil
	}
	if errors.Is(clean.Err(), context.Canceled) {
		err = errors.New("their removal was interrupted too")
	}
	return withHint(fmt.Errorf("%w: %w", errLeft, err), "remove them: "+command)
}

// errLeft: there are probes that this run made and could not remove.
var errLeft = errors.New("probes of this run are left")

// again tells that the next interrupt leaves the probes, and waits for that from now
// on: one interrupt that arrives twice is no second one.
func (p *probing) again() <-chan struct{} {
	if p.opts.Abandon == nil {
		return nil
	}
	c := p.opts.Abandon()
	p.opts.progress("interrupt again to leave them")
	return c
}

// abandon cancels the removal at the interrupt after the one that ended the run.
func (p *probing) abandon(ctx, clean context.Context, cancel context.CancelFunc, again <-chan struct{}) {
	if again == nil {
		select {
		case <-clean.Done():
			return
		case <-ctx.Done():
			again = p.again()
		}
	}
	select {
	case <-again:
		cancel()
	case <-clean.Done():
	}
}

// listen follows the probes until something is confirmed or the time is over.
func (p *probing) listen(ctx context.Context) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	watch, err := p.client.Follow(within, p.at.Namespace, p.at.Host)
	if err != nil {
		return err
	}
	p.watch = watch
	if !watch.SeesDNS() {
		p.notChecked("cluster DNS: these credentials may not list and watch Services and EndpointSlices in " + deploy.DNSNamespace)
	}
	defer watch.Close()
	defer cancel()
	p.listener = newListener(p.opts.Now)
	collector, err := collect.New(p.opts.Cluster, collect.Options{Namespaces: []string{p.at.Namespace}, Container: deploy.ContainerName, Now: p.opts.Now, Sink: p.listener.line})
	if err != nil {
		return err
	}
	p.listener.matrix = collector.Matrix()
	ended := make(chan error, 2)
	running := 1
	go func() { ended <- collector.Run(within) }()
	if p.writes(within) {
		running++
		go func() { p.writer().Run(within); ended <- nil }()
	} else {
		p.listener.membership(p.members(watch.Facts()))
	}
	err = p.phases(ctx)
	cancel()
	for range running {
		if e := <-ended; err == nil && !errors.Is(e, context.Canceled) {
			err = e
		}
	}
	return err
}

// writes says whether this run tells the probes who takes part: those that it made,
// and installed ones as far as it may.
func (p *probing) writes(ctx context.Context) bool {
	if p.made {
		return true
	}
	if err := p.client.CheckMembersRights(ctx, p.at.Namespace); err != nil {
		p.notChecked("whether the probes know all members: " + err.Error())
		return false
	}
	if _, err := p.client.EnsureKey(ctx, p.options); err != nil {
		p.notChecked("whether the probes have a key: " + err.Error())
	}
	return true
}

func (p *probing) writer() *deploy.Writer {
	return &deploy.Writer{
		Client: p.client, Watch: p.watch, Options: p.options, Wake: p.made,
		Members: p.members, Wrote: p.listener.membership,
		Failed: p.listener.writeFailed,
	}
}

func (p *probing) members(f deploy.Facts) mesh.Membership {
	m := collect.Membership(f.Pods, f.Nodes, f.Services, f.Slices)
	m.External = p.opts.Probes.External
	return m
}

// phases waits for the probes, and then for what they say.
func (p *probing) phases(ctx context.Context) error {
	if err := p.awaitStart(ctx); err != nil {
		return err
	}
	if err := p.awaitVerdict(ctx); err != nil {
		return err
	}
	if err := p.conclude(); err != nil {
		return err
	}
	p.corroborate(ctx)
	p.concluded = true
	return ctx.Err()
}

// look is how often progress is looked at.
const look = 250 * time.Millisecond

// awaitStart waits until every probe runs, or for as long as they may take.
func (p *probing) awaitStart(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	end := p.opts.Now().Add(p.opts.Probes.StartWithin)
	for {
		p.progress = deploy.ProgressOf(p.watch.Facts())
		left := end.Sub(p.opts.Now())
		p.opts.Status(Status{Stage: "waiting for the probes to start", Ready: p.progress.Ready, Want: p.progress.Want, Why: p.why(), Left: left})
		if p.progress.Done() {
			return nil
		}
		if left <= 0 {
			return p.startFailed(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (p *probing) why() []string {
	var out []string
	for _, r := range p.progress.Why {
		out = append(out, r.String())
	}
	return out
}

// startFailed goes on with the probes that run; without any it is an error.
func (p *probing) startFailed(ctx context.Context) error {
	why, warnings := p.why(), p.client.Warnings(ctx, p.at.Namespace)
	text := fmt.Sprintf("%d of %d probes run after %s", p.progress.Ready, p.progress.Want, p.opts.Probes.StartWithin)
	if !p.progress.Known {
		text = fmt.Sprintf("no controller has made pods of the probes' DaemonSets within %s", p.opts.Probes.StartWithin)
	}
	for _, w := range why {
		p.notChecked("a probe that does not run: " + w)
	}
	for _, w := range warnings {
		p.notChecked("a warning beside the probes: " + w)
	}
	if p.progress.Ready > 0 {
		p.opts.progress("%s: going on with those", text)
		return nil
	}
	why = append(why, warnings...)
	for _, w := range why[:min(3, len(why))] {
		text += "; " + w
	}
	hint := "kubectl get pods,events -n " + p.at.Namespace + " says more"
	if p.made && !p.opts.Probes.Keep {
		hint = "to look for yourself: --keep leaves the probes, and kubectl get pods,events -n NAMESPACE says more"
	}
	return withHint(fmt.Errorf("%w: %s", ErrNothingChecked, text), hint)
}

// runningProbes counts the pods that are there to be heard: the other targets only
// answer.
func runningProbes(f deploy.Facts) int {
	n := 0
	for _, pod := range f.Pods {
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil && pod.Labels[deploy.LabelTarget] == v1alpha1.TargetOpen {
			n++
		}
	}
	return n
}
