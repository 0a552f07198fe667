package source

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

func itoa(i int) string { return strconv.Itoa(i) }

// Place is where a Helm value is to be written.
type Place struct {
	// Path is the Helm value's own path.
	Path string
	// File is relative to the root; Document the index of the YAML document.
	File     string
	Document int
	// YAMLPath is the path of the key to write: in the file, or, when Block is
	// not nil, in the YAML text that the string at Block holds.
	YAMLPath []string
	Block    []string
	// Line of the existing key, or 0 for a new one.
	Line int
	// Variable is set when the value is a post-build variable and the place is
	// where that variable is set: everyone who uses it is affected. The value
	// there is always a string.
	Variable string
	// Format, if not empty, is how the new value is to be wrapped: "%s" stands
	// for it, as in "${POD_CIDR:=%s}" for a variable that is nowhere set.
	Format string
	// Chain is that of [Release.Where].
	Chain []string
	// Err says why the value cannot be written here; it matches
	// [ErrNotWritable].
	Err error
}

// networking are the keys by which the source for a new key is chosen.
var networking = []string{
	"ipv4NativeRoutingCIDR", "ipv6NativeRoutingCIDR", "routingMode", "autoDirectNodeRoutes", "enableIPv4Masquerade",
	"enableIPv6Masquerade", "bpf", "ipam", "ipv4", "ipv6", "kubeProxyReplacement", "k8sServiceHost", "MTU", "ipMasqAgent", "tunnelProtocol", "loadBalancer",
}

// Place says where a new value for a path is written: where the winning source
// sets it, or where its variable is set. A key that no source sets goes to the
// writable source that holds its closest parent, else to the one with most of
// the networking keys, else to the last.
func (r *Release) Place(path string) Place {
	segs := splitPath(path)
	p := Place{Path: path}
	spots := r.spots(segs)
	if len(spots) == 0 {
		return r.placeNew(p, segs)
	}
	p.Chain = r.Where(path).Chain
	merged, _ := valueAt(r.Values, segs)
	s := spots[winner(spots, merged)]
	part := r.at.parts[s.part]
	p.File, p.Document, p.Line, p.YAMLPath, p.Block = s.at.file, s.at.doc, s.at.line, s.at.path, s.block
	switch {
	case s.why != "" || !part.Writable:
		return p.refuse(firstOf(s.why, part.Why, "it is not in the repository"))
	case strings.Contains(s.rawText, "${"):
		return r.placeVariable(p, s)
	}
	return p
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func (p Place) refuse(why string) Place {
	where := p.File
	if where == "" {
		where = "its source"
	}
	if p.Line > 0 && p.File != "" {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	p.Err = fmt.Errorf("%s cannot be changed in %s: %w: %s", p.Path, where, ErrNotWritable, why)
	return p
}

var wholeVariable = regexp.MustCompile(`^\$\{([_a-zA-Z][_a-zA-Z0-9]*)(?:(:?[=-])[^}]*)?\}$`)

// placeVariable moves the place to where the variable is set.
func (r *Release) placeVariable(p Place, s spot) Place {
	m := wholeVariable.FindStringSubmatch(strings.TrimSpace(s.rawText))
	if m == nil {
		return p.refuse("the value is put together of variables: " + s.rawText)
	}
	v, set := r.at.vars.byName[m[1]]
	p.Variable = m[1]
	switch {
	case set && v.why != "":
		return p.refuse(fmt.Sprintf("variable %s: %s (%s)", m[1], v.why, v.at))
	case set && v.secret:
		return p.refuse(fmt.Sprintf("variable %s comes from a Secret (%s)", m[1], v.at))
	case set:
		p.File, p.Document, p.Line, p.YAMLPath, p.Block = v.at.file, v.at.doc, v.at.line, v.at.path, nil
	case len(r.at.vars.opaque) > 0:
		return p.refuse(fmt.Sprintf("variable %s: %s", m[1], strings.Join(r.at.vars.opaque, "; ")))
	case m[2] != "":
		p.Format = "${" + m[1] + m[2] + "%s}"
	default:
		return p.refuse(fmt.Sprintf("variable %s is not set anywhere in the repository", m[1]))
	}
	return p
}

func (r *Release) placeNew(p Place, segs []string) Place {
	best, score := -1, -1
	for i, part := range r.at.parts {
		if !part.found || !part.Writable || part.TargetPath != "" {
			continue
		}
		if s := fit(part.Values, segs); s >= score {
			best, score = i, s
		}
	}
	if best < 0 {
		for _, part := range r.at.parts {
			if part.Why != "" {
				return p.refuse(part.Why)
			}
		}
		return p.refuse("no source of the values is in the repository")
	}
	part := r.at.parts[best]
	p.File, p.Document, p.YAMLPath = part.File, part.Document, segs
	switch {
	case part.Kind == "HelmRelease":
		p.YAMLPath = append([]string{"spec", "values"}, segs...)
	case part.Block:
		p.Block = part.YAMLPath
	}
	p.Chain = append([]string{fmt.Sprintf("no source sets it; %s takes it", p.File)}, r.Where(p.Path).Chain...)
	return p
}

// fit scores a source for a new key: the depth of the parents that it has
// counts most, then how many networking keys it sets.
func fit(values map[string]any, segs []string) int {
	depth := 0
	for i := 1; i < len(segs); i++ {
		if v, ok := valueAt(values, segs[:i]); ok && isMap(v) {
			depth = i
		}
	}
	keys := 0
	for _, k := range networking {
		if _, ok := values[k]; ok {
			keys++
		}
	}
	return depth*100 + keys
}
