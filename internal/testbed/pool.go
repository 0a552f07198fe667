package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// Pool keeps API servers from one test of a package to the next, which saves the
// seconds of their start and of making the definitions. A test has its server to
// itself; what it has put into it is gone before the next one gets it. What the
// server makes for itself stays, and so do changes of that.
//
// A package has one and closes it behind its tests, in TestMain.
type Pool struct {
	// Flags are those of every server.
	Flags []string
	// Prepare puts into a new server what every test wants there; nil for nothing.
	Prepare func(testing.TB, *rest.Config)

	mu   sync.Mutex
	free []*pooled
}

// pooled is a server with what was there before the first test.
type pooled struct {
	*Server
	first map[types.UID]bool
	// admin asks as fast as the server can.
	admin *rest.Config
}

// APIServer is a server as [Start] gives it, of the pool.
func (p *Pool) APIServer(t testing.TB) *rest.Config {
	t.Helper()
	s := p.take()
	if s == nil {
		s = p.start(t)
	}
	t.Cleanup(func() {
		if err := p.giveBack(s, t.Failed()); err != nil {
			t.Error(err)
		}
	})
	return rest.CopyConfig(s.Config)
}

// Close ends all servers that no test has.
func (p *Pool) Close() error {
	var errs []error
	for s := p.take(); s != nil; s = p.take() {
		errs = append(errs, s.end())
	}
	return errors.Join(errs...)
}

func (p *Pool) take() *pooled {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return nil
	}
	s := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return s
}

// start has a folder of its own, since a test's would end with that test.
func (p *Pool) start(t testing.TB) *pooled {
	t.Helper()
	etcd, apiserver := Tool(t, "etcd"), Tool(t, "kube-apiserver")
	var err error
	for range attempts {
		var s *pooled
		if s, err = startPooled(etcd, apiserver, p.Flags); err == nil {
			if p.Prepare != nil {
				p.Prepare(t, s.Config)
			}
			if s.first, err = s.found(t.Context(), nil); err != nil {
				t.Fatalf("list what a new API server holds: %v", errors.Join(err, s.end()))
			}
			return s
		}
	}
	t.Fatalf("start an API server: %v", err)
	return nil
}

func startPooled(etcd, apiserver string, flags []string) (*pooled, error) {
	dir, err := os.MkdirTemp("", "apiserver-")
	if err != nil {
		return nil, err
	}
	s, err := start(dir, etcd, apiserver, flags)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	out := &pooled{Server: s, admin: rest.CopyConfig(s.Config)}
	out.admin.QPS, out.admin.WarningHandler = -1, rest.NoWarnings{}
	return out, nil
}

func (s *pooled) end() error { return errors.Join(s.Stop(), os.RemoveAll(s.dir)) }

// giveBack keeps a server that could be emptied. That of a failed test may be in any
// state.
func (p *Pool) giveBack(s *pooled, failed bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	if failed || s.empty(ctx) != nil {
		return s.end()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, s)
	return nil
}

// empty removes what tests have put in, until nothing of it is left.
func (s *pooled) empty(ctx context.Context) error {
	clean, err := s.cleaner()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		left, err := s.found(ctx, clean.remove)
		if err != nil {
			return err
		}
		for uid := range s.first {
			delete(left, uid)
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}

// found lists all objects of a server that are not its own, and hands those that
// were not there first to remove.
func (s *pooled) found(ctx context.Context, remove func(context.Context, schema.GroupVersionResource, *metav1.PartialObjectMetadata) error) (map[types.UID]bool, error) {
	client, err := metadata.NewForConfig(s.admin)
	if err != nil {
		return nil, err
	}
	kinds, err := s.kinds()
	if err != nil {
		return nil, err
	}
	lists, err := listAll(ctx, client, kinds)
	if err != nil {
		return nil, err
	}
	out := map[types.UID]bool{}
	for n, list := range lists {
		for i := range list {
			o := &list[i]
			if isServers(o) {
				continue
			}
			if out[o.UID] = true; remove == nil || s.first[o.UID] {
				continue
			}
			if err := remove(ctx, kinds[n], o); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return nil, fmt.Errorf("remove %s %s/%s: %w", kinds[n].GroupResource(), o.Namespace, o.Name, err)
			}
		}
	}
	return out, nil
}

// listAll lists kinds side by side: of a new definition the server says at first to
// ask again in a second.
func listAll(ctx context.Context, client metadata.Interface, kinds []schema.GroupVersionResource) ([][]metav1.PartialObjectMetadata, error) {
	lists, errs := make([][]metav1.PartialObjectMetadata, len(kinds)), make([]error, len(kinds))
	var wait sync.WaitGroup
	for n, kind := range kinds {
		wait.Go(func() {
			list, err := client.Resource(kind).List(ctx, metav1.ListOptions{})
			switch {
			case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err): // its definition is on its way out
			case err != nil:
				errs[n] = fmt.Errorf("list %s: %w", kind.GroupResource(), err)
			default:
				lists[n] = list.Items
			}
		})
	}
	wait.Wait()
	return lists, errors.Join(errs...)
}

// isServers says whether only the API server itself has written an object.
func isServers(o *metav1.PartialObjectMetadata) bool {
	return len(o.ManagedFields) > 0 && !slices.ContainsFunc(o.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager != "kube-apiserver" })
}

// kinds are those that can be listed and deleted. Definitions come last, so that
// what they define is gone before they are; addresses go with their Services.
func (s *pooled) kinds() ([]schema.GroupVersionResource, error) {
	d, err := discovery.NewDiscoveryClientForConfig(s.admin)
	if err != nil {
		return nil, err
	}
	lists, err := d.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("ask for the API server's kinds: %w", err)
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists)
	all, err := discovery.GroupVersionResources(lists)
	if err != nil {
		return nil, err
	}
	var out []schema.GroupVersionResource
	for kind := range all {
		if kind.Resource != "ipaddresses" && kind.Group != "apiregistration.k8s.io" {
			out = append(out, kind)
		}
	}
	slices.SortFunc(out, func(a, b schema.GroupVersionResource) int {
		if last := order(a) - order(b); last != 0 {
			return last
		}
		return strings.Compare(a.String(), b.String())
	})
	return out, nil
}

func order(kind schema.GroupVersionResource) int {
	return slices.Index([]string{"namespaces", "customresourcedefinitions"}, kind.Resource)
}

// cleaner removes single objects.
type cleaner struct {
	metadata metadata.Interface
	kube     kubernetes.Interface
}

func (s *pooled) cleaner() (*cleaner, error) {
	m, err := metadata.NewForConfig(s.admin)
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(s.admin)
	return &cleaner{metadata: m, kube: kube}, err
}

// remove deletes an object at once: without its finalizers, as nobody is there to
// heed them.
func (c *cleaner) remove(ctx context.Context, kind schema.GroupVersionResource, o *metav1.PartialObjectMetadata) error {
	client := c.metadata.Resource(kind).Namespace(o.Namespace)
	if len(o.Finalizers) > 0 && kind.Resource != "customresourcedefinitions" {
		if _, err := client.Patch(ctx, o.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	now := int64(0)
	err := client.Delete(ctx, o.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &o.UID}})
	if kind.Resource != "namespaces" || err != nil && !apierrors.IsConflict(err) {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.Name}}
	_, err = c.kube.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	return err
}
