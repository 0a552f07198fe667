package source

import (
	"fmt"
	"path"
	"strings"
)

// chart reads the chart reference; ok is false when it is not Cilium's.
func (r *resolver) chart() (Chart, bool) {
	spec, _ := r.obj["spec"].(map[string]any)
	if ref, ok := spec["chartRef"].(map[string]any); ok {
		return r.chartRef(ref)
	}
	name := stringAt(spec, "chart", "spec", "chart")
	c := Chart{Name: path.Base(name), Version: stringAt(spec, "chart", "spec", "version"), Kind: stringAt(spec, "chart", "spec", "sourceRef", "kind")}
	if c.Name != "cilium" {
		return c, false
	}
	if c.Kind == "GitRepository" || c.Kind == "Bucket" {
		c.Path = strings.TrimPrefix(path.Clean(name), "./")
	}
	ref, _ := spec["chart"].(map[string]any)
	inner, _ := ref["spec"].(map[string]any)
	src, _ := inner["sourceRef"].(map[string]any)
	c.Local = c.Path != "" && stringAt(src, "name") == "flux-system" && r.t.isFile(path.Join(c.Path, "Chart.yaml"))
	return r.fromSource(c, src), true
}

// chartRef reads an OCIRepository, or a HelmChart object.
func (r *resolver) chartRef(ref map[string]any) (Chart, bool) {
	c := Chart{Kind: stringAt(ref, "kind")}
	if c.Kind == "HelmChart" {
		obj, _, ok := r.sourceObject(ref)
		c.Name, c.Version, c.Kind = path.Base(stringAt(obj, "spec", "chart")), stringAt(obj, "spec", "version"), stringAt(obj, "spec", "sourceRef", "kind")
		if c.Kind == "GitRepository" || c.Kind == "Bucket" {
			c.Path = path.Clean(stringAt(obj, "spec", "chart"))
		}
		spec, _ := obj["spec"].(map[string]any)
		src, _ := spec["sourceRef"].(map[string]any)
		return r.fromSource(c, src), ok && c.Name == "cilium"
	}
	c = r.fromSource(c, ref)
	c.Name = path.Base(c.URL)
	if c.URL == "" {
		c.Name = stringAt(ref, "name")
	}
	return c, c.Name == "cilium"
}

// fromSource adds what the source object says. Flux prefers a digest to a
// range, and that to a tag.
func (r *resolver) fromSource(c Chart, ref map[string]any) Chart {
	obj, at, ok := r.sourceObject(ref)
	c.Source = at
	if !ok {
		r.miss("%s %s of the chart is not in the repository", stringAt(ref, "kind"), stringAt(ref, "name"))
		r.absent = true
		return c
	}
	c.URL = stringAt(obj, "spec", "url")
	if spec, ok := obj["spec"].(map[string]any); ok && strings.HasPrefix(c.URL, "oci://") {
		c.Insecure = spec["insecure"] == true
	}
	if c.Kind == "GitRepository" && c.Version == "" {
		c.Version = strings.TrimPrefix(stringAt(obj, "spec", "ref", "tag"), "v")
	}
	if c.Kind != "OCIRepository" {
		return c
	}
	tag, digest, _ := strings.Cut(stringAt(obj, "spec", "ref", "tag"), "@")
	c.Version, c.Digest = tag, digest
	if v := stringAt(obj, "spec", "ref", "semver"); v != "" {
		c.Version, c.Digest = v, ""
	}
	if d := stringAt(obj, "spec", "ref", "digest"); d != "" {
		c.Digest = d
	}
	return c
}

// sourceObject finds a Flux source in the build or in the tree.
func (r *resolver) sourceObject(ref map[string]any) (obj map[string]any, at string, ok bool) {
	kind, name, ns := stringAt(ref, "kind"), stringAt(ref, "name"), stringAt(ref, "namespace")
	if ns == "" {
		ns = r.namespace
	}
	for _, o := range r.objs {
		if o.id.kind != kind || o.id.name != name || o.id.namespace != "" && o.id.namespace != ns {
			continue
		}
		at := o.origin.Path
		if d, ok := r.find(o); ok {
			at = fmt.Sprintf("%s:%d", d.file, d.line)
		}
		sub, err := r.vars.object(o.object)
		return sub, at, err == nil
	}
	here := r.release.origin.Path
	if d, ok := r.find(r.release); ok {
		here = fmt.Sprintf("%s:%d", d.file, d.line)
	}
	d, found := r.b.object(r.ix.sources, r.eff, kind, ns, name)
	if !found {
		d, found = r.b.object(r.ix.sources, r.eff, kind, "", name)
	}
	if !found || decode(d.node, &obj) != nil {
		return nil, here, false
	}
	vars := r.vars
	if d.owner != nil && !d.owner.sameAs(r.eff) {
		vars = r.b.variablesOf(r.ix, d.owner)
	}
	sub, err := vars.object(obj)
	return sub, fmt.Sprintf("%s:%d", d.file, d.line), err == nil
}
