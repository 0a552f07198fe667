package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// explain takes away from a disagreement all that is not needed for it.
func explain(t *testing.T, o *oracle, c oracleCase, f oracleFlow) string {
	c.Flows = []oracleFlow{f}
	for shrunk := true; shrunk; {
		shrunk = false
		for _, smaller := range smallerSets(c.Policies) {
			try := c
			try.Policies = smaller
			if stillDiffers(t, o, &try) {
				c, shrunk = try, true
				break
			}
		}
	}
	want, err := o.ask(&c)
	if err != nil {
		return err.Error()
	}
	got := model(t, &c)[0]
	subject, _ := json.Marshal(c.Identities[f.Subject])
	peer, _ := json.Marshal(c.Identities[f.Peer])
	options, _ := json.Marshal(c.Options)
	return fmt.Sprintf("Cilium says %s, the model %s (%s)\nsubject %s\npeer    %s\ningress %v, %s %d\noptions %s\n%s",
		want.Verdicts[0], got.Verdict, got.Reason, subject, peer, f.Ingress, f.Proto, f.Port, options, pretty(c.Policies))
}

func stillDiffers(t *testing.T, o *oracle, c *oracleCase) bool {
	want, err := o.ask(c)
	if err != nil || len(want.Refused) > 0 {
		return false
	}
	return compare(model(t, c)[0], want.Verdicts[0], c, c.Flows[0]) == differs
}

func pretty(policies []map[string]any) string {
	var b strings.Builder
	for _, p := range policies {
		line, err := json.Marshal(p)
		if err != nil {
			line = []byte(err.Error())
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// smallerSets lists the sets with one policy, or one part of a spec, less.
func smallerSets(policies []map[string]any) [][]map[string]any {
	var sets [][]map[string]any
	for i := range policies {
		sets = append(sets, slices.Delete(slices.Clone(policies), i, i+1))
	}
	for i, p := range policies {
		for _, field := range []string{"spec", "specs"} {
			for _, smaller := range smallerValues(p[field]) {
				one := maps.Clone(p)
				one[field] = smaller
				set := slices.Clone(policies)
				set[i] = one
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// smallerValues lists a JSON value with one element, at any depth, taken away.
func smallerValues(v any) []any {
	var out []any
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			less := maps.Clone(v)
			delete(less, key)
			out = append(out, less)
			for _, smaller := range smallerValues(v[key]) {
				one := maps.Clone(v)
				one[key] = smaller
				out = append(out, one)
			}
		}
	case []any:
		for i := range v {
			out = append(out, slices.Delete(slices.Clone(v), i, i+1))
			for _, smaller := range smallerValues(v[i]) {
				one := slices.Clone(v)
				one[i] = smaller
				out = append(out, one)
			}
		}
	}
	return out
}
