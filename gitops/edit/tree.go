package edit

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// merged refuses a new mapping that would hide one that a merge key brings in.
func merged(m *yaml.Node, rest []string) error {
	i := -1
	if m.Kind == yaml.MappingNode {
		i = find(m, "<<")
	}
	if len(rest) < 2 || i < 0 {
		return nil
	}
	for _, base := range mergeBases(m.Content[i+1]) {
		if find(base, rest[0]) >= 0 {
			return refuse(ErrAliased, m.Content[i].Line, "%q comes from &%s by a merge key; a mapping of its own would hide the rest of it", rest[0], base.Anchor)
		}
	}
	return nil
}

// mergeBases lists the mappings behind the value of a merge key.
func mergeBases(n *yaml.Node) []*yaml.Node {
	switch n.Kind {
	case yaml.AliasNode:
		return mergeBases(n.Alias)
	case yaml.MappingNode:
		return []*yaml.Node{n}
	case yaml.SequenceNode:
		var out []*yaml.Node
		for _, c := range n.Content {
			if c.Kind != yaml.SequenceNode {
				out = append(out, mergeBases(c)...)
			}
		}
		return out
	}
	return nil
}

// intend makes the change in the tree itself and returns how to undo it.
func intend(g goal) (undo func(), err error) {
	at := g.passed[len(g.passed)-1]
	changed := at.node
	if g.remove {
		changed = at.parent
	}
	before := *changed
	undo = func() { *changed = before }
	switch {
	case g.remove && len(g.rest) > 0:
	case g.remove && at.key != nil:
		at.parent.Content = slices.Concat(before.Content[:at.index-1], before.Content[at.index+1:])
	case g.remove:
		at.parent.Content = slices.Concat(before.Content[:at.index], before.Content[at.index+1:])
	case len(g.rest) == 0:
		assign(at.node, g.v)
	default:
		err = attach(at.node, g.rest, g.v)
	}
	return undo, err
}

// attach adds v below n, where nothing of the path exists.
func attach(n *yaml.Node, path []string, v *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		item, err := nest(path[1:], v)
		n.Content = append(n.Content, item)
		return err
	}
	added, err := nest(path, v)
	if err != nil {
		return err
	}
	if isNull(n) {
		assign(n, added)
		return nil
	}
	n.Content = append(n.Content, added.Content...)
	return nil
}

// assign gives n the meaning of v and keeps its anchor.
func assign(n, v *yaml.Node) {
	n.Kind, n.Tag, n.Value, n.Content, n.Alias = v.Kind, v.Tag, v.Value, v.Content, nil
}

// sameDocuments compares by meaning: comments and styles do not count, nor does
// the order of keys; an alias must stand for the same node.
func sameDocuments(a, b []*yaml.Node) bool {
	if len(a) != len(b) {
		return false
	}
	c := comparison{twin: map[*yaml.Node]*yaml.Node{}}
	for i := range a {
		if !c.same(a[i], b[i]) {
			return false
		}
	}
	for _, p := range c.aliases {
		if c.twin[p[0].Alias] != p[1].Alias {
			return false
		}
	}
	return true
}

func same(a, b *yaml.Node) bool {
	c := comparison{twin: map[*yaml.Node]*yaml.Node{}}
	return c.same(a, b) && len(c.aliases) == 0
}

type comparison struct {
	twin    map[*yaml.Node]*yaml.Node // anchored nodes of a to those of b
	aliases [][2]*yaml.Node
}

func (c *comparison) same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Anchor != "" {
		c.twin[a] = b
	}
	switch a.Kind {
	case yaml.AliasNode:
		c.aliases = append(c.aliases, [2]*yaml.Node{a, b})
		return a.Value == b.Value
	case yaml.ScalarNode:
		return sameScalar(a, b)
	case yaml.MappingNode:
		return a.ShortTag() == b.ShortTag() && c.sameMapping(a, b)
	}
	for i := range a.Content {
		if !c.same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return a.ShortTag() == b.ShortTag()
}

func sameScalar(a, b *yaml.Node) bool {
	if a.Tag == b.Tag && a.Tag != "" && a.Value == b.Value {
		return true
	}
	tag := a.ShortTag()
	if tag != b.ShortTag() {
		return false
	}
	switch tag {
	case "!!null":
		return true
	case "!!bool":
		return strings.EqualFold(a.Value, b.Value)
	}
	return a.Value == b.Value
}

// sameMapping pairs scalar keys by name and any others by their order.
func (c *comparison) sameMapping(a, b *yaml.Node) bool {
	inOrder := 0
	for inOrder+1 < len(a.Content) && c.sameKey(a.Content[inOrder], b.Content[inOrder]) {
		if !c.same(a.Content[inOrder+1], b.Content[inOrder+1]) {
			return false
		}
		inOrder += 2
	}
	if inOrder == len(a.Content) {
		return true
	}
	return c.sameEntries(a.Content[inOrder:], b.Content[inOrder:])
}

func (c *comparison) sameKey(a, b *yaml.Node) bool {
	return a.Kind == yaml.ScalarNode && b.Kind == yaml.ScalarNode && a.Value == b.Value && c.same(a, b)
}

func (c *comparison) sameEntries(a, b []*yaml.Node) bool {
	entries := make(map[string]int, len(b)/2)
	var odd []int
	for j := 0; j+1 < len(b); j += 2 {
		if k := b[j]; k.Kind == yaml.ScalarNode {
			entries[k.Value] = j
		} else {
			odd = append(odd, j)
		}
	}
	for i := 0; i+1 < len(a); i += 2 {
		k := a[i]
		j, ok := entries[k.Value]
		if k.Kind != yaml.ScalarNode {
			if ok = len(odd) > 0; ok {
				j, odd = odd[0], odd[1:]
			}
		}
		if !ok || !c.same(k, b[j]) || !c.same(a[i+1], b[j+1]) {
			return false
		}
		if k.Kind == yaml.ScalarNode {
			delete(entries, k.Value)
		}
	}
	return true
}
