package remediate

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/remediate-dev/remediate/gitops/edit"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// maxRivals bounds how many open pull requests of others are looked into, the newest.
const maxRivals = 50

// rivals are the open pull requests of others that change what the candidate
// changes. Forks' count too: they may be merged as well.
func (x *proposal) rivals(ctx context.Context, in *intent) ([]guard.Rival, error) {
	listed, err := x.survey(ctx)
	if err != nil {
		return nil, err
	}
	var out []guard.Rival
	looked := 0
	for _, pr := range listed {
		if _, ours := readRecord(pr); ours || pr.State != forge.Open {
			continue
		}
		if looked++; looked > maxRivals {
			x.warn(fmt.Sprintf("more than %d pull requests are open: the older ones were not compared with this change", maxRivals))
			break
		}
		keys, err := x.contested(ctx, pr, in)
		if err != nil {
			return nil, err
		}
		if len(keys) > 0 {
			out = append(out, guard.Rival{Number: pr.Number, URL: pr.URL, Keys: keys})
		}
	}
	return out, nil
}

// contested are the values that both a pull request and the candidate change.
func (x *proposal) contested(ctx context.Context, pr forge.PullRequest, in *intent) ([]string, error) {
	touched, err := x.Forge.Files(ctx, pr)
	if err != nil {
		return nil, err
	}
	heads := map[string][]byte{}
	var keys []string
	for _, c := range in.candidate.Changes {
		if !slices.Contains(touched, c.File) || slices.Contains(keys, c.Path) {
			continue
		}
		if _, read := heads[c.File]; !read {
			content, ok, err := x.Forge.Read(ctx, pr, c.File)
			if err != nil {
				return nil, err
			}
			if !ok {
				content = nil
			}
			heads[c.File] = content
		}
		if changesValue(x.res.before[c.File], heads[c.File], c.YAMLPath) {
			keys = append(keys, c.Path)
		}
	}
	return keys, nil
}

// changesValue says whether a place holds another value in the second state of a
// file. What cannot be read counts as changed.
func changesValue(before, after []byte, path string) bool {
	keys, err := edit.ParsePath(path)
	if err != nil || before == nil || after == nil {
		return true
	}
	was, err := valuesIn(before, keys, path)
	if err != nil {
		return true
	}
	is, err := valuesIn(after, keys, path)
	return err != nil || !reflect.DeepEqual(was, is)
}

// valuesIn are the values at a path in every document of a file, in YAML that
// strings of it hold, and in lines KEY=value, each as YAML.
func valuesIn(src []byte, keys []string, name string) ([]string, error) {
	var out []string
	if err := edit.Inspect(src); err != nil {
		return nil, err
	}
	docs, err := edit.Documents(src)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		values, err := atPath(d, keys)
		if err != nil {
			return nil, err
		}
		out = append(out, values...)
	}
	for line := range strings.SplitSeq(string(src), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == name {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out, nil
}

func atPath(d *yaml.Node, keys []string) ([]string, error) {
	var out []string
	if n := descend(d, keys); n != nil {
		s, err := yaml.String(n)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	for _, text := range blocks(d) {
		var inner yaml.Node
		if err := yaml.Unmarshal([]byte(text), &inner); err != nil {
			continue
		}
		if n := descend(&inner, keys); n != nil {
			s, err := yaml.String(n)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// descend follows mapping keys and indexes ("[2]"); nil when there is nothing.
func descend(n *yaml.Node, keys []string) *yaml.Node {
	for n != nil && (n.Kind == yaml.DocumentNode || n.Kind == yaml.AliasNode) {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
			continue
		}
		if len(n.Content) == 0 {
			return nil
		}
		n = n.Content[0]
	}
	if n == nil || len(keys) == 0 {
		return n
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == keys[0] {
				return descend(n.Content[i+1], keys[1:])
			}
		}
	case yaml.SequenceNode:
		i, err := strconv.Atoi(strings.Trim(keys[0], "[]"))
		if err == nil && i >= 0 && i < len(n.Content) {
			return descend(n.Content[i], keys[1:])
		}
	}
	return nil
}

// blocks are the strings of several lines in a tree, as of a ConfigMap.
func blocks(n *yaml.Node) []string {
	if n == nil || n.Kind == yaml.AliasNode {
		return nil
	}
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "\n") {
		return []string{n.Value}
	}
	var out []string
	for _, c := range n.Content {
		out = append(out, blocks(c)...)
	}
	return out
}
