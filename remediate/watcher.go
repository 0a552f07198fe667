package remediate

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/report"
)

// Watcher listens to the probes of one namespace for as long as it runs, and judges
// what they say. Its fields are not changed once it runs; its methods may be called
// at the same time.
type Watcher struct {
	Cluster *rest.Config
	// Namespace of the probes; empty is [deploy.Name].
	Namespace string
	// CiliumNamespace is where cilium-config is; empty is kube-system.
	CiliumNamespace string
	// Host says that the probes have twins in the nodes' own network.
	Host bool
	// External are addresses outside of the cluster that the probes try too.
	External []netip.AddrPort
	// Reads: somebody else tells the probes who takes part; nothing is written.
	Reads bool
	// Changed is told after a judgement with another set of confirmed findings than
	// the one before, and when probes run that did not, or the other way about. It must
	// not block.
	Changed func()
	// Failed is told why there is nothing to be heard, and nil once there is.
	Failed func(error)
	// Facts reads what of the cluster a judgement needs besides the probes; nil reads
	// it from Cluster. It is called every [FactsEvery], [FactsSoon] while something is confirmed, and after [Watcher.Refresh].
	Facts func(context.Context) (*signature.Input, error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu        sync.Mutex
	listening *listening
	in        *signature.Input
	sight     Sight
	err       error
	refresh   chan struct{}
	// none is of who judges alone.
	none none

	counts  sync.Mutex
	counted counting
}

// Sight is what a [Watcher] knows at a moment.
type Sight struct {
	// At is when it was judged; zero: never yet.
	At        time.Time
	Judgement confirm.Judgement
	// Wanted probes run, Heard of them were heard of as members.
	Wanted, Heard int
	// LastHeard is when the newest line was read.
	LastHeard time.Time
	// Silent are the probes of which nothing is heard, and why.
	Silent []collect.Silence
	// Why no probe runs, as far as the cluster tells, when none does.
	Why []string
	// Idle are the namespaces, that of the probes and that of their twins, in which none
	// runs; Keyless those of them where the Secret with the shared key is missing.
	Idle, Keyless []string
	// Err is why the probes or the facts cannot be read now.
	Err error
}

// Confirmed are the findings of severity warning or worse that met their quorum and
// are nobody's effect.
func (s Sight) Confirmed() []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, f := range s.Judgement.Findings {
		if f.Confidence == v1alpha1.ConfidenceConfirmed && f.CausedBy == "" && f.Severity.Rank() >= v1alpha1.SeverityWarning.Rank() {
			out = append(out, f)
		}
	}
	return out
}

const (
	// FactsEvery is how often the cluster's facts are read anew when nobody says that
	// they changed.
	FactsEvery = 15 * time.Minute
	// FactsSoon is how often they are while something is confirmed: agents that restart
	// may end it, and nobody watches them.
	FactsSoon = 15 * time.Second
	// factsShare is how many times as long as reading the facts took they are left alone
	// at least: of thousands of nodes it takes seconds, here and in the API server.
	factsShare = 20
	// watchAgain is how long after a failure the probes are looked for again.
	watchAgain = 10 * time.Second
)

// Sight is the latest judgement.
func (w *Watcher) Sight() Sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sight
	s.Err = w.err
	return s
}

// Reports are the newest observation of each flow that was spoken of.
func (w *Watcher) Reports() []v1alpha1.ProbeReport {
	if l := w.current(); l != nil {
		return l.matrix.Reports()
	}
	return nil
}

// Grids are the matrices of what was heard, for people.
func (w *Watcher) Grids() []report.Grid {
	l := w.current()
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grids(l.latest)
}

// Pairs counts the ordered pairs of nodes, without making a matrix of them.
func (w *Watcher) Pairs() Pairs {
	l := w.current()
	if l == nil {
		return Pairs{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pairs()
}

// Refresh reads the cluster's facts anew before the next judgement.
func (w *Watcher) Refresh() {
	select {
	case w.wanted() <- struct{}{}:
	default:
	}
}

func (w *Watcher) wanted() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refresh == nil {
		w.refresh = make(chan struct{}, 1)
	}
	return w.refresh
}

func (w *Watcher) current() *listening {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.listening
}

func (w *Watcher) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

// Run listens until ctx ends, whatever fails meanwhile.
func (w *Watcher) Run(ctx context.Context) {
	for {
		err := w.session(ctx)
		if ctx.Err() != nil {
			return
		}
		w.fail(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchAgain):
		}
	}
}

