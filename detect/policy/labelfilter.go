package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// labelRule is one pattern of the list that decides which labels become part of
// an identity.
type labelRule struct {
	source string
	ignore bool
	expr   *regexp.Regexp
}

// labelFilter decides which pod labels Cilium puts into identities; a selector
// on another label matches no pod (pkg/labelsfilter/filter.go:205-236 and
// 288-338, 1.18.6).
type labelFilter struct {
	rules []labelRule
	// listed: a pattern that includes was configured, so what none includes is out.
	listed bool
}

// defaultLabelRules is the agent's own list; configured patterns add to it.
var defaultLabelRules = []string{
	`reserved:.*`,
	`io\.kubernetes\.pod\.namespace`,
	`io\.cilium\.k8s\.namespace\.labels`,
	`app\.kubernetes\.io`,
	`io\.cilium\.k8s\.policy\.cluster`,
	`io\.cilium\.k8s\.policy\.serviceaccount`,
	`!io\.kubernetes`,
	`!kubernetes\.io`,
	`!statefulset\.kubernetes\.io/pod-name`,
	`!apps\.kubernetes\.io/pod-index`,
	`!batch\.kubernetes\.io/job-completion-index`,
	`!batch\.kubernetes\.io/controller-uid`,
	`!.*beta\.kubernetes\.io`,
	`!k8s\.io`,
	`!pod-template-generation`,
	`!pod-template-hash`,
	`!controller-revision-hash`,
	`!controller-uid`,
	`!annotation.*`,
	`!etcd_node`,
}

func newLabelFilter(extra []string) (*labelFilter, error) {
	f := &labelFilter{}
	for _, text := range defaultLabelRules {
		rule, err := parseLabelRule(text)
		if err != nil {
			return nil, err
		}
		f.rules = append(f.rules, rule)
	}
	for _, text := range extra {
		rule, err := parseLabelRule(text)
		if err != nil {
			return nil, err
		}
		f.listed = f.listed || !rule.ignore
		f.rules = append(f.rules, rule)
	}
	return f, nil
}

func parseLabelRule(text string) (labelRule, error) {
	source, pattern, found := strings.Cut(text, ":")
	if !found {
		source, pattern = "", text
	}
	pattern, ignore := strings.CutPrefix(pattern, "!")
	expr, err := regexp.Compile(pattern)
	if err != nil || pattern == "" {
		return labelRule{}, fmt.Errorf("label pattern %q is no regular expression", text)
	}
	return labelRule{source: source, ignore: ignore, expr: expr}, nil
}

// keeps says whether a Kubernetes label with this key becomes part of an
// identity: the longest including pattern must match more than the shortest
// ignoring one.
func (f *labelFilter) keeps(key string) bool {
	included, ignored := 0, 0
	for i := range f.rules {
		n, ok := f.rules[i].length(key)
		switch {
		case !ok:
		case !f.rules[i].ignore:
			included = max(included, n)
		case ignored == 0 || n < ignored:
			ignored = n
		}
	}
	return (!f.listed && ignored == 0) || included > ignored
}

func (r *labelRule) length(key string) (int, bool) {
	if r.source != "" && r.source != sourceK8s {
		return 0, false
	}
	at := r.expr.FindStringIndex(key)
	if at == nil {
		return 0, false
	}
	return at[1], at[0] == 0
}
