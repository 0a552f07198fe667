package edit

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// check refuses what an alias or a merge key would carry elsewhere, unless that
// is wanted, and values that are templates.
func (e *editor) check(doc *yaml.Node, passed []slot, rest []string, shared bool) error {
	uses := aliases(doc)
	for _, s := range passed {
		if lines := uses[s.node]; len(lines) > 0 && !shared {
			return refuse(ErrAliased, s.node.Line, "&%s is used on %s as well: both would change", s.node.Anchor, listLines(lines))
		}
	}
	target := passed[len(passed)-1].node
	if len(rest) > 0 {
		return merged(target, rest)
	}
	if anchor := usedOutside(target, uses); anchor != nil {
		return refuse(ErrAliased, target.Line, "&%s inside it is used on %s", anchor.Anchor, listLines(uses[anchor]))
	}
	if target.Kind == yaml.ScalarNode && (strings.Contains(target.Value, "{{") || strings.Contains(target.Value, "{%")) {
		return refuse(ErrTemplate, target.Line, "the value is a template: edit it by hand")
	}
	return nil
}

// mostLines is how many lines are listed.
const mostLines = 5

// listLines renders "line 2" or "lines 2, 5 and 9"; of many the first few.
func listLines(lines []int) string {
	if len(lines) == 1 {
		return fmt.Sprintf("line %d", lines[0])
	}
	named, last := lines[:len(lines)-1], fmt.Sprint(lines[len(lines)-1])
	if len(lines) > mostLines {
		named, last = lines[:mostLines], fmt.Sprintf("%d others", len(lines)-mostLines)
	}
	var out []string
	for _, line := range named {
		out = append(out, fmt.Sprint(line))
	}
	return "lines " + strings.Join(out, ", ") + " and " + last
}

// aliases maps each anchored node to the lines of the aliases to it below n,
// nil when there are none.
func aliases(n *yaml.Node) map[*yaml.Node][]int {
	var out map[*yaml.Node][]int
	visit(n, func(n *yaml.Node) {
		if n.Kind != yaml.AliasNode {
			return
		}
		if out == nil {
			out = map[*yaml.Node][]int{}
		}
		out[n.Alias] = append(out[n.Alias], n.Line)
	})
	return out
}

func visit(n *yaml.Node, f func(*yaml.Node)) {
	f(n)
	for _, c := range n.Content {
		visit(c, f)
	}
}

// usedOutside finds an anchor below target that has aliases outside of it;
// those below target itself are replaced with it.
func usedOutside(target *yaml.Node, all map[*yaml.Node][]int) *yaml.Node {
	if len(all) == 0 {
		return nil
	}
	inside := aliases(target)
	var anchor *yaml.Node
	visit(target, func(n *yaml.Node) {
		if len(all[n]) > len(inside[n]) && n != target && anchor == nil {
			anchor = n
		}
	})
	return anchor
}

// unshare leads path around the aliases it passes: it gives the path of the
// same value from where it is anchored. A path that does not exist stays, and
// so does one that ends at an alias, unless through.
func unshare(doc *yaml.Node, path []string, through bool) ([]string, error) {
	for range maxDepth {
		n, i := doc.Content[0], 0
		for ; i < len(path) && n.Kind != yaml.AliasNode; i++ {
			next := valueAt(n, path[i])
			if next == nil {
				return path, nil
			}
			n = next
		}
		if n.Kind != yaml.AliasNode || i == len(path) && !through {
			return path, nil
		}
		anchored, ok := pathTo(doc.Content[0], n.Alias)
		if !ok {
			return nil, refuse(ErrAliased, n.Line, "&%s stands where no path leads: change it by hand", n.Value)
		}
		path = append(anchored, path[i:]...)
	}
	return nil, refuse(ErrTooLarge, 0, "more than %d aliases on the way", maxDepth)
}

// valueAt is the value of one segment below n, nil if it is not there.
func valueAt(n *yaml.Node, seg string) *yaml.Node {
	switch index, isIndex := itemIndex(seg); {
	case n.Kind == yaml.MappingNode:
		if i := find(n, seg); i >= 0 {
			return n.Content[i+1]
		}
	case n.Kind == yaml.SequenceNode && isIndex && index < len(n.Content):
		return n.Content[index]
	}
	return nil
}

// pathTo finds the path from n to want.
func pathTo(n, want *yaml.Node) ([]string, bool) {
	if n == want {
		return nil, true
	}
	for i, c := range n.Content {
		isMap := n.Kind == yaml.MappingNode
		if isMap && (i%2 == 0 || n.Content[i-1].Kind != yaml.ScalarNode) {
			continue
		}
		below, ok := pathTo(c, want)
		switch {
		case ok && isMap:
			return slices.Concat([]string{n.Content[i-1].Value}, below), true
		case ok:
			return slices.Concat([]string{fmt.Sprintf("[%d]", i)}, below), true
		}
	}
	return nil, false
}
