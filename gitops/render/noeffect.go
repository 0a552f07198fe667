package render

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// Key is a value that no template reads.
type Key struct {
	// Path is the value's, such as "mtu".
	Path string
	// Suggestion is the key that was probably meant, or "".
	Suggestion string
	// Note says more than the suggestion can, or is "".
	Note string
}

// mistakes are keys that people write, and what Cilium's chart reads instead.
// Found by scanning all templates of 1.18.6.
var mistakes = map[string]Key{
	"mtu":                                  {Suggestion: "MTU", Note: "renaming it changes the effective MTU: do it on its own"},
	"enableHostLegacyRouting":              {Suggestion: "bpf.hostLegacyRouting"},
	"hostLegacyRouting":                    {Suggestion: "bpf.hostLegacyRouting"},
	"bpf.hostRouting":                      {Suggestion: "bpf.hostLegacyRouting", Note: "the meaning is the opposite"},
	"bpf.lbMode":                           {Suggestion: "loadBalancer.mode"},
	"nodePort.mode":                        {Suggestion: "loadBalancer.mode"},
	"nativeRoutingCIDR":                    {Suggestion: "ipv4NativeRoutingCIDR"},
	"ipam.operator.clusterPoolIPv4PodCIDR": {Suggestion: "ipam.operator.clusterPoolIPv4PodCIDRList"},
	"ipam.operator.clusterPoolIPv6PodCIDR": {Suggestion: "ipam.operator.clusterPoolIPv6PodCIDRList"},
	"bgp.enabled":                          {Suggestion: "bgpControlPlane.enabled"},
	"installIptablesRules":                 {Note: "the agent's flag install-iptables-rules has no key in the chart"},
	"enableRuntimeDeviceDetection":         {Note: "removed: devices are always detected at run time"},
}

var (
	reference = regexp.MustCompile(`\.Values((?:\.[A-Za-z_][A-Za-z0-9_-]*)+)`)
	// named is a key read by its name: hasKey .Values.nodePort "range".
	named     = regexp.MustCompile(`\b(hasKey|get|index)\s+\(?\s*\$?\.Values((?:\.[A-Za-z_][A-Za-z0-9_-]*)*)\s+"([^"]+)"`)
	condition = regexp.MustCompile(`^\{\{-?\s*(?:else\s+)?if\b`)
	dumps     = regexp.MustCompile(`\b(?:toYaml|toJson|tpl|include|with|merge|mergeOverwrite|range)\b`)
)

// index is what the templates' text says about the values that they read.
type index struct {
	// read holds every path after .Values, and every parent of one.
	read map[string]bool
	// whole holds the paths that are used as they are, so that what lies below
	// may be read through them; dumped those of them that are written out,
	// ranged over or handed on, so that all that lies below is read.
	whole, dumped map[string]bool
	// words are all identifiers of the templates.
	words map[string]bool
	// known are read paths and the chart's defaults, for suggestions, by
	// their letters and digits in lower case.
	known map[string][]string
}

func newIndex(c *chart.Chart) *index {
	ix := &index{read: map[string]bool{}, whole: map[string]bool{}, dumped: map[string]bool{}, words: map[string]bool{}, known: map[string][]string{}}
	// Files are read through tpl.
	for _, f := range slices.Concat(c.Templates, c.Files) {
		eachAction(f.Data, func(a []byte) {
			if bytes.Contains(a, []byte(".Values")) {
				ix.addAction(a)
			}
		})
		ix.addWords(f.Data)
	}
	all := map[string]bool{}
	for p := range ix.read {
		all[p] = true
	}
	for _, p := range leaves(c.Values, "") {
		all[p] = true
	}
	for _, p := range sortedKeys(all) {
		ix.known[letters(p)] = append(ix.known[letters(p)], p)
	}
	return ix
}

// eachAction calls f for every template action, braces included.
func eachAction(text []byte, f func(action []byte)) {
	for {
		start := bytes.Index(text, []byte("{{"))
		if start < 0 {
			return
		}
		text = text[start:]
		end := bytes.Index(text, []byte("}}"))
		if end < 0 {
			return
		}
		f(text[:end+2])
		text = text[end+2:]
	}
}

// addWords notes every identifier.
func (ix *index) addWords(text []byte) {
	isWord := func(b byte) bool {
		return b == '_' || '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
	}
	for i := 0; i < len(text); i++ {
		if !isWord(text[i]) {
			continue
		}
		start := i
		for i < len(text) && isWord(text[i]) {
			i++
		}
		if w := text[start:i]; !ix.words[string(w)] {
			ix.words[string(w)] = true
		}
	}
}

// addAction notes what one template action reads. A condition looks only at
// whether a map is empty.
func (ix *index) addAction(a []byte) {
	for _, m := range named.FindAllSubmatch(a, -1) {
		path := string(m[2]) + "." + string(m[3])
		if string(m[1]) == "hasKey" {
			ix.add(path)
			continue
		}
		ix.add(path, ix.whole)
	}
	a = named.ReplaceAll(a, nil)
	uses := []map[string]bool{ix.whole}
	switch {
	case dumps.Match(a) && !strings.Contains(string(a), " tuple "):
		uses = append(uses, ix.dumped)
	case condition.Match(a):
		uses = nil
	}
	for _, m := range reference.FindAllSubmatch(a, -1) {
		ix.add(string(m[1]), uses...)
	}
}

