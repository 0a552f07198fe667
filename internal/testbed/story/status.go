//go:build linux

package story

import (
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// UntilReady waits until an object of Flux is Ready for what it says now.
func (f Flux) UntilReady(t testing.TB, within time.Duration, kind, namespace, name string) {
	t.Helper()
	eventually(t, within, kind+" "+namespace+"/"+name+" is ready", func() string {
		return unready(f.bed.fluxObject(t, kind, namespace, name))
	})
}

// fluxObject is empty while there is none of that name.
func (b *Bed) fluxObject(t testing.TB, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := b.Dynamic.Resource(fluxResource(kind)).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &unstructured.Unstructured{Object: map[string]any{}}
	}
	b.must(t, err)
	return o
}

// unready says why an object is not Ready for its present generation; empty when it
// is.
func unready(o *unstructured.Unstructured) string {
	if len(o.Object) == 0 {
		return "there is none"
	}
	observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	if observed != o.GetGeneration() {
		return fmt.Sprintf("generation %d of %d was observed", observed, o.GetGeneration())
	}
	c := readyCondition(o)
	if c["status"] == "True" {
		return ""
	}
	return fmt.Sprintf("%v: %v", c["reason"], c["message"])
}

func readyCondition(o *unstructured.Unstructured) map[string]any {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range list {
		if m, ok := c.(map[string]any); ok && m["type"] == "Ready" {
			return m
		}
	}
	return nil
}

// nested is a text below the keys, empty when there is none.
func nested(o *unstructured.Unstructured, keys ...string) string {
	text, _, _ := unstructured.NestedString(o.Object, keys...)
	return text
}