func (w *Watcher) fail(err error) {
	w.mu.Lock()
	changed := (w.err == nil) != (err == nil) || err != nil && w.err.Error() != err.Error()
	w.err = err
	w.mu.Unlock()
	if changed && w.Failed != nil {
		w.Failed(err)
	}
}

// namespaces are those of the probes and, where there are any, of their twins.
func (w *Watcher) namespaces() []string {
	o := listenOptions{namespace: w.Namespace, host: w.Host}
	if o.namespace == "" {
		o.namespace = deploy.Name
	}
	return o.namespaces()
}

// session listens until something fails for good.
func (w *Watcher) session(ctx context.Context) error {
	client, err := deploy.New(w.Cluster)
	if err != nil {
		return err
	}
	namespace := w.namespaces()[0]
	l, err := listenTo(ctx, listenOptions{cluster: w.Cluster, client: client, namespace: namespace, host: w.Host, external: w.External, now: w.now, heard: w.count, joined: w.joined})
	if err != nil {
		return err
	}
	if w.Reads {
		l.follow()
	} else {
		l.write(deploy.Options{Namespace: namespace, Host: w.Host}, false, l.unwritten)
	}
	w.mu.Lock()
	w.listening = l
	w.mu.Unlock()
	err = w.judge(ctx, l)
	return errors.Join(err, l.stop())
}

// judge looks at what was heard, again and again.
func (w *Watcher) judge(ctx context.Context, l *listening) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var next, facts time.Time
	soon := FactsSoon
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wanted():
			facts, next = time.Time{}, time.Time{}
		case <-tick.C:
		}
		now := w.now()
		if now.Before(next) {
			continue
		}
		if !now.Before(facts) {
			if err := w.read(ctx); err != nil {
				w.fail(err)
				next = now.Add(watchAgain)
				continue
			}
			facts, soon = now.Add(FactsEvery), max(FactsSoon, factsShare*w.now().Sub(now))
		}
		if w.look(ctx, l); len(w.Sight().Confirmed()) > 0 && facts.After(now.Add(soon)) {
			facts = now.Add(soon)
		}
		next = now.Add(max(judgeEvery, judgeShare*w.now().Sub(now)))
	}
}

// read reads the facts.
func (w *Watcher) read(ctx context.Context) error {
	facts := w.Facts
	if facts == nil {
		facts = w.facts
	}
	in, err := facts(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.in = in
	w.mu.Unlock()
	w.fail(nil)
	return nil
}

func (w *Watcher) facts(ctx context.Context) (*signature.Input, error) {
	s, err := observe.Cluster(ctx, w.Cluster, observe.ClusterOptions{CiliumNamespace: w.CiliumNamespace, Brief: true})
	if err != nil {
		return nil, err
	}
	return liveInput(s)
}

// look judges once.
func (w *Watcher) look(ctx context.Context, l *listening) {
	s := Sight{At: w.now(), Wanted: runningProbes(l.watch.Facts()), Silent: l.matrix.Silent(w.now())}
	s.Heard, _, _ = l.state()
	if s.Idle = idle(l.watch.Facts(), w.namespaces()); len(s.Idle) > 0 {
		w.none.ask(ctx, l, s.Idle, s.At)
		s.Keyless = slices.DeleteFunc(slices.Clone(w.none.keyless), func(ns string) bool { return !slices.Contains(s.Idle, ns) })
	}
	if s.Wanted == 0 {
		s.Why = w.none.why
	}
	for _, p := range l.matrix.Probes() {
		if p.Heard.After(s.LastHeard) {
			s.LastHeard = p.Heard
		}
	}
	s.Judgement = l.judge(w.in)
	w.mu.Lock()
	changed := !slices.Equal(causes(w.sight), causes(s)) || w.sight.At.IsZero() || (w.sight.Wanted == 0) != (s.Wanted == 0) || !slices.Equal(w.sight.Keyless, s.Keyless)
	w.sight = s
	w.mu.Unlock()
	if changed && w.Changed != nil {
		w.Changed()
	}
}

// causes are what is confirmed, by name.
func causes(s Sight) []string {
	var out []string
	for _, f := range s.Confirmed() {
		out = append(out, f.Signature+" "+f.Family+" "+f.About)
	}
	return out
}