// add notes that a path is read, with all its parents, and how it is used.
func (ix *index) add(path string, uses ...map[string]bool) {
	path = strings.TrimPrefix(path, ".")
	for _, u := range uses {
		u[path] = true
	}
	for p := path; p != ""; p = parent(p) {
		ix.read[p] = true
	}
}

func parent(p string) string {
	i := strings.LastIndexByte(p, '.')
	if i < 0 {
		return ""
	}
	return p[:i]
}

func letters(p string) string {
	return strings.NewReplacer(".", "", "-", "", "_", "").Replace(strings.ToLower(p))
}

// leaves lists the paths of all values that are not maps, sorted. Keys with a
// dot are left out.
func leaves(m map[string]any, prefix string) []string {
	var out []string
	for _, k := range sortedKeys(m) {
		if strings.Contains(k, ".") {
			continue
		}
		p := k
		if prefix != "" {
			p = prefix + "." + k
		}
		if sub, ok := m[k].(map[string]any); ok {
			out = append(out, leaves(sub, p)...)
			continue
		}
		out = append(out, p)
	}
	return out
}

// suspect reports whether the text of the templates shows no way in which the
// value could be read: no reference to it, no parent that is written out, and
// where a parent is used as a whole, no mention of the name below it.
func (ix *index) suspect(p string) bool {
	if ix.read[p] {
		return false
	}
	for q := parent(p); q != ""; q = parent(q) {
		next, _, _ := strings.Cut(p[len(q)+1:], ".")
		if ix.dumped[q] || ix.whole[q] && ix.words[next] {
			return false
		}
	}
	return true
}

// NoEffect lists those of the user's values that no template reads, sorted.
// With nil keys it looks at all of values.
//
// The templates' text gives a short list of suspects; the verdict is the
// render's: with and without them it must be the same. A value that equals the
// chart's default has an effect in principle and is not reported. Two renders
// suffice unless a suspect turns out to be read, and one when opts.Before holds
// the render of values.
func (c *Chart) NoEffect(ctx context.Context, values map[string]any, keys []string, opts Options) ([]Key, error) {
	if keys == nil {
		keys = leaves(values, "")
	}
	var suspects []string
	for _, k := range keys {
		if c.index().suspect(k) && !c.saysNothing(values, k) {
			suspects = append(suspects, k)
		}
	}
	if len(suspects) == 0 {
		return nil, nil
	}
	opts.SkipSchema = true
	with := opts.Before
	if with == nil {
		var err error
		if with, err = c.Render(values, opts); err != nil {
			return nil, err
		}
	}
	dead, err := c.bisect(ctx, values, suspects, with, opts)
	if err != nil {
		return nil, err
	}
	out := make([]Key, 0, len(dead))
	for _, p := range dead {
		out = append(out, c.suggest(p))
	}
	slices.SortFunc(out, func(a, b Key) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// saysNothing: the value is null, or the chart's own values have it just so, as a
// copy of the chart's values.yaml has. Whoever wrote it expects nothing of it.
func (c *Chart) saysNothing(values map[string]any, key string) bool {
	segs := strings.Split(key, ".")
	v, found := valueAt(values, segs)
	if found && v == nil {
		return true
	}
	own, there := valueAt(c.chart.Values, segs)
	return found && there && sameJSON(v, own)
}

func sameJSON(a, b any) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// bisect returns the suspects without which the render stays the same.
func (c *Chart) bisect(ctx context.Context, values map[string]any, suspects []string, with *Rendered, opts Options) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	without, err := c.Render(remove(values, suspects), opts)
	if err == nil && with.Equal(without) {
		return suspects, nil
	}
	if err != nil && !IsRefusal(err) {
		return nil, fmt.Errorf("render without %s: %w", strings.Join(suspects, ", "), err)
	}
	if len(suspects) == 1 {
		return nil, nil
	}
	half := len(suspects) / 2
	left, err := c.bisect(ctx, values, suspects[:half], with, opts)
	if err != nil {
		return nil, err
	}
	right, err := c.bisect(ctx, values, suspects[half:], with, opts)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(left), right...), nil
}

// remove returns a copy without the given paths, and without maps that this
// leaves empty.
func remove(values map[string]any, paths []string) map[string]any {
	out := copyMap(values)
	for _, p := range paths {
		drop(out, strings.Split(p, "."))
	}
	return out
}

func drop(m map[string]any, segs []string) {
	if len(segs) == 1 {
		delete(m, segs[0])
		return
	}
	sub, ok := m[segs[0]].(map[string]any)
	if !ok {
		return
	}
	drop(sub, segs[1:])
	if len(sub) == 0 {
		delete(m, segs[0])
	}
}
