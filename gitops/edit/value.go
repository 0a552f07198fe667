package edit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// KV is one entry of a mapping whose order matters: a []KV is a mapping.
type KV struct {
	Key   string
	Value any
}

// toNode turns a Go value into a tree without positions, comments or aliases.
// A map[string]any comes out sorted by key but for "enabled", which values files
// have first; a float64 without fraction as an integer: JSON decodes to those.
func toNode(v any) (*yaml.Node, error) {
	return convert(v, 0)
}

func convert(v any, depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, refuse(ErrValue, 0, "more than %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return scalar("!!null", "null"), nil
	case bool:
		return scalar("!!bool", strconv.FormatBool(v)), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, refuse(ErrValue, 0, "a string is not UTF-8")
		}
		return scalar("!!str", v), nil
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return scalar("!!int", fmt.Sprint(v)), nil
	case float32:
		return float(float64(v)), nil
	case float64:
		return float(v), nil
	case []string:
		return sequence(v, depth)
	case []any:
		return sequence(v, depth)
	case []map[string]any:
		return sequence(v, depth)
	case map[string]string:
		return mapping(sortedPairs(v), depth)
	case map[string]any:
		return mapping(sortedPairs(v), depth)
	case []KV:
		return mapping(v, depth)
	case yaml.Node:
		return copyNode(&v, depth)
	case *yaml.Node:
		return copyNode(v, depth)
	}
	return nil, refuse(ErrValue, 0, "no way to write a %T", v)
}

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func float(f float64) *yaml.Node {
	switch {
	case math.IsNaN(f):
		return scalar("!!float", ".nan")
	case math.IsInf(f, 1):
		return scalar("!!float", ".inf")
	case math.IsInf(f, -1):
		return scalar("!!float", "-.inf")
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return scalar("!!int", strconv.FormatInt(int64(f), 10))
	}
	return scalar("!!float", strconv.FormatFloat(f, 'g', -1, 64))
}

func sequence[T any](items []T, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, item := range items {
		child, err := convert(item, depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	return n, nil
}

func sortedPairs[T any](m map[string]T) []KV {
	pairs := make([]KV, 0, len(m))
	if v, ok := m["enabled"]; ok {
		pairs = append(pairs, KV{"enabled", v})
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k != "enabled" {
			pairs = append(pairs, KV{k, m[k]})
		}
	}
	return pairs
}

func mapping(pairs []KV, depth int) (*yaml.Node, error) {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, p := range pairs {
		if !utf8.ValidString(p.Key) {
			return nil, refuse(ErrValue, 0, "a key is not UTF-8")
		}
		if find(n, p.Key) >= 0 {
			return nil, refuse(ErrValue, 0, "key %q twice", p.Key)
		}
		child, err := convert(p.Value, depth+1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, scalar("!!str", p.Key), child)
	}
	return n, nil
}

var plainTags = []string{"!!null", "!!bool", "!!int", "!!float", "!!timestamp"}

func copyNode(n *yaml.Node, depth int) (*yaml.Node, error) {
	if n == nil {
		return scalar("!!null", "null"), nil
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if tag := n.ShortTag(); tag != "!!str" {
			if !slices.Contains(plainTags, tag) || (&yaml.Node{Kind: yaml.ScalarNode, Value: n.Value}).ShortTag() != tag {
				return nil, refuse(ErrValue, n.Line, "no way to write the tag %s", tag)
			}
			return scalar(tag, n.Value), nil
		}
		return convert(n.Value, depth)
	case yaml.SequenceNode:
		return sequence(n.Content, depth)
	case yaml.MappingNode:
		var pairs []KV
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind != yaml.ScalarNode {
				return nil, refuse(ErrValue, n.Line, "a key is not a string")
			}
			pairs = append(pairs, KV{n.Content[i].Value, n.Content[i+1]})
		}
		return mapping(pairs, depth)
	case yaml.DocumentNode:
		if len(n.Content) == 1 {
			return copyNode(n.Content[0], depth+1)
		}
	}
	return nil, refuse(ErrValue, n.Line, "aliases cannot be written")
}
