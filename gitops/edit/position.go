package edit

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Position gives the 1-based line and column (in characters) of the key at
// path, or of the item when path ends in an index. Aliases and merge keys are
// followed: the position is where the value is written. doc is as in [Change].
func Position(src []byte, doc int, path []string) (line, column int, found bool, err error) {
	docs, err := Documents(src)
	if err != nil || len(docs) == 0 {
		return 0, 0, false, err
	}
	root, err := document(docs, doc)
	if err != nil {
		return 0, 0, false, err
	}
	at := resolve(root.Content[0], path)
	if at == nil {
		return 0, 0, false, nil
	}
	return at.Line, at.Column, true, nil
}

// resolve follows path and returns the key or item at its end, nil if it is not there.
func resolve(n *yaml.Node, path []string) *yaml.Node {
	at := n
	for _, seg := range path {
		n = target(n)
		index, isIndex := itemIndex(seg)
		switch {
		case n.Kind == yaml.MappingNode:
			key, value := lookup(n, seg, 0)
			if key == nil {
				return nil
			}
			at, n = key, value
		case n.Kind == yaml.SequenceNode && isIndex && index < len(n.Content):
			at, n = n.Content[index], n.Content[index]
		default:
			return nil
		}
	}
	return at
}

func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// lookup finds key in m or in what its merge keys bring in.
func lookup(m *yaml.Node, key string, depth int) (k, v *yaml.Node) {
	if i := find(m, key); i >= 0 {
		return m.Content[i], m.Content[i+1]
	}
	i := find(m, "<<")
	if i < 0 || depth > maxDepth {
		return nil, nil
	}
	for _, base := range mergeBases(m.Content[i+1]) {
		if k, v = lookup(base, key, depth+1); k != nil {
			return k, v
		}
	}
	return nil, nil
}
