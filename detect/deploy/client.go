package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// requestTimeout bounds a request that changes something. Such requests are not
// cut off when the caller gives up: what was sent is known to have been answered
// before anything is removed.
const requestTimeout = 30 * time.Second

// Client makes and removes the probes of a cluster.
type Client struct {
	Kube kubernetes.Interface
}

// New makes a client for a cluster.
func New(cfg *rest.Config) (*Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.WarningHandler = rest.NoWarnings{}
	if cfg.QPS == 0 {
		cfg.QPS, cfg.Burst = 50, 100
	}
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for the cluster: %w", err)
	}
	return &Client{Kube: kube}, nil
}

// whole lets a request come to its end although ctx ends.
func whole(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
}

// Create makes the probes of a run: everything of [Objects], and the shared key.
// A namespace of that name which is there already is an error: the run would
// remove it at its end, and what somebody else keeps in it.
func (c *Client) Create(ctx context.Context, o Options) error {
	o = o.withDefaults()
	for _, object := range Objects(o) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.make(ctx, o, object); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) make(ctx context.Context, o Options, object Object) error {
	ns, ok := object.(*corev1.Namespace)
	if !ok {
		return c.Apply(ctx, object)
	}
	if err := c.newNamespace(ctx, ns); err != nil {
		return err
	}
	return c.newKey(ctx, o, ns.Name)
}

func (c *Client) newNamespace(ctx context.Context, ns *corev1.Namespace) error {
	ctx, cancel := whole(ctx)
	defer cancel()
	_, err := c.Kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{FieldManager: FieldManager})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s %w%s: probes for one run get a namespace of their own, which is removed afterwards: name another with --probe-namespace", ns.Name, ErrTaken, c.whose(ctx, ns.Name))
	}
	return wrap("create", ns, err)
}

// whose says what a namespace is that was to be made.
func (c *Client) whose(ctx context.Context, name string) string {
	ns, err := c.Kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case err != nil:
		return ""
	case ns.DeletionTimestamp != nil:
		return " and is being removed"
	case ns.Labels[LabelRun] != "":
		return " and holds the probes of another run"
	}
	return " and holds no probes"
}

// ErrTaken is a namespace that was to be made and is somebody else's.
var ErrTaken = errors.New("is there already")

// newKey makes the shared key where there is none. The twins' namespace needs the
// same key as the other.
func (c *Client) newKey(ctx context.Context, o Options, namespace string) error {
	fresh := NewKey(o, namespace)
	if namespace != o.Namespace {
		first, err := c.Kube.CoreV1().Secrets(o.Namespace).Get(ctx, KeyName, metav1.GetOptions{})
		if err != nil {
			return wrap("read", NewKey(o, o.Namespace), err)
		}
		fresh = keySecret(o, namespace, first.Data[KeyKey])
	}
	ctx, cancel := whole(ctx)
	defer cancel()
	_, err := c.Kube.CoreV1().Secrets(namespace).Create(ctx, fresh, metav1.CreateOptions{FieldManager: FieldManager})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return wrap("create", fresh, err)
}

// EnsureKey makes the shared key of an installation that has none, in its twins'
// namespace too, and says whether it did.
func (c *Client) EnsureKey(ctx context.Context, o Options) (made bool, err error) {
	o = o.withDefaults()
	for _, namespace := range o.namespaces() {
		_, err := c.Kube.CoreV1().Secrets(namespace).Get(ctx, KeyName, metav1.GetOptions{})
		switch {
		case err == nil:
			continue
		case !apierrors.IsNotFound(err):
			return made, wrap("read", NewKey(o, namespace), err)
		}
		if err := c.newKey(ctx, o, namespace); err != nil {
			return made, err
		}
		made = true
	}
	return made, nil
}

// Apply applies an object on the server, as [FieldManager].
func (c *Client) Apply(ctx context.Context, object Object) error {
	ctx, cancel := whole(ctx)
	defer cancel()
	data, err := applied(object)
	if err != nil {
		return err
	}
	force := true
	opts := metav1.PatchOptions{FieldManager: FieldManager, Force: &force}
	ns, name := object.GetNamespace(), object.GetName()
	switch object.(type) {
	case *corev1.Namespace:
		_, err = c.Kube.CoreV1().Namespaces().Patch(ctx, name, types.ApplyPatchType, data, opts)
	case *corev1.Service:
		_, err = c.Kube.CoreV1().Services(ns).Patch(ctx, name, types.ApplyPatchType, data, opts)
	case *corev1.ConfigMap:
		_, err = c.Kube.CoreV1().ConfigMaps(ns).Patch(ctx, name, types.ApplyPatchType, data, opts)
	case *appsv1.DaemonSet:
		_, err = c.Kube.AppsV1().DaemonSets(ns).Patch(ctx, name, types.ApplyPatchType, data, opts)
	case *networkingv1.NetworkPolicy:
		_, err = c.Kube.NetworkingV1().NetworkPolicies(ns).Patch(ctx, name, types.ApplyPatchType, data, opts)
	default:
		err = fmt.Errorf("%T is no object of the probes", object)
	}
	return wrap("apply", object, err)
}

// applied is an object as server-side apply wants it: without status, which would
// be claimed as ours otherwise.
func applied(object Object) ([]byte, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert %s: %w", describe(object), err)
	}
	delete(content, "status")
	return json.Marshal(content)
}

func describe(object Object) string {
	kind := object.GetObjectKind().GroupVersionKind().Kind
	if ns := object.GetNamespace(); ns != "" {
		return kind + " " + ns + "/" + object.GetName()
	}
	return kind + " " + object.GetName()
}

func wrap(verb string, object Object, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s %s: these credentials are not allowed to: %w", verb, describe(object), err)
	}
	return fmt.Errorf("%s %s: %w", verb, describe(object), err)
}
