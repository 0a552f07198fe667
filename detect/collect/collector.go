package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/probe"
)

// Options of a [Collector]. The zero value of each field will do.
type Options struct {
	// Namespaces of the probes; remediate-probe.
	Namespaces []string
	// Selector of the pods that write lines, as kubectl takes it; the probers, whose
	// [LabelTarget] is open, and their twins in the nodes' own network.
	Selector string
	// Container that writes them; "probe".
	Container string
	// Follow is how many logs are followed at most, each by an open stream; 200.
	// The others are read in rotation.
	Follow int
	// Workers is how many logs are read in rotation at the same time; 16.
	Workers int
	// Every is how long a probe that is read in rotation is left alone at least; 10 s.
	Every time.Duration
	// Backlog is how much of a log is read when a probe is read first; 2 minutes.
	Backlog time.Duration
	// Direct asks a probe itself and returns its lines as its log has them. Nil:
	// only logs are read. It must end with its context.
	Direct func(context.Context, Target) ([]byte, error)
	// DirectEvery is how often a probe is asked that answers; 2 s. One that does not
	// is read by its log, and asked again after DirectRetry; 1 minute.
	DirectEvery, DirectRetry time.Duration
	// Limits of the matrix.
	Limits Limits
	// Sink is given each new line, tidied, by one goroutine at a time. It must not block.
	Sink func(Target, probe.Line)
	// Now is the clock; Jitter shortens a wait by chance, so that not all comes at once.
	Now    func() time.Time
	Jitter func(time.Duration) time.Duration
}

func (o Options) withDefaults() Options {
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{"remediate-probe"}
	}
	o.Selector = cmp.Or(o.Selector, LabelTarget+" in (open,"+TargetHost+")")
	o.Container = cmp.Or(o.Container, "probe")
	o.Follow, o.Workers = cmp.Or(o.Follow, 200), cmp.Or(o.Workers, 16)
	o.Every, o.Backlog = cmp.Or(o.Every, 10*time.Second), cmp.Or(o.Backlog, 2*time.Minute)
	o.DirectEvery, o.DirectRetry = cmp.Or(o.DirectEvery, 2*time.Second), cmp.Or(o.DirectRetry, time.Minute)
	o.Limits = o.Limits.withDefaults()
	if o.Sink == nil {
		o.Sink = func(Target, probe.Line) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = func(d time.Duration) time.Duration { return d - rand.N(d/4+1) }
	}
	return o
}

// Collector reads the probes of a cluster into a [Matrix].
type Collector struct {
	opts   Options
	kube   kubernetes.Interface
	matrix *Matrix

	sink    sync.Mutex // held while the sink is told
	changes changes
	poke    chan struct{} // asks whether the API server is there
	// brought is when it brought the last line, in Unix nanoseconds.
	brought atomic.Int64
}

// New makes a collector with an access of its own to the cluster. Its user needs to
// list and watch nodes, and pods in the probes' namespaces, and to get their logs
// (pods/log).
func New(cfg *rest.Config, o Options) (*Collector, error) {
	cfg = rest.CopyConfig(cfg)
	// Streams have no end; what has one is bounded by its context.
	cfg.Timeout = 0
	cfg.QPS, cfg.Burst = 100, 200
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for the cluster: %w", err)
	}
	o = o.withDefaults()
	return &Collector{
		opts: o, kube: kube, matrix: NewMatrix(o.Limits),
		changes: changes{wake: make(chan struct{}, 1)},
		poke:    make(chan struct{}, 1),
	}, nil
}

// Matrix is what was read; it may be asked at any time.
func (c *Collector) Matrix() *Matrix { return c.matrix }

// Run reads until its context ends, and returns when everything that it started has
// ended. A cluster that does not answer is waited for. The error is the context's
// cause, or why reading could not start.
func (c *Collector) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	stop, err := c.watch(ctx)
	if err != nil {
		return err
	}
	defer stop()
	wg.Go(func() { c.pinger(ctx) })
	c.schedule(ctx, &wg)
	wg.Wait()
	return context.Cause(ctx)
}

// pingEvery is how often the API server is asked whether it is there, and pingWithin
// how long it may take. While it brings lines, the last not longer than pingSpared
// ago, it is not asked; pingAlone is how often it is where there are no probes.
const (
	pingEvery  = 5 * time.Second
	pingWithin = 5 * time.Second
	pingSpared = 15 * time.Second
	pingAlone  = 30 * time.Second
)

// pinger tells an API server that does not answer from a node that does not.
func (c *Collector) pinger(ctx context.Context) {
	asked := true
	for {
		if asked || !c.answers() {
			c.ping(ctx)
		}
		asked = false
		wait := pingEvery
		if c.matrix.empty() {
			wait = pingAlone
		}
		t := time.NewTimer(c.opts.Jitter(wait))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-c.poke:
			t.Stop()
			asked = true
			// Not more often than once in a second, whatever fails.
			if !sleep(ctx, time.Second) {
				return
			}
		case <-t.C:
		}
	}
}

// answers says whether the API server showed lately that it is there.
func (c *Collector) answers() bool {
	failing, _ := c.matrix.API()
	return failing.IsZero() && c.opts.Now().Sub(time.Unix(0, c.brought.Load())) < pingSpared
}

func (c *Collector) ping(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	err := c.kube.Discovery().RESTClient().Get().AbsPath("/version").Do(within).Error()
	switch {
	case ctx.Err() != nil:
	case err == nil || answered(err):
		if since, _ := c.matrix.API(); !since.IsZero() {
			c.changes.back()
		}
		c.matrix.APIAnswered(c.opts.Now())
	default:
		c.matrix.APIFailed(err, c.opts.Now())
	}
}

func (c *Collector) askAPI() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Errors of reading a log.
var (
	errQuiet     = errors.New("nothing was written for a while")
	errTalkative = errors.New("more was written than is read")
)
