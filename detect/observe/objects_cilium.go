package observe

import (
	"encoding/json"
	"fmt"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

type endpointAddress struct {
	IPv4 string `json:"ipv4,omitempty"`
	IPv6 string `json:"ipv6,omitempty"`
}

type ciliumEndpoint struct {
	header
	Status struct {
		Identity struct {
			ID     int64    `json:"id,omitempty"`
			Labels []string `json:"labels,omitempty"`
		} `json:"identity,omitzero"`
		Networking struct {
			Addressing []endpointAddress `json:"addressing,omitempty"`
			Node       string            `json:"node,omitempty"`
		} `json:"networking,omitzero"`
	} `json:"status"`
}

func (o *ciliumEndpoint) reduce() (bool, error) {
	o.keepNothing()
	for i, a := range o.Status.Networking.Addressing {
		for _, f := range []struct{ name, ip string }{{"ipv4", a.IPv4}, {"ipv6", a.IPv6}} {
			if f.ip == "" {
				continue
			}
			if _, err := parseAddr(f.ip); err != nil {
				return false, at(err, "status", "networking", "addressing", i, f.name)
			}
		}
	}
	return true, nil
}

func (o *ciliumEndpoint) fill(b *builder) {
	e := endpointFacts{identity: o.Status.Identity.ID, nodeIP: b.shared(o.Status.Networking.Node)}
	for _, a := range o.Status.Networking.Addressing {
		e.ips = append(e.ips, addrsOf([]string{a.IPv6, a.IPv4})...)
	}
	e.labels = b.sharedLabels(podLabels(o.Status.Identity.Labels))
	b.endpoints[podKey{b.shared(o.Metadata.Namespace), o.Metadata.Name}] = e
}

// podLabels are the pod's own labels among an identity's: source "k8s", without
// what Cilium derives from namespace, cluster and service account
// (pkg/k8s/apis/cilium.io/const.go, 1.18.6).
func podLabels(identity []string) map[string]string {
	out := map[string]string{}
	for _, l := range identity {
		k, v, _ := strings.Cut(l, "=")
		if k, ok := strings.CutPrefix(k, "k8s:"); ok && !strings.HasPrefix(k, "io.cilium.k8s.") && k != "io.kubernetes.pod.namespace" {
			out[k] = v
		}
	}
	return out
}

type ciliumIdentity struct {
	header
	SecurityLabels map[string]string `json:"security-labels,omitempty"`
}

func (o *ciliumIdentity) reduce() (bool, error) {
	o.keepNothing()
	return true, nil
}

func (o *ciliumIdentity) fill(b *builder) {
	labels := make([]string, 0, len(o.SecurityLabels))
	for k, v := range o.SecurityLabels {
		labels = append(labels, k+"="+v)
	}
	b.identities[o.Metadata.Name] = b.sharedLabels(podLabels(labels))
}

type ciliumNodeConfig struct {
	header
	Spec struct {
		NodeSelector struct {
			MatchLabels      map[string]string `json:"matchLabels,omitempty"`
			MatchExpressions []json.RawMessage `json:"matchExpressions,omitempty"`
		} `json:"nodeSelector,omitzero"`
		Defaults map[string]string `json:"defaults,omitempty"`
	} `json:"spec"`
}

func (o *ciliumNodeConfig) reduce() (bool, error) {
	o.keepNothing()
	o.Spec.Defaults = scrubConfig(o.Spec.Defaults)
	return true, nil
}

func (o *ciliumNodeConfig) fill(b *builder) {
	b.nodeConfigs[o.key()] = snapshot.NodeConfig{
		Name:                o.Metadata.Name,
		Selector:            b.sharedLabels(o.Spec.NodeSelector.MatchLabels),
		SelectorExpressions: len(o.Spec.NodeSelector.MatchExpressions) > 0,
		Defaults:            o.Spec.Defaults,
		Source:              o.source(),
	}
}

type poolFamily struct {
	CIDRs    []string `json:"cidrs,omitempty"`
	MaskSize int      `json:"maskSize,omitempty"`
}

type podIPPool struct {
	header
	Spec struct {
		IPv4 *poolFamily `json:"ipv4,omitempty"`
		IPv6 *poolFamily `json:"ipv6,omitempty"`
	} `json:"spec"`
}

func (o *podIPPool) reduce() (bool, error) {
	o.keepNothing()
	if o.Spec.IPv4 != nil {
		if err := checkPrefixes(o.Spec.IPv4.CIDRs, "spec", "ipv4", "cidrs"); err != nil {
			return false, err
		}
	}
	if o.Spec.IPv6 != nil {
		return true, checkPrefixes(o.Spec.IPv6.CIDRs, "spec", "ipv6", "cidrs")
	}
	return true, nil
}

func (o *podIPPool) fill(b *builder) { b.podIPPools[o.Metadata.Name] = o }

func (o *networkPolicy) reduce() (bool, error) {
	o.keepNothing()
	return true, nil
}

func (o *networkPolicy) fill(b *builder) {
	b.policies[o.Kind+" "+o.key()] = snapshot.Policy{
		Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name,
		Kubernetes: &o.Spec, Source: o.source(),
	}
}

// reduce refuses rules that are no mapping. A policy without any rule stays:
// it selects nothing, and that is a fact. Of HTTP rules the headers' values go:
// they may be credentials, and nothing here depends on them.
func (o *ciliumPolicy) reduce() (bool, error) {
	o.keepNothing()
	rules, err := o.rules()
	if err != nil {
		return false, err
	}
	raws := make([]json.RawMessage, len(rules))
	for i, rule := range rules {
		scrubRule(rule)
		if raws[i], err = json.Marshal(rule); err != nil {
			return false, fmt.Errorf("write back rule %d: %w", i+1, err)
		}
	}
	if len(o.Spec) > 0 && string(o.Spec) != "null" {
		o.Spec, raws = raws[0], raws[1:]
	}
	o.Specs = raws
	return true, nil
}

// scrubRule removes, at any depth, the values of HTTP headers and what looks
// like a credential in a description (pkg/policy/api/http.go, 1.18.6).
func scrubRule(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			scrubRule(item)
		}
	case map[string]any:
		for key, value := range v {
			switch text, isText := value.(string); {
			case key == "headers":
				scrubHeaders(value)
			case key == "headerMatches":
				scrubHeaderMatches(value)
			case key == "description" && isText:
				v[key] = scrub(text)
			default:
				scrubRule(value)
			}
		}
	}
}

