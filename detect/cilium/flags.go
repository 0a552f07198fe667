package cilium

import (
	_ "embed"
	"sort"
	"strings"
	"sync"
)

// Part is what a flag can change about a packet's way.
type Part string

const (
	PartAddresses  Part = "addresses"
	PartRoutes     Part = "routes"
	PartMasquerade Part = "masquerade"
	PartServices   Part = "services"
	PartPolicy     Part = "policy"
	PartMTU        Part = "mtu"
	PartEncryption Part = "encryption"
)

// Flag is one agent flag: a key of the ConfigMap cilium-config.
type Flag struct {
	Name string
	// Type is bool, int, uint, uint8, uint16, uint32, int64, float, duration,
	// string, list, map or options.
	Type string
	// Default of the agent, not of the chart; Later is the default since
	// LaterFrom ("1.20") where it changed.
	Default, Later, LaterFrom string
	// Helm values of the chart that end up in this key, as dotted paths.
	Helm []string
	// HotReload: a change takes effect without a restart of the agent.
	HotReload bool
	// Affects is empty for a flag that the model knows to be without influence.
	Affects []Part
	// From and Until bound the releases that have the flag, "1.19" and so on,
	// Until exclusive; empty is open.
	From, Until string
}

func (f Flag) in(r release) bool {
	if from, ok := parseRelease(f.From); ok && r.less(from) {
		return false
	}
	until, ok := parseRelease(f.Until)
	return !ok || r.less(until)
}

func (f Flag) defaultIn(r release) string {
	if from, ok := parseRelease(f.LaterFrom); ok && !r.less(from) {
		return f.Later
	}
	return f.Default
}

//go:embed flags.tsv
var flagTypes string

// typedFlag is one line of flags.tsv: the flags that the agent's sources of
// 1.18.6, 1.19.5 and 1.20.2 define, with type and releases.
type typedFlag struct{ name, kind, from, until string }

func (t typedFlag) in(r release) bool {
	return Flag{From: t.from, Until: t.until}.in(r)
}

var typedFlags = sync.OnceValue(func() map[string][]typedFlag {
	out := map[string][]typedFlag{}
	for line := range strings.Lines(flagTypes) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 {
			continue
		}
		t := typedFlag{f[0], f[1], strings.Trim(f[2], "-"), strings.Trim(f[3], "-")}
		out[t.name] = append(out[t.name], t)
	}
	return out
})

var flagIndex = sync.OnceValue(func() map[string]Flag {
	out := map[string]Flag{}
	for name, ts := range typedFlags() {
		out[name] = Flag{Name: name, Type: ts[0].kind, From: ts[0].from, Until: ts[len(ts)-1].until}
	}
	for _, m := range modelFlags {
		f, ok := out[m.Name]
		if !ok {
			f = Flag{Type: "string"}
		}
		m.Type, m.From, m.Until = f.Type, f.From, f.Until
		out[m.Name] = m
	}
	return out
})

// flagByName finds a flag by ConfigMap key.
func flagByName(name string) (Flag, bool) {
	f, ok := flagIndex()[name]
	return f, ok
}

// FlagByName finds what is known of a ConfigMap key.
func FlagByName(name string) (Flag, bool) { return flagByName(name) }

// Flags are the flags that the model reads, by name.
func Flags() []Flag {
	out := make([]Flag, 0, len(modelFlags))
	for _, m := range modelFlags {
		f, _ := flagByName(m.Name)
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// FlagsOfHelm are the flags that a Helm value ends up in, by name. A path below
// or above a listed path counts: "bpf" touches every flag under it. A key below
// extraConfig is the flag itself.
func FlagsOfHelm(path string) []Flag {
	var out []Flag
	if key, ok := strings.CutPrefix(path, "extraConfig."); ok {
		if f, known := flagByName(key); known {
			return []Flag{f}
		}
	}
	for _, f := range Flags() {
		for _, h := range f.Helm {
			if h == path || strings.HasPrefix(h, path+".") || strings.HasPrefix(path, h+".") {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

// Influences says whether a ConfigMap key can change the part of a packet's
// way. Keys that the model does not read: no. Known is false for a key that the
// agent does not define at all.
func Influences(key string, part Part) (influences, known bool) {
	f, ok := flagByName(key)
	for _, p := range f.Affects {
		if p == part {
			return true, true
		}
	}
	return false, ok
}

// FailingPathKeys are the ConfigMap keys that can change any of the parts, by
// name: what a search for the cause of a failing path must look at.
func FailingPathKeys(parts ...Part) []string {
	var out []string
	for _, f := range Flags() {
		for _, p := range parts {
			if ok, _ := Influences(f.Name, p); ok {
				out = append(out, f.Name)
				break
			}
		}
	}
	return out
}
