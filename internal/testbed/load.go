package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Load puts every object of a snapshot folder, but those of the kinds in
// leaveOut, into a server: with its status, its generation and the times at
// which managers changed it. What a snapshot leaves out and a server insists on
// is made up: the images of containers, the interval of a Flux object. The
// server's own schemas and validation decide what is right.
//
// An object that the server has already, such as namespace default, keeps what
// it has and gets the folder's labels.
func Load(t testing.TB, cfg *rest.Config, dir string, leaveOut ...string) {
	t.Helper()
	objects, err := folderObjects(dir)
	if err != nil {
		t.Fatalf("load %s: %v", dir, err)
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return slices.Contains(leaveOut, o.GetKind())
	})
	// Namespaces before what lies in them.
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	LoadObjects(t, cfg, objects...)
}

// LoadObjects does the same with single objects.
func LoadObjects(t testing.TB, cfg *rest.Config, objects ...*unstructured.Unstructured) {
	t.Helper()
	l, err := newLoader(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := l.load(complete(o)); err != nil {
			t.Fatalf("load %s %s/%s: %v", o.GetKind(), o.GetNamespace(), o.GetName(), err)
		}
	}
}

func rank(o *unstructured.Unstructured) int {
	if o.GetKind() == "Namespace" {
		return 0
	}
	return 1
}

// folderObjects reads all YAML files of a folder; lists are taken apart.
func folderObjects(dir string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		objects, err := readObjects(path)
		out = append(out, objects...)
		return err
	})
	return out, err
}

// Objects reads a file of Kubernetes YAML; lists are taken apart.
func Objects(t testing.TB, path string) []*unstructured.Unstructured {
	t.Helper()
	out, err := readObjects(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readObjects(path string) ([]*unstructured.Unstructured, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []*unstructured.Unstructured
	d := yaml.NewYAMLOrJSONDecoder(f, 4096)
	for {
		var raw runtime.RawExtension
		err := d.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err == nil {
			out, err = appendObjects(out, raw.Raw)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// appendObjects adds one document: an object, a list's items, or nothing.
func appendObjects(out []*unstructured.Unstructured, raw []byte) ([]*unstructured.Unstructured, error) {
	if text := strings.TrimSpace(string(raw)); text == "" || text == "null" {
		return out, nil
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if !o.IsList() {
		return append(out, o), nil
	}
	list, err := o.ToList()
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		out = append(out, &list.Items[i])
	}
	return out, nil
}

// loader writes objects of any kind that the server has.
type loader struct {
	ctx       context.Context
	dynamic   dynamic.Interface
	discovery discovery.DiscoveryInterface
	mapper    meta.RESTMapper
}

func newLoader(t testing.TB, cfg *rest.Config) (*loader, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // as fast as the server can
	cfg.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &loader{ctx: t.Context(), dynamic: client, discovery: d}, nil
}

// client for objects of o's kind in its namespace. A kind that is not there may
// have come since the server was asked for its kinds.
func (l *loader) client(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	m, err := l.mapping(o.GroupVersionKind())
	if meta.IsNoMatchError(err) {
		l.mapper = nil
		m, err = l.mapping(o.GroupVersionKind())
	}
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return l.dynamic.Resource(m.Resource).Namespace(o.GetNamespace()), nil
	}
	return l.dynamic.Resource(m.Resource), nil
}

func (l *loader) mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	if l.mapper == nil {
		groups, err := restmapper.GetAPIGroupResources(l.discovery)
		if err != nil {
			return nil, err
		}
		l.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	}
	return l.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
}

func (l *loader) load(o *unstructured.Unstructured) error {
	if err := l.create(o); err != nil {
		return err
	}
	if err := l.raiseGeneration(o); err != nil {
		return fmt.Errorf("raise its generation: %w", err)
	}
	if err := l.setStatus(o); err != nil {
		return fmt.Errorf("set its status: %w", err)
	}
	return l.setManagers(o)
}

// create tries for a while: a server that has just started is not ready to
// allocate the addresses of Services, and a new kind is served a moment after it
// was established.
func (l *loader) create(o *unstructured.Unstructured) error {
	return l.retry(func(ctx context.Context) error {
		client, err := l.client(o)
		if err != nil {
			return err
		}
		// Asked first, because a Service's address is refused before its name.
		_, err = client.Get(ctx, o.GetName(), metav1.GetOptions{})
		if err == nil {
			return l.change(o, func(have *unstructured.Unstructured) { have.SetLabels(merged(have.GetLabels(), o.GetLabels())) })
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
		fresh := o.DeepCopy()
		fresh.SetManagedFields(nil)
		_, err = client.Create(ctx, fresh, metav1.CreateOptions{FieldManager: "testbed"})
		return err
	})
}

func merged(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		maps.Copy(out, m)
	}
	return out
}

// raiseGeneration changes the spec as often as it was changed: the server
// counts by itself. Both workloads have the field minReadySeconds, of which a
// snapshot knows nothing.
func (l *loader) raiseGeneration(o *unstructured.Unstructured) error {
	want := o.GetGeneration()
	for {
		have, err := l.get(o)
		if err != nil || have.GetGeneration() >= want {
			return err
		}
		err = l.change(o, func(have *unstructured.Unstructured) {
			within(have.Object, "spec")["minReadySeconds"] = have.GetGeneration()
		})
		if err != nil {
			return err
		}
	}
}

// setStatus writes to the status subresource. A kind without one took the
// status when it was created.
func (l *loader) setStatus(o *unstructured.Unstructured) error {
	status, ok := o.Object["status"]
	if !ok {
		return nil
	}
	err := l.change(o, func(have *unstructured.Unstructured) { have.Object["status"] = status }, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// setManagers says who changed what and when. The server keeps what it is told
// when nothing else changes.
func (l *loader) setManagers(o *unstructured.Unstructured) error {
	if len(o.GetManagedFields()) == 0 {
		return nil
	}
	return l.change(o, func(have *unstructured.Unstructured) { have.SetManagedFields(o.GetManagedFields()) })
}

func (l *loader) get(o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	client, err := l.client(o)
	if err != nil {
		return nil, err
	}
	return client.Get(l.ctx, o.GetName(), metav1.GetOptions{})
}

func (l *loader) change(o *unstructured.Unstructured, change func(*unstructured.Unstructured), subresource ...string) error {
	client, err := l.client(o)
	if err != nil {
		return err
	}
	have, err := client.Get(l.ctx, o.GetName(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	change(have)
	_, err = client.Update(l.ctx, have, metav1.UpdateOptions{FieldManager: "testbed"}, subresource...)
	return err
}

// settleWithin is how long a server may take until it can do what it will.
const settleWithin = 30 * time.Second

func (l *loader) retry(try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(l.ctx, settleWithin)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
