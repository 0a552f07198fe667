package signature

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
)

// BootstrapCopyDiffers is the id of the signature about installations besides Flux.
const BootstrapCopyDiffers = "bootstrap-copy-differs"

// CopyValue is a value that both a copy of the release's values and the release
// set. Equal values are equal texts.
type CopyValue struct {
	// Copy is the kind of the copy: helmfile, Talos inline manifest, ….
	Copy string
	// File is the copy's file.
	File string
	// Path is the Helm value's path, or the key of a rendered cilium-config.
	Path string
	// Flags of the agent that the value ends up in.
	Flags          []string
	Value, Release string
	// Source and ReleaseSource are file:line.
	Source, ReleaseSource string
}

func bootstrapCopy() Signature {
	return Signature{
		ID:       BootstrapCopyDiffers,
		Title:    "What bootstraps the cluster sets another value than Flux",
		Severity: v1alpha1.SeverityWarning,
		Explanation: "Cilium is installed before Flux can run: by a helmfile, a Talos inline manifest, Terraform, a k3s HelmChart or a script. Where that has values of its own, " +
			"both have to be changed. While Flux reconciles, its values win and nothing is wrong; the next bootstrap, node rebuild or apply of the copy starts with the other value. " +
			"A copy that only lacks keys is usual and not reported, nor is a difference without influence on a packet's way, nor a copy that reads the very file that Flux reads.",
		Shows: []string{
			"a rebuilt cluster fails as it did before the fix, until Flux has reconciled (which may not come, if Flux is cut off itself)",
			"the value changes back after talosctl upgrade-k8s, terraform apply or a restart of a k3s server",
		},
		DependsOn: []string{"the files of the repository that install Cilium besides Flux", "the release's values"},
		Confirms:  []string{"both set the key, to different values"},
		Refutes:   []string{"the copy reads the release's own file"},
		Neighbours: []Neighbour{
			{LiveConfigDiffers, "there the cluster runs something else than the repository renders now"},
			{ConfigNotActive, "there the value is right everywhere and the agents have not read it"},
		},
		Versions: "all",
		Sources: []string{
			"docs.cilium.io, Installation using Helm", "Talos documentation, Deploying Cilium CNI (inline manifests)",
			"k3s documentation, Using the Helm controller",
		},
		Detect: detectBootstrapCopy,
	}
}

// detectBootstrapCopy finds one thing for each file.
func detectBootstrapCopy(in *Input) []v1alpha1.Finding {
	byFile := map[string][]CopyValue{}
	var files []string
	for _, v := range in.Copies {
		if v.Value == v.Release || !slices.ContainsFunc(v.Flags, in.decides) {
			continue
		}
		if byFile[v.File] == nil {
			files = append(files, v.File)
		}
		byFile[v.File] = append(byFile[v.File], v)
	}
	slices.Sort(files)
	var out []v1alpha1.Finding
	for _, f := range files {
		out = append(out, copyDiffers(f, byFile[f]))
	}
	return out
}

func copyDiffers(file string, vs []CopyValue) v1alpha1.Finding {
	slices.SortStableFunc(vs, func(a, b CopyValue) int { return strings.Compare(a.Path, b.Path) })
	var says []string
	f := v1alpha1.Finding{Signature: BootstrapCopyDiffers, Severity: v1alpha1.SeverityWarning, Confidence: v1alpha1.ConfidencePredicted, About: file}
	for _, v := range vs {
		says = append(says, fmt.Sprintf("%s to %s (the release: %s)", v.Path, v.Value, v.Release))
		f.Evidence = append(f.Evidence,
			v1alpha1.Evidence{Kind: "config", Text: v.Path + ": " + v.Value, Source: v.Source},
			v1alpha1.Evidence{Kind: "config", Text: "the release sets " + v.Release, Source: v.ReleaseSource})
	}
	f.Summary = fmt.Sprintf("%s (%s), which installs Cilium besides Flux, sets %s: the next bootstrap starts with it", file, vs[0].Copy, shorten(says, 3))
	return f
}

// decides: with these settings the flag has a say in a packet's way.
func (in *Input) decides(flag string) bool {
	s := in.Settings
	native := s.RoutingMode == "native"
	switch {
	case strings.HasPrefix(flag, "cluster-pool-"):
		return strings.HasPrefix(s.IPAM, "cluster-pool") || s.IPAM == ""
	case flag == "enable-ipv4" || flag == "enable-ipv6":
		return true
	case strings.Contains(flag, "ipv4") && !s.IPv4, strings.Contains(flag, "ipv6") && !s.IPv6:
		return false
	case strings.HasPrefix(flag, "tunnel-") && native, flag == "auto-direct-node-routes" && !native, flag == "direct-routing-skip-unreachable" && !native:
		return false
	}
	f, ok := cilium.FlagByName(flag)
	return ok && len(f.Affects) > 0
}
