package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"

	sigsyaml "sigs.k8s.io/yaml"
)

// Rendered is what one render gave. It is safe for concurrent use. Secrets are
// not part of it.
type Rendered struct {
	files map[string]string // template to its output
	// replaced are objects by KIND/NAME that stand in for those of the chart.
	replaced map[string]map[string]any

	once    sync.Once
	objects map[string]map[string]any
}

func newRendered(files map[string]string) *Rendered {
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	return &Rendered{files: files}
}

// Find returns an object by kind and name, the first if several namespaces
// have one.
func (r *Rendered) Find(kind, name string) (obj map[string]any, ok bool) { return r.find(kind, name) }

// With returns a render in which the given objects stand in for the chart's of
// the same kind and name, as after a post-renderer. [Rendered.Find],
// [Rendered.ConfigMap] and [Rendered.PodTemplateChecksum] read them; the lists
// and comparisons are still those of the chart's own output.
func (r *Rendered) With(objects ...map[string]any) *Rendered {
	out := &Rendered{files: r.files, replaced: map[string]map[string]any{}}
	for k, o := range r.replaced {
		out.replaced[k] = o
	}
	for _, o := range objects {
		kind, _ := o["kind"].(string)
		out.replaced[kind+"/"+meta(o, "name")] = o
	}
	return out
}

// ConfigMap returns the data of a ConfigMap, such as cilium-config or
// ip-masq-agent. ok is false when the chart does not render it.
func (r *Rendered) ConfigMap(name string) (data map[string]string, ok bool) {
	obj, ok := r.find("ConfigMap", name)
	if !ok {
		return nil, false
	}
	data = map[string]string{}
	m, _ := obj["data"].(map[string]any)
	for k, v := range m {
		switch x := v.(type) {
		case nil: // "key:" with nothing behind it: the API reads a null as ""
			data[k] = ""
		case string:
			data[k] = x
		default:
			b, _ := json.Marshal(v)
			data[k] = string(b)
		}
	}
	return data, true
}

// Object returns an object by KIND/NAMESPACE/NAME, the namespace empty for
// objects without one.
func (r *Rendered) Object(key string) (map[string]any, bool) {
	obj, ok := r.all()[key]
	return obj, ok
}

// Manifests returns each object as canonical YAML by KIND/NAMESPACE/NAME.
func (r *Rendered) Manifests() map[string]string {
	out := map[string]string{}
	for k, obj := range r.all() {
		b, err := sigsyaml.Marshal(obj)
		if err != nil {
			continue
		}
		out[k] = string(b)
	}
	return out
}

// Keys lists the objects as KIND/NAMESPACE/NAME, sorted.
func (r *Rendered) Keys() []string { return sortedKeys(r.all()) }

// Equal reports whether two renders give the same objects.
func (r *Rendered) Equal(o *Rendered) bool { return len(r.Diff(o)) == 0 }

// Diff lists the objects that differ, or that only one render has, as
// KIND/NAMESPACE/NAME, sorted.
func (r *Rendered) Diff(o *Rendered) []string {
	a, b := r.changed(o), o.changed(r)
	var keys []string
	for k, obj := range a {
		if !reflect.DeepEqual(obj, b[k]) {
			keys = append(keys, k)
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// changed parses the objects of the templates whose output differs.
func (r *Rendered) changed(o *Rendered) map[string]map[string]any {
	differing := map[string]string{}
	for name, text := range r.files {
		if other, ok := o.files[name]; !ok || other != text {
			differing[name] = text
		}
	}
	return parseAll(differing)
}

// PodTemplateChecksum identifies the pod template of a workload, by KIND/NAME:
// when it differs, applying the render restarts the pods. ok is false when
// there is no such workload.
func (r *Rendered) PodTemplateChecksum(workload string) (sum string, ok bool) {
	kind, name, _ := strings.Cut(workload, "/")
	obj, ok := r.find(kind, name)
	if !ok {
		return "", false
	}
	spec, _ := obj["spec"].(map[string]any)
	b, err := json.Marshal(spec["template"])
	if err != nil {
		return "", false
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), true
}

// RestartedBy lists the workloads, as KIND/NAME, whose pod template differs
// from the other render's: those that Kubernetes rolls out by itself.
func (r *Rendered) RestartedBy(o *Rendered) []string {
	var out []string
	for _, key := range r.Diff(o) {
		parts := strings.SplitN(key, "/", 3)
		if !slices.Contains([]string{"DaemonSet", "Deployment", "StatefulSet"}, parts[0]) {
			continue
		}
		workload := parts[0] + "/" + parts[2]
		a, okA := r.PodTemplateChecksum(workload)
		b, okB := o.PodTemplateChecksum(workload)
		if okA && okB && a != b {
			out = append(out, workload)
		}
	}
	return out
}

// find parses only the documents that can be the object.
func (r *Rendered) find(kind, name string) (map[string]any, bool) {
	if obj, ok := r.replaced[kind+"/"+name]; ok {
		return obj, true
	}
	for _, file := range sortedKeys(r.files) {
		text := r.files[file]
		if !strings.Contains(text, kind) || !strings.Contains(text, name) {
			continue
		}
		for _, doc := range documents(text) {
			if !strings.Contains(doc, kind) || !strings.Contains(doc, name) {
				continue
			}
			obj, ok := parseObject(doc)
			if ok && obj["kind"] == kind && meta(obj, "name") == name {
				return obj, true
			}
		}
	}
	return nil, false
}

func (r *Rendered) all() map[string]map[string]any {
	r.once.Do(func() { r.objects = parseAll(r.files) })
	return r.objects
}

// parseAll parses templates' output into objects without Secrets and without
// certificate bundles.
func parseAll(files map[string]string) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, file := range sortedKeys(files) {
		for _, doc := range documents(files[file]) {
			obj, ok := parseObject(doc)
			if !ok || obj["kind"] == "Secret" {
				continue
			}
			kind, _ := obj["kind"].(string)
			dropBundles(obj)
			out[kind+"/"+meta(obj, "namespace")+"/"+meta(obj, "name")] = obj
		}
	}
	return out
}

func documents(text string) []string {
	return strings.Split("\n"+text, "\n---")
}

func parseObject(doc string) (map[string]any, bool) {
	if strings.TrimSpace(doc) == "" {
		return nil, false
	}
	var obj map[string]any
	if err := sigsyaml.Unmarshal([]byte(doc), &obj); err != nil || obj["kind"] == nil {
		return nil, false
	}
	return obj, true
}

func meta(obj map[string]any, field string) string {
	m, _ := obj["metadata"].(map[string]any)
	s, _ := m[field].(string)
	return s
}

// dropBundles removes the caBundle of webhooks and the like.
func dropBundles(v any) {
	switch t := v.(type) {
	case map[string]any:
		delete(t, "caBundle")
		for _, e := range t {
			dropBundles(e)
		}
	case []any:
		for _, e := range t {
			dropBundles(e)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
