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
// else did. Two files with different answers (two clusters in one repository)
// are no answer: it is said, and a flag or .remediate.yaml decides.
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
	for _, hint := range []bool{false, true} {
		for _, f := range facts {
			q := questionOf(string(f.Kind), f.Value)
			if f.Hint != hint || answered[q] || r.observed(q) || (hint && len(byQuestion[q]) > 0 && !byQuestion[q][0].Hint) {
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
			out = append(out, observe.StatedFact{Kind: string(f.Kind), Value: f.Value, Source: f.Source})
		}
	}
	return out, nil
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

// contradict: different files give different values.
func contradict(fs []source.StatedFact) bool {
	byFile := map[string]string{}
	for _, f := range fs {
		file, _, _ := strings.Cut(f.Source, ":")
		byFile[file] += f.Value + " "
	}
	first := ""
	for _, values := range byFile {
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
