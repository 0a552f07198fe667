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
	// for it, as in "${POD_CIDR:=%s}" for a variable that is nowhere set, or
	// "POD_CIDR=%s" for a generator's literal. The result is a string.
	Format string
	// Env, if not empty, is the key to change in File, which then is an env file,
	// one KEY=value a line, and no YAML: Document, YAMLPath and Block do not count.
	Env string
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
// sets it, or where its variable is set. A key that no source sets goes to a
// writable source, a patch of spec.values among them: before all to one that
// only this release reads, so that no other cluster changes; then to the one that
// holds its closest parent, else to the one with most of the networking keys, else
// to the last.
func (r *Release) Place(path string) Place {
	p := r.place(path)
	if p.Err != nil || p.File == "" {
		return p
	}
	if why := r.at.t.notOurs(p.File); why != "" {
		return p.refuse(why)
	}
	return p
}

func (r *Release) place(path string) Place {
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
	p = p.at(s.at)
	if s.block != nil {
		p.Block = s.block
	}
	switch {
	case s.why != "" || !part.Writable && s.at.file == part.File:
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

// at moves a place.
func (p Place) at(l location) Place {
	p.File, p.Document, p.Line, p.YAMLPath, p.Block = l.file, l.doc, l.line, l.path, l.block
	p.Env, p.Format = l.env, l.format
	return p
}

var wholeVariable = regexp.MustCompile(`^\$\{([_a-zA-Z][_a-zA-Z0-9]*)(?:(:?[=-])[^{}]*)?\}$`)

// placeVariable moves the place to where the variable is set.
func (r *Release) placeVariable(p Place, s spot) Place {
	m := wholeVariable.FindStringSubmatch(strings.TrimSpace(s.rawText))
	vars := r.varsOf(s.part)
	if m == nil {
		return p.refuse(r.composed(s.rawText, vars))
	}
	if p.Format != "" {
		return p.refuse("a variable inside a generator's literal: write the value where the variable is set")
	}
	v, set := vars.byName[m[1]]
	p.Variable = m[1]
	switch {
	case set && v.why != "":
		return p.refuse(fmt.Sprintf("variable %s: %s (%s)", m[1], v.why, v.at))
	case set && v.secret:
		return p.refuse(fmt.Sprintf("variable %s comes from a Secret (%s), which is never edited", m[1], v.at))
	case set:
		p = p.at(v.at)
	case len(vars.opaque) > 0:
		return p.refuse(fmt.Sprintf("variable %s: %s", m[1], strings.Join(vars.opaque, "; ")))
	case m[2] != "":
		p.Format = "${" + m[1] + m[2] + "%s}"
	default:
		return p.refuse(fmt.Sprintf("variable %s is not set anywhere in the repository", m[1]))
	}
	return p
}

// composed says of what a text with variables consists, and what to write
// instead.
func (r *Release) composed(raw string, vars *variables) string {
	return fmt.Sprintf("the value is put together of variables: %s, with %s; write the whole value there, or give it a variable of its own, and plan again",
		raw, strings.Join(r.variablesIn(raw, vars), ", "))
}
