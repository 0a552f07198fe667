package remediate

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// stateFacts merges what flags, .remediate.yaml and the repository's files
// state into the snapshot. A flag outweighs the settings, and both outweigh
// what other files say; files are asked only for what the cluster does not say.
func (r *Run) stateFacts(context.Context) error {
	stated, err := r.byHand()
	if err != nil {
		return err
	}
	fromFiles, err := r.fromFiles(stated)
	if err != nil {
		return err
	}
	merged, err := observe.Merge(r.snapshot, append(stated, fromFiles...))
	if err != nil {
		return err
	}
	r.snapshot = merged
	return nil
}

func (r *Run) byHand() ([]observe.StatedFact, error) {
	var out []observe.StatedFact
	for _, k := range []struct {
		kind, flag string
		flags      []string
		settings   []source.Setting
	}{
		{observe.StatedPodPool, "--pod-cidr", r.opts.PodCIDRs, r.scope.PodCIDRs},
		{observe.StatedServiceCIDR, "--service-cidr", r.opts.ServiceCIDRs, r.scope.ServiceCIDRs},
		{observe.StatedNodeCIDR, "--node-cidr", r.opts.NodeCIDRs, r.scope.NodeCIDRs},
	} {
		for _, v := range k.flags {
			out = append(out, observe.StatedFact{Kind: k.kind, Value: v, Source: k.flag})
		}
		if len(k.flags) > 0 {
			continue
		}
		for _, s := range k.settings {
			out = append(out, observe.StatedFact{Kind: k.kind, Value: s.Value, Source: s.Source})
		}
	}
	return out, nil
}

// question is one kind of fact of one family.
type question struct{ kind, family string }

// fromFiles takes what Talos, kubeadm, k3s and other files state where nobody
// else did: of each kind what bears most on the release. Different answers (two
// clusters in one repository, two variables) are no answer: it is said, and a
// flag or .remediate.yaml decides.
func (r *Run) fromFiles(known []observe.StatedFact) ([]observe.StatedFact, error) {
	facts, err := r.statedByFiles()
	if err != nil {
		return nil, fmt.Errorf("read what the repository states about its networks: %w", err)
	}
	answered := map[question]bool{}
	for _, k := range known {
		answered[questionOf(k.Kind, k.Value)] = true
	}
	byQuestion := map[question][]source.StatedFact{}
	var order []question
	for _, bearing := range []source.Bearing{source.BearingCluster, source.BearingRead, source.BearingNear} {
		better := map[question]bool{}
		for q := range byQuestion {
			better[q] = true
		}
		for _, f := range facts {
			q := questionOf(string(f.Kind), f.Value)
			if answered[q] || better[q] || r.observed(q) || r.release.Bearing(f) != bearing {
				continue
			}
			if byQuestion[q] == nil {
				order = append(order, q)
			}
			byQuestion[q] = append(byQuestion[q], f)
		}
	}
	var out []observe.StatedFact
	for _, q := range order {
		fs := byQuestion[q]
		if contradict(fs) {
			r.unknown = append(r.unknown, fmt.Sprintf("%s %s: %s state different ranges; say which holds with a flag or in %s",
				q.family, q.kind, places(fs), source.SettingsFile))
			continue
		}
		for _, f := range fs {
			out = append(out, observe.StatedFact{Kind: string(f.Kind), Value: f.Value, Source: f.Source, IPAM: allocatedBy(f)})
		}
	}
	return out, nil
}

// allocatedBy is the IPAM mode in which a pool counts: what such files state is
// what kube-controller-manager cuts nodes' ranges from. In other modes Cilium
// asks nobody for it.
func allocatedBy(f source.StatedFact) string {
	if f.Kind == source.PodPool {
		return "kubernetes"
	}
	return ""
}

func questionOf(kind, value string) question {
	switch kind {
	case observe.StatedNodeMaskIPv4:
		return question{kind, cidr.IPv4}
	case observe.StatedNodeMaskIPv6:
		return question{kind, cidr.IPv6}
	}
	if p, err := netip.ParsePrefix(value); err == nil {
		return question{kind, cidr.Family(p.Addr())}
	}
	return question{kind: kind}
}

// observed: the cluster or the snapshot answers the question itself.
func (r *Run) observed(q question) bool {
	switch q.kind {
	case observe.StatedPodPool:
		for _, c := range r.snapshot.PodPools {
			if cidr.Family(c.Prefix.Addr()) == q.family {
				return true
			}
		}
		return false
	case observe.StatedServiceCIDR:
		return len(r.snapshot.ServiceRange(q.family)) > 0
	case observe.StatedNodeMaskIPv4, observe.StatedNodeMaskIPv6:
		return r.snapshot.NodeMaskSize[q.family].Known
	}
	return false
}

// contradict: different files, or different variables, give different values.
func contradict(fs []source.StatedFact) bool {
	bySource := map[string]string{}
	for _, f := range fs {
		from, _, _ := strings.Cut(f.Source, ":")
		if f.Hint {
			from = f.Source
		}
		bySource[from] += f.Value + " "
	}
	first := ""
	for _, values := range bySource {
		if first == "" {
			first = values
		}
		if values != first {
			return true
		}
	}
	return false
}

func places(fs []source.StatedFact) string {
	const most = 4
	var out []string
	for i, f := range fs {
		if i == most {
			out = append(out, "…")
			break
		}
		out = append(out, f.Source+" ("+f.Value+")")
	}
	return strings.Join(out, ", ")
}
