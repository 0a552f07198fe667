package remediate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
)

// listen follows the probes until something is confirmed or the time is over.
func (p *probing) listen(ctx context.Context) error {
	l, err := listenTo(ctx, listenOptions{cluster: p.opts.Cluster, client: p.client, namespace: p.at.Namespace, host: p.at.Host,
		external: p.opts.Probes.External, now: p.opts.Now})
	if err != nil {
		return err
	}
	p.watch, p.listener = l.watch, l.listener
	if !l.watch.SeesDNS() {
		p.notChecked("cluster DNS: these credentials may not list and watch Services and EndpointSlices in " + deploy.DNSNamespace)
	}
	if p.writes(ctx) {
		l.write(p.options, p.made, l.writeFailed)
	} else {
		l.follow()
	}
	err = p.phases(ctx)
	if e := l.stop(); err == nil {
		err = e
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

// askWarnings is how often it is asked why pods that are wanted are not there.
const askWarnings = 2 * time.Second

// awaitStart waits until every probe runs, or for as long as they may take.
func (p *probing) awaitStart(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	end := p.opts.Now().Add(p.opts.Probes.StartWithin)
	asked := p.opts.Now()
	for {
		p.progress = deploy.ProgressOf(p.watch.Facts())
		now := p.opts.Now()
		left := end.Sub(now)
		if now.Sub(asked) >= askWarnings {
			asked, p.warnings = now, p.client.Warnings(ctx, p.at.Namespace)
		}
		p.opts.Status(Status{Stage: "waiting for the probes to start", Ready: p.progress.Ready, Want: p.progress.Want, Why: slices.Concat(p.why(), p.warnings), Left: left})
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
	return withHint(fmt.Errorf("%w: %s", ErrNothingChecked, text), p.startHint(text))
}

// startHint is what to do about probes that do not start.
func (p *probing) startHint(why string) string {
	look := "kubectl get pods,events -n " + p.at.Namespace + " says more"
	if p.made && !p.opts.Probes.Keep {
		look = "to look for yourself: --keep leaves the probes, and kubectl get pods,events -n NAMESPACE says more"
	}
	if p.made && (strings.Contains(why, "ImagePull") || strings.Contains(why, "ErrImage")) {
		return "--image names another image, for a registry that the nodes reach; " + look
	}
	return look
}

// runningProbes counts the pods that are there to be heard: the other targets only
// answer.
func runningProbes(f deploy.Facts) int {
	n := 0
	for _, pod := range f.Pods {
		if pod.Labels[deploy.LabelTarget] == v1alpha1.TargetOpen && runs(pod) {
			n++
		}
	}
	return n
}

func runs(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil
}
