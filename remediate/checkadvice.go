package remediate

import (
	"context"
	"fmt"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

// adviceFor says what to do instead, where that is known.
func (x *comparison) adviceFor(ctx context.Context, f *v1alpha1.Finding) string {
	switch f.Signature {
	case signature.ValuesKeyHasNoEffect:
		return x.adviceForKey(f.About)
	case signature.NativeRoutingCIDRExcludesPods, signature.IPMasqAgentExcludesPods, signature.NativeRoutingCIDRInServices, signature.AgentRefusesToStart:
		return x.planned(ctx, x.head, f)
	}
	return ""
}

// adviceForKey names the key that was meant.
func (x *comparison) adviceForKey(key string) string {
	for _, k := range x.head.run.facts.DeadKeys {
		if k.Path != key {
			continue
		}
		last := key[strings.LastIndexByte(key, '.')+1:]
		_, isFlag := flagNamed(last)
		switch {
		case isFlag && k.RightKey != "":
			return fmt.Sprintf("%s is a flag of the agent; the chart's key is %s", last, k.RightKey)
		case isFlag:
			return fmt.Sprintf("%s is a flag of the agent and no key of the chart; extraConfig.%s reaches cilium-config", last, last)
		case k.RightKey != "":
			return fmt.Sprintf("write %s in its place", k.RightKey)
		}
	}
	return "remove it, or look its name up in the chart's values.yaml"
}

// planned is what the planner proposes first for a finding of a state.
func (x *comparison) planned(ctx context.Context, j *judged, f *v1alpha1.Finding) string {
	if x.advice[j] == nil {
		x.advice[j] = proposals(ctx, j)
	}
	return x.advice[j][identity{f.Signature, f.Family, ""}]
}

// proposals plans for a state, and keeps the first candidate for each finding.
func proposals(ctx context.Context, j *judged) map[identity]string {
	out := map[identity]string{}
	if j.err != nil || j.run.facts == nil || j.run.makePlan(ctx) != nil {
		return out
	}
	p := &j.run.plan
	for i := range p.Findings {
		f := &p.Findings[i]
		for _, c := range p.Candidates {
			if text := candidateText(&c); out[identity{f.Signature, f.Family, ""}] == "" && fixes(&c, f) {
				out[identity{f.Signature, f.Family, ""}] = text
			}
		}
	}
	return out
}

func fixes(c *v1alpha1.Candidate, f *v1alpha1.Finding) bool {
	for _, s := range c.Fixes {
		if s == f.Signature {
			return true
		}
	}
	return false
}

func candidateText(c *v1alpha1.Candidate) string {
	var sets []string
	for _, ch := range c.Changes {
		text := ch.Path + ": " + flowStyle(ch.Path, ch.To)
		if ch.File != "" {
			text += fmt.Sprintf(" (%s:%d)", ch.File, ch.Line)
		}
		sets = append(sets, text)
	}
	text := "set " + strings.Join(sets, ", ")
	if len(sets) == 1 {
		return text
	}
	return text + ": " + lowerFirst(c.Title)
}

// flowStyle is a value as it stands in YAML, in one line.
func flowStyle(path string, v any) string {
	list, ok := v.([]any)
	if !ok || shown(path, v) == notShown {
		return shown(path, v)
	}
	var items []string
	for _, e := range list {
		items = append(items, fmt.Sprint(e))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