func scrubHeaders(headers any) {
	list, _ := headers.([]any)
	for i, h := range list {
		text, _ := h.(string)
		name, _, _ := strings.Cut(text, ":")
		name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
		list[i] = name + ": " + Removed
	}
}

func scrubHeaderMatches(matches any) {
	list, _ := matches.([]any)
	for _, m := range list {
		if match, ok := m.(map[string]any); ok && match["value"] != nil {
			match["value"] = Removed
		}
	}
}

func (o *ciliumPolicy) rules() ([]map[string]any, error) {
	raws := o.Specs
	if len(o.Spec) > 0 && string(o.Spec) != "null" {
		raws = append([]json.RawMessage{o.Spec}, raws...)
	}
	out := []map[string]any{}
	for i, raw := range raws {
		var rule map[string]any
		if err := utiljson.Unmarshal(raw, &rule); err != nil {
			return nil, at(fmt.Errorf("rule %d is not a mapping: %w", i+1, err), "spec")
		}
		out = append(out, rule)
	}
	return out, nil
}

func (o *ciliumPolicy) fill(b *builder) {
	rules, err := o.rules()
	if err != nil {
		return
	}
	b.policies[o.Kind+" "+o.key()] = snapshot.Policy{
		Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name,
		Cilium: rules, Source: o.source(),
	}
}
