package remediate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// Follower reads from a cluster what [verify.Judge] needs of a merged change: what
// Flux says of it, cilium-config, and the agents. It writes nothing and asks for no
// Secret.
type Follower struct {
	// Client asks the API server itself: lists are read by pages, which a cache has
	// not. [FollowClient] makes one.
	Client client.Reader
	// CiliumNamespace is where cilium-config and the agents are; empty is kube-system.
	CiliumNamespace string
	// Metrics are those of the agents, and when they were read; nil asks none. It is
	// asked only where nothing else tells whether an agent has the change.
	// [AgentMetrics.Read] is one.
	Metrics func(context.Context) ([]snapshot.AgentMetrics, time.Time)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Followed is a change that is followed.
type Followed struct {
	// Release is NAMESPACE/NAME of the HelmRelease.
	Release string
	Merged  verify.Merged
	Planned verify.Planned
	// Contains says whether a revision, a full commit hash, holds the merged commit;
	// nil: only the commit itself is known to. [Holds] makes one of a clone.
	Contains func(ctx context.Context, revision string) (snapshot.Tri, error)
	// Baseline from before the merge; nil without one.
	Baseline *verify.Baseline
	// Grace and Hold; 0 are the defaults.
	Grace, Hold time.Duration
	// Before is State.Since of the last look.
	Before verify.Since
}

// look is one look at a change.
type followLook struct {
	*Follower
	Followed
	in *verify.Input
}

// Look reads what is so now, and puts what probes said beside it. What is not there
// or may not be read stays unknown; an error is an API server that does not answer.
func (f *Follower) Look(ctx context.Context, x Followed, probes verify.Probes) (verify.Input, error) {
	in := verify.Input{Grace: x.Grace, Hold: x.Hold, Before: x.Before, Merged: x.Merged, Planned: x.Planned, Baseline: x.Baseline, Probes: probes}
	l := &followLook{Follower: f, Followed: x, in: &in}
	for _, read := range []func(context.Context) error{l.release, l.config, l.nodes, l.agents, l.others, l.overrides, l.metrics} {
		if err := read(ctx); err != nil {
			return in, err
		}
	}
	in.Now = f.now()
	return in, nil
}

// FollowClient reads from a cluster without a cache.
func FollowClient(cfg *rest.Config) (client.Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.WarningHandler = rest.NoWarnings{}
	if cfg.QPS == 0 {
		cfg.QPS, cfg.Burst = 50, 100
	}
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		return nil, err
	}
	return client.New(cfg, client.Options{Scheme: s})
}

func (f *Follower) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

func (f *Follower) namespace() string {
	if f.CiliumNamespace != "" {
		return f.CiliumNamespace
	}
	return observe.DefaultCiliumNamespace
}

// get reads an object; ok is false when it is not there or may not be read.
func (f *Follower) get(ctx context.Context, namespace, name string, into client.Object) (ok bool, err error) {
	err = f.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, into)
	return err == nil, f.silently(err, fmt.Sprintf("%s/%s", namespace, name))
}

// silently passes on only that the API server does not answer.
func (f *Follower) silently(err error, what string) error {
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsForbidden(err), meta.IsNoMatchError(err):
		return nil
	}
	return fmt.Errorf("read %s: %w", what, err)
}

// page is how many objects are asked for at once.
const followPage = 500

// list reads a list by pages and hands each on, so that no more than a page is held.
func (f *Follower) list(ctx context.Context, list client.ObjectList, each func() error, opts ...client.ListOption) (ok bool, err error) {
	next := ""
	for {
		err := f.Client.List(ctx, list, append(opts, client.Limit(followPage), client.Continue(next))...)
		if err != nil {
			return false, f.silently(err, fmt.Sprintf("%T", list))
		}
		if err := each(); err != nil {
			return false, err
		}
		if next = list.GetContinue(); next == "" {
			return true, nil
		}
	}
}

// object is "Kind NAMESPACE/NAME".
func object(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }

// splitName takes NAMESPACE/NAME apart.
func splitName(s string) (namespace, name string, err error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return "", "", errors.New("a release is NAMESPACE/NAME")
	}
	return namespace, name, nil
}
