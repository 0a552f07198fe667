package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Defaults of ClusterOptions.
const (
	// DefaultTimeout is how long an API server may take to answer at all:
	// longer than a slow VPN, shorter than a person's patience.
	DefaultTimeout = 10 * time.Second
	// listTimeout is how long one page of a list may take. The API server
	// itself ends requests after 60 s (--request-timeout).
	listTimeout = 60 * time.Second
	// pageSize is client-go's default chunk.
	pageSize = 500
	// DefaultCiliumNamespace is where the chart's documentation installs it.
	DefaultCiliumNamespace = "kube-system"
)

// ErrNoAnswer is a cluster that could not be reached or did not answer in time.
var ErrNoAnswer = errors.New("the cluster does not answer")

// ClusterOptions say how to read a cluster. The zero value will do.
type ClusterOptions struct {
	// Origin names the cluster in the snapshot: the kubeconfig context.
	Origin string
	// CiliumNamespace is where cilium-config and the DaemonSet are; empty is
	// [DefaultCiliumNamespace].
	CiliumNamespace string
	// Timeout for the first answer; 0 is [DefaultTimeout].
	Timeout time.Duration
	// Brief leaves out what grows with the workloads, as for a look that is repeated:
	// pods but Cilium's own, endpoints, identities, Services, events, Flux's objects.
	Brief bool
}

