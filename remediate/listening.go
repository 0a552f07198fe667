package remediate

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
)

// listening is a set of probes whose lines are read.
type listening struct {
	*listener
	client   *deploy.Client
	watch    *deploy.Watch
	external []netip.AddrPort
	joined   func(mesh.Membership)

	ctx    context.Context
	cancel context.CancelFunc
	ended  chan error
	parts  int
}

// listenOptions say to which probes to listen.
type listenOptions struct {
	cluster   *rest.Config
	client    *deploy.Client
	namespace string
	host      bool
	external  []netip.AddrPort
	now       func() time.Time
	// heard is given each line too, and joined each membership; nil: nobody is.
	heard  func(collect.Target, probe.Line)
	joined func(mesh.Membership)
}

// namespaces are those of the probes and, where there are any, of their twins.
func (o *listenOptions) namespaces() []string {
	if o.host {
		return []string{o.namespace, deploy.HostNamespace(o.namespace)}
	}
	return []string{o.namespace}
}

// listenTo begins to follow the probes' objects and to read their lines; it ends
// with ctx or by stop, which must be called in any case.
func listenTo(ctx context.Context, o listenOptions) (*listening, error) {
	within, cancel := context.WithCancel(ctx)
	watch, err := o.client.Follow(within, o.namespace, o.host)
	if err != nil {
		cancel()
		return nil, err
	}
	l := &listening{listener: newListener(o.now), joined: o.joined, client: o.client, watch: watch, external: o.external,
		ctx: within, cancel: cancel, ended: make(chan error, 2)}
	collector, err := collect.New(o.cluster, collect.Options{Namespaces: o.namespaces(), Container: deploy.ContainerName, Now: o.now, Sink: l.sink(o.heard)})
	if err != nil {
		_ = l.stop()
		return nil, err
	}
	l.matrix = collector.Matrix()
	l.run(collector.Run)
	return l, nil
}

func (l *listening) run(part func(context.Context) error) {
	l.parts++
	go func() { l.ended <- part(l.ctx) }()
}

// sink takes the lines, and hands them on.
func (l *listening) sink(also func(collect.Target, probe.Line)) func(collect.Target, probe.Line) {
	if also == nil {
		return l.line
	}
	return func(t collect.Target, line probe.Line) {
		l.line(t, line)
		also(t, line)
	}
}

// membership notes who takes part from now on.
func (l *listening) membership(m mesh.Membership) {
	l.listener.membership(m)
	if l.joined != nil {
		l.joined(m)
	}
}

// write keeps the probes' members as their pods and nodes are. failed is told why
// they could not be written, and nil once they could be again.
func (l *listening) write(o deploy.Options, wake bool, failed func(error)) {
	w := &deploy.Writer{Client: l.client, Watch: l.watch, Options: o, Wake: wake, Members: l.members, Wrote: l.membership, Failed: failed}
	l.run(func(ctx context.Context) error { w.Run(ctx); return nil })
}

// follow takes the members to be as the pods and nodes are, for probes that somebody
// else tells.
func (l *listening) follow() {
	l.membership(l.members(l.watch.Facts()))
	l.run(func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-l.watch.Changed():
				l.membership(l.members(l.watch.Facts()))
			}
		}
	})
}

// unwritten takes the members to be as the pods and nodes are although they could
// not be written: the probes may know them from somebody else.
func (l *listening) unwritten(err error) {
	l.writeFailed(err)
	if err != nil {
		l.membership(l.members(l.watch.Facts()))
	}
}

func (l *listening) members(f deploy.Facts) mesh.Membership {
	m := collect.Membership(f.Pods, f.Nodes, f.Services, f.Slices)
	m.External = l.external
	return m
}

// stop ends it all, and says what failed besides.
func (l *listening) stop() error {
	l.cancel()
	var err error
	for range l.parts {
		if e := <-l.ended; err == nil && !errors.Is(e, context.Canceled) {
			err = e
		}
	}
	l.parts = 0
	l.watch.Close()
	return err
}
