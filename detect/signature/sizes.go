package signature

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// IDs of the signatures about sizes: of packets and of address ranges.
const (
	MTUMismatch            = "mtu-mismatch"
	NodeCIDRMaskImpossible = "node-cidr-mask-impossible"
)

func mtuMismatch() Signature {
	return Signature{
		ID:       MTUMismatch,
		Title:    "Full-size packets do not fit the path",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "The pods' MTU is larger than what the path carries. Small packets pass, the TCP handshake succeeds, and the transfer stalls. " +
			"With BPF host routing a node whose own device is too small drops without a 'too big' answer; legacy host routing answers.",
		Shows:     []string{"ping works, TLS handshakes and image pulls hang; pods of one node are fine"},
		DependsOn: []string{"the configured MTU or the devices' MTU", "probes of two sizes"},
		Confirms:  []string{"between two nodes a small packet passes and a full-size packet is lost or answered with 'too big'"},
		Quorum:    Quorum{Probers: 2, Pairs: 2, Targets: 2, Exchanges: 6, Window: Window, Hold: 8 * time.Second},
		Refutes:   []string{"packets that every path carries (1280 bytes for IPv6, 576 for IPv4) are lost too", "a full-size packet passes"},
		Neighbours: []Neighbour{
			{NativeRoutingCIDRExcludesPods, "there the size plays no part"},
			{PacketLoss, "there small packets are lost too"},
		},
		Effects:  []string{FluxIsAVictim},
		Versions: "all; measured with 1.18.6",
		Sources:  []string{"pkg/mtu/mtu.go:20-77 (1.18.6)"},
		Detect:   detectMTU,
	}
}

func detectMTU(in *Input) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	if in.Settings.MTU > 0 {
		for i := range in.Snapshot.Nodes {
			n := &in.Snapshot.Nodes[i]
			if n.MTU > 0 && n.MTU < in.Settings.MTU {
				out = append(out, v1alpha1.Finding{
					Signature: MTUMismatch, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePredicted,
					Summary: fmt.Sprintf("MTU is %d and the device of %s carries %d", in.Settings.MTU, n.Name, n.MTU),
					Evidence: []v1alpha1.Evidence{
						{Kind: "config", Text: fmt.Sprintf("MTU: %d", in.Settings.MTU), Source: in.where("MTU", "mtu")},
						{Kind: "fact", Text: fmt.Sprintf("device MTU %d", n.MTU), Source: n.Source}},
					Lacked: []string{"probes of two sizes between nodes: a small packet that passes and a full-size one that is lost or answered with 'too big'"},
				})
				break
			}
		}
	}
	for _, family := range in.Families() {
		if f, ok := sizeProbes(in, family); ok {
			out = append(out, f)
		}
	}
	return in.orProbed(MTUMismatch, out)
}

// sizeProbes compares the largest packet that passed with the smallest that was
// lost on the same way.
func sizeProbes(in *Input, family string) (v1alpha1.Finding, bool) {
	type way struct{ from, to, via, target string }
	passed, lost := map[way]int{}, map[way]snapshot.ProbeObservation{}
	for _, o := range in.Snapshot.Probes {
		if !counts(in, o, family) || o.Bytes == 0 {
			continue
		}
		w := way{o.From.Node, o.To.Node, o.Via, o.Target}
		switch o.Outcome {
		case v1alpha1.OutcomeOK:
			passed[w] = max(passed[w], o.Bytes)
		case v1alpha1.OutcomeTimeout, v1alpha1.OutcomeTooBig:
			if prev, ok := lost[w]; !ok || o.Bytes < prev.Bytes {
				lost[w] = o
			}
		}
	}
	f := v1alpha1.Finding{Signature: MTUMismatch, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidenceConfirmed, Family: family}
	for w, o := range lost {
		if small, ok := passed[w]; ok && small < o.Bytes {
			f.Evidence = append(f.Evidence, v1alpha1.Evidence{Kind: "probe", Source: o.Source,
				Text: fmt.Sprintf("%s → %s: %d bytes pass, %d bytes do not (%s)", w.from, w.to, small, o.Bytes, o.Outcome)})
		}
	}
	sortEvidence(f.Evidence)
	f.Summary = fmt.Sprintf("%s packets of full size do not fit the path between nodes", family)
	return f, len(f.Evidence) > 0
}

