package source

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/chartutil"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"
)

// merge runs helm-controller's own merging over the parts that were found.
func merge(ctx context.Context, namespace, name string, own map[string]any, parts []part) (map[string]any, error) {
	data := objects{}
	var refs []meta.ValuesReference
	for _, p := range parts {
		if p.Kind == "HelmRelease" || !p.found {
			continue
		}
		key := p.Kind + "/" + p.ref.Name
		if data[key] == nil {
			data[key] = map[string]string{}
		}
		data[key][p.ref.GetValuesKey()] = p.data
		refs = append(refs, p.ref)
	}
	vals, err := chartutil.ChartValuesFromReferences(ctx, logr.Discard(), reader{data: data}, namespace, own, refs...)
	if err != nil && slices.ContainsFunc(parts, func(p part) bool { return p.found && p.secret }) {
		// The cause can quote a Secret.
		return nil, fmt.Errorf("merge the values of %s/%s: a source of spec.valuesFrom does not fit its targetPath", namespace, name)
	}
	if err != nil {
		return nil, fmt.Errorf("merge the values of %s/%s: %w", namespace, name, err)
	}
	return vals, nil
}

// objects are the data of ConfigMaps and Secrets by KIND/NAME.
type objects map[string]map[string]string

// reader is the part of a client that the merging uses.
type reader struct {
	client.Client
	data objects
}

func (r reader) Get(_ context.Context, key types.NamespacedName, obj client.Object, _ ...client.GetOption) error {
	switch o := obj.(type) {
	case *corev1.ConfigMap:
		if d, ok := r.data["ConfigMap/"+key.Name]; ok {
			o.Data = d
			return nil
		}
	case *corev1.Secret:
		if d, ok := r.data["Secret/"+key.Name]; ok {
			o.Data = map[string][]byte{}
			for k, v := range d {
				o.Data[k] = []byte(v)
			}
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

// equalJSON compares two values as JSON sees them.
func equalJSON(a, b any) bool {
	return reflect.DeepEqual(throughJSON(a), throughJSON(b))
}

func throughJSON(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(b, &out) != nil {
		return v
	}
	if m, ok := out.(map[string]any); ok && len(m) == 0 {
		return nil
	}
	return out
}

// asYAML is for text that is only searched; what cannot be written is empty.
func asYAML(v any) string {
	b, err := sigsyaml.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
