package source

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SettingsFile is the name of the settings at the root of a repository.
const SettingsFile = ".remediate.yaml"

// Settings are what .remediate.yaml states by hand:
//
//	snapshot: ci/snapshot
//	facts:
//	  podCIDRs: ["fd00:101:224::/60"]
//	  serviceCIDRs: ["fd00:101:96::/108"]
//	  nodeCIDRs: ["fd00:101::/112"]
//	  ciliumVersion: 1.18.6
//	releases:
//	  kube-system/cilium: {facts: {…}, snapshot: …}
//	clusters:
//	  kubernetes/main: {facts: {…}, snapshot: …}
type Settings struct {
	// Scope holds what applies everywhere.
	Scope
	// Releases holds what applies to one release, by NAMESPACE/NAME.
	Releases map[string]Scope
	// Clusters holds what applies below one directory.
	Clusters map[string]Scope
}

// Scope is what is stated for the repository, a cluster or a release.
type Scope struct {
	PodCIDRs, ServiceCIDRs, NodeCIDRs []Setting
	// CiliumVersion and Snapshot have an empty Value when not stated. Snapshot
	// is a directory relative to the root.
	CiliumVersion, Snapshot Setting
}

// Setting is one value with its place.
type Setting struct {
	Value string
	// Source is file:line.
	Source string
}

// ReadSettings reads .remediate.yaml; a repository without one has no
// settings. An unknown field, a range that does not parse, or a path that
// leaves the repository is an error with file:line. The files stand in front
// of the working tree as [Options.Files] do.
func ReadSettings(root string, files map[string][]byte) (*Settings, error) {
	t, err := openShallow(root)
	if err != nil {
		return nil, err
	}
	defer t.root.Close()
	if len(files) > 0 {
		t = t.with(files)
	}
	src, err := t.read(SettingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &Settings{}, nil
	}
	if err != nil {
		return nil, err
	}
	docs, err := parse(SettingsFile, src)
	if err != nil {
		return nil, err
	}
	s := &Settings{Releases: map[string]Scope{}, Clusters: map[string]Scope{}}
	for _, d := range docs {
		if err := s.read(d.node); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// For returns what is stated for a release: for each field the release's own,
// else that of the deepest cluster path that holds dir, else the general one.
func (s *Settings) For(release, dir string) Scope {
	out := s.Scope
	best := ""
	for _, c := range sortedKeys(s.Clusters) {
		if (c == "." || dir == c || strings.HasPrefix(dir, c+"/")) && len(c) > len(best) {
			best = c
		}
	}
	out = out.override(s.Clusters[best])
	return out.override(s.Releases[release])
}

func (s Scope) override(o Scope) Scope {
	lists := func(to *[]Setting, from []Setting) {
		if len(from) > 0 {
			*to = from
		}
	}
	lists(&s.PodCIDRs, o.PodCIDRs)
	lists(&s.ServiceCIDRs, o.ServiceCIDRs)
	lists(&s.NodeCIDRs, o.NodeCIDRs)
	if o.CiliumVersion.Value != "" {
		s.CiliumVersion = o.CiliumVersion
	}
	if o.Snapshot.Value != "" {
		s.Snapshot = o.Snapshot
	}
	return s
}

// each calls f for the entries of a mapping.
func each(n *yaml.Node, what string, f func(key string, k, v *yaml.Node) error) error {
	n = target(n)
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return settingError(n, "%s must be a mapping", what)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := f(n.Content[i].Value, n.Content[i], target(n.Content[i+1])); err != nil {
			return err
		}
	}
	return nil
}

func settingError(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", SettingsFile, n.Line, fmt.Sprintf(format, args...))
}

func (s *Settings) read(root *yaml.Node) error {
	return each(root, "the document", func(key string, k, v *yaml.Node) error {
		switch key {
		case "releases":
			return scopes(v, key, s.Releases)
		case "clusters":
			return scopes(v, key, s.Clusters)
		}
		return s.Scope.field(key, k, v, "snapshot, facts, releases, clusters")
	})
}

func scopes(n *yaml.Node, what string, into map[string]Scope) error {
	return each(n, what, func(name string, k, v *yaml.Node) error {
		if what == "releases" && strings.Count(name, "/") != 1 {
			return settingError(k, "a release is named NAMESPACE/NAME, not %q", name)
		}
		if what == "clusters" {
			name = path.Clean(name)
		}
		var sc Scope
		err := each(v, name, func(key string, k, v *yaml.Node) error { return sc.field(key, k, v, "snapshot, facts") })
		into[name] = sc
		return err
	})
}

func (s *Scope) field(key string, k, v *yaml.Node, known string) error {
	switch key {
	case "snapshot":
		p, ok := join(".", text(v))
		if !ok || text(v) == "" {
			return settingError(k, "snapshot must be a path inside the repository, not %q", text(v))
		}
		s.Snapshot = Setting{p, sourceOf(v)}
		return nil
	case "facts":
		return each(v, key, s.fact)
	}
	return settingError(k, "unknown field %q; known here are %s", key, known)
}

func (s *Scope) fact(key string, k, v *yaml.Node) (err error) {
	switch key {
	case "podCIDRs":
		s.PodCIDRs, err = prefixList(key, v)
	case "serviceCIDRs":
		s.ServiceCIDRs, err = prefixList(key, v)
	case "nodeCIDRs":
		s.NodeCIDRs, err = prefixList(key, v)
	case "ciliumVersion":
		if text(v) == "" {
			return settingError(k, "ciliumVersion must be a version such as 1.18.6")
		}
		s.CiliumVersion = Setting{strings.TrimPrefix(text(v), "v"), sourceOf(v)}
	default:
		err = settingError(k, "unknown fact %q; known are podCIDRs, serviceCIDRs, nodeCIDRs, ciliumVersion", key)
	}
	return err
}

func sourceOf(n *yaml.Node) string { return fmt.Sprintf("%s:%d", SettingsFile, n.Line) }

func prefixList(key string, v *yaml.Node) ([]Setting, error) {
	nodes := items(v)
	if v.Kind == yaml.ScalarNode {
		nodes = []*yaml.Node{v}
	}
	var out []Setting
	for _, n := range nodes {
		p, err := netip.ParsePrefix(text(n))
		if err != nil {
			return nil, settingError(n, "%s: %q is not a range such as fd00:101:224::/60", key, text(n))
		}
		if p != p.Masked() {
			return nil, settingError(n, "%s: %s has bits set beyond its length; %s is meant?", key, p, p.Masked())
		}
		out = append(out, Setting{p.String(), sourceOf(n)})
	}
	if len(out) == 0 {
		return nil, settingError(v, "%s must be a list of ranges", key)
	}
	return out, nil
}