func nodeMask() Signature {
	return Signature{
		ID:       NodeCIDRMaskImpossible,
		Title:    "The pool cannot be cut into a range for every node",
		Severity: v1alpha1.SeverityCritical,
		Explanation: "Whoever hands out pod CIDRs cuts a pool into one range of a fixed size per node. cilium-operator and kube-controller-manager refuse a difference of more than 16 bits " +
			"between the two, and a pool with fewer ranges than nodes leaves nodes without one.",
		Shows:     []string{"the operator or the controller manager logs 'the node CIDR size is too big'", "new nodes stay NotReady without a pod CIDR"},
		DependsOn: []string{"the pool", "the node mask size", "who allocates (IPAM mode)"},
		Confirms:  []string{"a node without a pod CIDR of the family"},
		Versions:  "1.16 to 1.20",
		Sources:   []string{"pkg/ipam/cidrset/cidr_set.go:45-91 (1.18.6)"},
		Detect:    detectNodeMask,
	}
}

func detectNodeMask(in *Input) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, family := range in.Families() {
		mask := nodeMaskSize(in, family)
		if !mask.Known {
			continue
		}
		for _, p := range in.Snapshot.PodPools {
			if cidr.Family(p.Prefix.Addr()) != family || p.IPAM != "" && p.IPAM != in.Settings.IPAM {
				continue
			}
			if why := maskProblem(p.Prefix.Bits(), mask.Value, len(in.Snapshot.Nodes), p.Prefix.Addr().BitLen()); why != "" {
				out = append(out, v1alpha1.Finding{
					Signature: NodeCIDRMaskImpossible, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidencePredicted, Family: family,
					Summary: fmt.Sprintf("pool %s cannot be cut into a /%d for every node: %s", p.Prefix, mask.Value, why),
					Evidence: []v1alpha1.Evidence{
						{Kind: "fact", Text: "pool " + p.Prefix.String(), Source: p.Source},
						{Kind: "fact", Text: fmt.Sprintf("node mask size %d", mask.Value), Source: mask.Source}},
					Lacked: []string{"a node without a pod CIDR of the family"},
				})
			}
		}
	}
	return out
}

// nodeMaskSize is the operator's for cluster-pool and the controller manager's
// for kubernetes; other IPAM modes hand out addresses in other ways.
func nodeMaskSize(in *Input, family string) snapshot.Fact[int] {
	switch in.Settings.IPAM {
	case "kubernetes":
		return in.Snapshot.NodeMaskSize[family]
	case "cluster-pool":
		flag := "cluster-pool-" + strings.ToLower(family) + "-mask-size"
		if n, err := strconv.Atoi(in.Config.Values[flag]); err == nil {
			return snapshot.Known(n, in.where("ipam.operator.clusterPool"+family+"MaskSize", flag))
		}
	}
	return snapshot.Fact[int]{}
}

// maskProblem is empty when the pool can be cut. At most 16 bits may lie
// between the two (pkg/ipam/cidrset/cidr_set.go:45-53, 1.18.6; the controller
// manager has the same limit).
func maskProblem(pool, mask, nodes, addressBits int) string {
	const maxBits = 16
	switch {
	case mask > addressBits:
		return fmt.Sprintf("an address has only %d bits", addressBits)
	case mask < pool:
		return "the range of one node is larger than the pool"
	case mask-pool > maxBits:
		return fmt.Sprintf("%d bits lie between them, %d are allowed", mask-pool, maxBits)
	case bits.Len(uint(max(nodes-1, 0))) > mask-pool:
		return fmt.Sprintf("it holds %d ranges for %d nodes", 1<<(mask-pool), nodes)
	}
	return ""
}