// Cluster reads a live cluster. Kinds that the credentials may not list, or that
// the server does not have, stay unknown and are named in the snapshot's
// Unreadable. Secrets are never asked for.
//
// A cluster that does not answer is [ErrNoAnswer]; one that refuses the
// credentials, or fails while it is read, is an error too.
func Cluster(ctx context.Context, cfg *rest.Config, opts ClusterOptions) (*snapshot.Snapshot, error) {
	b := newBuilder(opts.origin(cfg))
	err := readCluster(ctx, cfg, opts, func(k kindItems) error {
		if k.unread != "" {
			b.snap.Unreadable = append(b.snap.Unreadable, k.unread)
			return nil
		}
		if !opts.Brief || k.kind != podKind {
			b.read(k.kind)
		}
		for _, o := range k.items {
			o.fill(b)
		}
		b.snap.Unreadable = append(b.snap.Unreadable, k.wrong...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := b.finish()
	if opts.Brief {
		s.Pods = nil
	}
	return s, nil
}

func (o ClusterOptions) origin(cfg *rest.Config) string {
	if o.Origin != "" {
		return o.Origin
	}
	return scrub(cfg.Host)
}

func (o ClusterOptions) withDefaults() ClusterOptions {
	if o.CiliumNamespace == "" {
		o.CiliumNamespace = DefaultCiliumNamespace
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// kindItems are all objects of a kind, reduced and sorted by name.
type kindItems struct {
	kind       string
	apiVersion string
	items      []item
	// unread says why the kind could not be read; empty when it was.
	unread string
	// wrong names objects that were passed over because a value in them
	// cannot be right.
	wrong []string
}

// readCluster hands out the resources one kind at a time, in a fixed order.
func readCluster(ctx context.Context, cfg *rest.Config, opts ClusterOptions, each func(kindItems) error) error {
	opts = opts.withDefaults()
	l, err := newLister(cfg)
	if err != nil {
		return err
	}
	if err := l.hello(ctx, opts.Timeout); err != nil {
		return err
	}
	all := resources(opts.CiliumNamespace)
	if opts.Brief {
		all = brief(all, opts.CiliumNamespace)
	}
	for _, r := range all {
		k, err := l.kind(ctx, r)
		if err != nil {
			return fmt.Errorf("list %s: %w", r.plural, err)
		}
		if err := each(k); err != nil {
			return err
		}
	}
	return nil
}

// lister lists raw objects.
type lister struct {
	client rest.Interface
	host   string
}

func newLister(cfg *rest.Config) (*lister, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg = rest.CopyConfig(cfg)
	cfg.GroupVersion = &schema.GroupVersion{}
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.AcceptContentTypes, cfg.ContentType = "application/json", "application/json"
	// A server warns of deprecated versions; which one is asked is not the
	// user's to choose.
	cfg.WarningHandler = rest.NoWarnings{}
	if cfg.QPS == 0 {
		cfg.QPS, cfg.Burst = 50, 100
	}
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", scrub(cfg.Host), err)
	}
	return &lister{client: client, host: scrub(cfg.Host)}, nil
}

// hello finds out whether there is an API server that lets us in.
func (l *lister) hello(ctx context.Context, timeout time.Duration) error {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// No retries: a server that is starting up is one that does not answer yet.
	err := l.client.Get().AbsPath("/version").MaxRetries(0).Do(within).Error()
	switch {
	case err == nil || apierrors.IsForbidden(err):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s refuses the credentials: log in again, or choose another --context: %w", l.host, err)
	}
	return fmt.Errorf("%w: %s, within %s: check the kubeconfig and the network, or give --snapshot: %w",
		ErrNoAnswer, l.host, timeout, err)
}

// kind lists all objects of a resource.
func (l *lister) kind(ctx context.Context, r resource) (kindItems, error) {
	for _, version := range r.versions {
		k, err := l.version(ctx, r, version)
		switch {
		case err == nil:
			return k, nil
		case apierrors.IsForbidden(err):
			return kindItems{kind: r.kind, unread: r.kind + ": not allowed to list it"}, nil
		case !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err):
			return k, err
		}
	}
	return kindItems{kind: r.kind, unread: r.kind + ": not installed"}, nil
}

func (l *lister) version(ctx context.Context, r resource, version string) (kindItems, error) {
	k := kindItems{kind: r.kind, apiVersion: r.apiVersion(version)}
	for _, s := range r.selectors() {
		err := l.list(ctx, r, version, s, &k)
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			// The list changed while it was read: once more from the start.
			k.items, k.wrong = nil, nil
			err = l.list(ctx, r, version, s, &k)
		}
		if err != nil {
			return k, err
		}
	}
	slices.SortStableFunc(k.items, func(a, b item) int { return bytes.Compare([]byte(a.head().key()), []byte(b.head().key())) })
	return k, nil
}

// listPage is one answer to a list request.
type listPage struct {
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

func (l *lister) list(ctx context.Context, r resource, version string, s selector, into *kindItems) error {
	next := ""
	for {
		page, err := l.page(ctx, r, version, s, next)
		if err != nil {
			return err
		}
		for _, raw := range page.Items {
			into.add(raw, typeMeta{r.apiVersion(version), r.kind})
		}
		if page.Metadata.Continue == "" {
			return nil
		}
		next = page.Metadata.Continue
	}
}

func (l *lister) page(ctx context.Context, r resource, version string, s selector, next string) (listPage, error) {
	within, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	req := l.client.Get().AbsPath(r.path(version, s)).Param("limit", strconv.Itoa(pageSize))
	for name, value := range map[string]string{"continue": next, "fieldSelector": s.fields, "labelSelector": s.labels} {
		if value != "" {
			req = req.Param(name, value)
		}
	}
	result := req.Do(within)
	if err := result.Error(); err != nil {
		return listPage{}, err
	}
	body, err := result.Raw()
	if err != nil {
		return listPage{}, err
	}
	var page listPage
	if err := json.Unmarshal(body, &page); err != nil {
		return listPage{}, fmt.Errorf("the answer is not a list: %w", err)
	}
	return page, nil
}

// add reduces an object and keeps it. One that cannot be right is named and
// passed over: nobody can edit it in place as in a folder.
func (k *kindItems) add(raw []byte, t typeMeta) {
	var d decoded
	if err := d.add(raw, newItem(nameOf(t.APIVersion, t.Kind)), t, func([]any) int { return 1 }); err != nil {
		var le *lineError
		if errors.As(err, &le) {
			err = le.err
		}
		k.wrong = append(k.wrong, "passed over: "+err.Error())
		return
	}
	k.items = append(k.items, d.items...)
}
