package plan

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/detect/cilium"
)

const masqAgentPath = "ipMasqAgent.config"

// Overlay changes a configuration as Helm values would, through the table of
// flags and the values that set them (detect/cilium). It stands in for a render
// where none is needed or none is possible, and never proves a candidate.
func Overlay(cfg cilium.Config, sets []Set) cilium.Config {
	out := cfg
	out.Values = maps.Clone(cfg.Values)
	if out.Values == nil {
		out.Values = map[string]string{}
	}
	for _, s := range sets {
		if s.Path == masqAgentPath || strings.HasPrefix(s.Path, masqAgentPath+".") {
			out.MasqAgent = masqAgentFile(s)
			continue
		}
		for _, f := range cilium.FlagsOfHelm(s.Path) {
			if len(f.Helm) == 1 && f.Helm[0] == s.Path {
				out.Values[f.Name] = flagText(s.Value)
			}
		}
	}
	return out
}

func masqAgentFile(s Set) *string {
	content := s.Value
	if key, ok := strings.CutPrefix(s.Path, masqAgentPath+"."); ok {
		content = map[string]any{key: s.Value}
	}
	b, err := yaml.Marshal(content)
	if err != nil {
		return nil
	}
	text := string(b)
	return &text
}

func flagText(v any) string {
	if list, ok := v.([]any); ok {
		parts := make([]string, 0, len(list))
		for _, x := range list {
			parts = append(parts, fmt.Sprint(x))
		}
		return strings.Join(parts, " ")
	}
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// plain values end up in a flag as they are; maps and empty ones do not.
func plain(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case string:
		return x != ""
	case []any:
		return len(x) > 0
	case map[string]any:
		return false
	}
	return true
}

// withoutIdleList: the chart renders the list only for an agent that is on.
func withoutIdleList(cfg cilium.Config, values map[string]any) cilium.Config {
	if v, ok := lookup(values, "ipMasqAgent.enabled"); !ok || v != true {
		cfg.MasqAgent = nil
	}
	return cfg
}

// watchedPaths are the Helm values that the model reads.
func watchedPaths() []string {
	var out []string
	for _, f := range cilium.Flags() {
		// etcd.enabled stands for the name of a store, not for a switch.
		if len(f.Helm) == 1 && f.Name != "kvstore" {
			out = append(out, f.Helm[0])
		}
	}
	return append(out, masqAgentPath+".nonMasqueradeCIDRs")
}

func lookup(values map[string]any, path string) (any, bool) {
	var at any = values
	for _, key := range strings.Split(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = m[key]; !ok {
			return nil, false
		}
	}
	return at, true
}

// effective reads a value as the chart would: the repository's, else the chart's default.
func (p *planner) effective(values map[string]any, path string) any {
	if v, ok := lookup(values, path); ok {
		return v
	}
	if p.in.Default == nil {
		return nil
	}
	if v, ok := p.in.Default(path); ok {
		return v
	}
	return nil
}
