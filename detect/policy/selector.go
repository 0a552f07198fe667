package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Label sources that a selector's key can name (pkg/labels/labels.go, 1.18.6).
// The last two are not Cilium's: any reserved world label, and labels that
// Cilium derives from DNS answers or CIDR groups and that are not modelled.
const (
	sourceAny      = "any"
	sourceK8s      = "k8s"
	sourceReserved = "reserved"
	sourceCIDR     = "cidr"
	sourceNode     = "node"
	sourceWorld    = "*world"
	sourceDerived  = "*derived"
)

// Labels that Cilium gives a pod (pkg/k8s/apis/cilium.io/const.go, 1.18.6).
const (
	labelPrefix         = "io.cilium.k8s"
	labelNamespace      = "io.kubernetes.pod.namespace"
	labelNamespaceMeta  = "io.cilium.k8s.namespace.labels."
	labelCluster        = "io.cilium.k8s.policy.cluster"
	labelServiceAccount = "io.cilium.k8s.policy.serviceaccount"
	labelMetadataName   = "kubernetes.io/metadata.name"
)

type operator string

const (
	opIn           operator = "In"
	opNotIn        operator = "NotIn"
	opExists       operator = "Exists"
	opDoesNotExist operator = "DoesNotExist"
)

type labelKey struct {
	source, name string
	// prefix of a key with source cidr.
	prefix netip.Prefix
	// dropped: Cilium keeps the label out of identities, so no pod has it.
	dropped bool
}

type requirement struct {
	key    labelKey
	op     operator
	values []string
}

func (r *requirement) matches(id *identity) match {
	value, has := id.label(&r.key)
	switch r.op {
	case opIn:
		if has == yes {
			return matchOf(slices.Contains(r.values, value))
		}
		return has
	case opNotIn:
		if has == yes {
			return matchOf(!slices.Contains(r.values, value))
		}
		return has.not()
	case opExists:
		return has
	}
	return has.not()
}

func (r *requirement) String() string {
	return fmt.Sprintf("%q %q %s %s %q", r.key.source, r.key.name, r.key.prefix, r.op, r.values)
}

// selector is a conjunction; an empty one matches every identity.
type selector []requirement

func (s selector) matches(id *identity) match {
	m := yes
	for i := range s {
		if m = min(m, s[i].matches(id)); m == no {
			return no
		}
	}
	return m
}

// canonical is equal for selectors with the same requirements in any order.
func (s selector) canonical() string {
	parts := make([]string, len(s))
	for i := range s {
		parts[i] = s[i].String()
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), "\n")
}

// namespaces lists the only pod namespaces that the selector can match, or
// false when it is open to others.
func (s selector) namespaces() ([]string, bool) {
	for i := range s {
		r := &s[i]
		if r.op == opIn && r.key.name == labelNamespace && (r.key.source == sourceK8s || r.key.source == sourceAny) {
			return r.values, true
		}
	}
	return nil, false
}

// draft is a label selector with keys in the form source.name, while Cilium's
// scoping rules are still being applied to it.
type draft struct {
	labels map[string]string
	exprs  []expression
}

type expression struct {
	Key      string   `json:"key"`
	Operator operator `json:"operator"`
	Values   []string `json:"values"`
}

// labelSelector is a Kubernetes label selector as written.
type labelSelector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []expression      `json:"matchExpressions"`
}

// newDraft extends every key and checks the result as Cilium's Sanitize does
// (pkg/policy/api/selector.go:332-357, 1.18.6): a key counts with its source,
// so a name of 60 to 63 characters is refused.
func newDraft(ls labelSelector, extend func(string) string) (draft, error) {
	d := draft{labels: make(map[string]string, len(ls.MatchLabels))}
	for _, key := range slices.Sorted(maps.Keys(ls.MatchLabels)) {
		value, ext := ls.MatchLabels[key], extend(key)
		if err := checkLabel(ext, key, []string{value}); err != nil {
			return draft{}, err
		}
		d.labels[ext] = value
	}
	for _, e := range ls.MatchExpressions {
		if err := checkExpression(e, extend(e.Key)); err != nil {
			return draft{}, err
		}
		d.exprs = append(d.exprs, expression{Key: extend(e.Key), Operator: e.Operator, Values: e.Values})
	}
	return d, nil
}

func checkExpression(e expression, ext string) error {
	switch e.Operator {
	case opIn, opNotIn:
		if len(e.Values) == 0 {
			return fmt.Errorf("selector on %q: operator %s needs values", e.Key, e.Operator)
		}
	case opExists, opDoesNotExist:
		if len(e.Values) != 0 {
			return fmt.Errorf("selector on %q: operator %s takes no values", e.Key, e.Operator)
		}
	default:
		return fmt.Errorf("selector on %q: operator %q does not exist", e.Key, e.Operator)
	}
	return checkLabel(ext, e.Key, e.Values)
}

func checkLabel(ext, key string, values []string) error {
	if bad := validation.IsQualifiedName(ext); len(bad) > 0 {
		return fmt.Errorf("selector key %q: %s", key, bad[0])
	}
	for _, v := range values {
		if bad := validation.IsValidLabelValue(v); len(bad) > 0 {
			return fmt.Errorf("selector on %q: value %q: %s", key, v, bad[0])
		}
	}
	return nil
}

func (d *draft) hasKey(key string) bool {
	if _, ok := d.labels[key]; ok {
		return true
	}
	return slices.ContainsFunc(d.exprs, func(e expression) bool { return e.Key == key })
}

func (d *draft) hasPrefix(prefix string) bool {
	for key := range d.labels {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return slices.ContainsFunc(d.exprs, func(e expression) bool { return strings.HasPrefix(e.Key, prefix) })
}

func (d *draft) require(key string, op operator, values ...string) {
	d.exprs = append(d.exprs, expression{Key: key, Operator: op, Values: values})
}

// merge adds the other draft's requirements; equal keys are overwritten, as
// Cilium's join of a pod and a namespace selector does.
func (d *draft) merge(other draft) {
	maps.Copy(d.labels, other.labels)
	d.exprs = append(d.exprs, other.exprs...)
}

// extendCilium is the reading of a key in a CiliumNetworkPolicy: "k8s:x" has
// source k8s, "x" any source (pkg/labels/labels.go:518-529 and 784-799, 1.18.6).
func extendCilium(key string) string {
	source, name := sourceAny, key
	switch {
	case strings.HasPrefix(key, "$"):
		source, name = sourceReserved, key[1:]
	case strings.Contains(key, ":"):
		source, name, _ = strings.Cut(key, ":")
		if source == "" {
			source = sourceAny
		}
	case strings.HasPrefix(key, sourceReserved+"."):
		source, name = sourceReserved, strings.TrimPrefix(key, sourceReserved+".")
	}
	name, _, _ = strings.Cut(name, "=")
	return source + "." + name
}

// extendK8s is the reading of a key in a NetworkPolicy.
func extendK8s(key string) string { return sourceK8s + "." + key }

// extendNamespace is the reading of a key of a NetworkPolicy's namespaceSelector.
func extendNamespace(key string) string { return sourceK8s + "." + labelNamespaceMeta + key }
