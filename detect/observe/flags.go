package observe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// The flags that state ranges (kube-controller-manager and kube-apiserver
// reference, kubernetes.io).
const (
	flagClusterCIDR  = "--cluster-cidr"
	flagServiceRange = "--service-cluster-ip-range"
	flagMaskSize     = "--node-cidr-mask-size"
	flagMaskSize4    = "--node-cidr-mask-size-ipv4"
	flagMaskSize6    = "--node-cidr-mask-size-ipv6"
)

func isRangeFlag(component, flag string) bool {
	if component == "kube-apiserver" {
		return flag == flagServiceRange
	}
	return component == "kube-controller-manager" &&
		slices.Contains([]string{flagClusterCIDR, flagServiceRange, flagMaskSize, flagMaskSize4, flagMaskSize6}, flag)
}

// rangeFlags keeps of a control-plane component's containers the flags that
// state ranges, and of every other container nothing.
func rangeFlags(component string, containers []container) []container {
	if component == "" {
		return nil
	}
	var out []container
	for _, c := range containers {
		var kept []string
		for _, f := range flagsOf(slices.Concat(c.Command, c.Args)) {
			if isRangeFlag(component, f.name) {
				kept = append(kept, f.name+"="+f.value)
			}
		}
		if len(kept) > 0 {
			out = append(out, container{Name: component, Command: append([]string{component}, kept...)})
		}
	}
	return out
}

type flagValue struct{ name, value string }

// flagsOf reads "--name=value" and "--name value" from a command line.
func flagsOf(words []string) []flagValue {
	var out []flagValue
	for i, w := range words {
		if !strings.HasPrefix(w, "--") {
			continue
		}
		name, value, joined := strings.Cut(w, "=")
		if !joined && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			value = words[i+1]
		}
		out = append(out, flagValue{name, value})
	}
	return out
}

// flagFacts collects what the control-plane pods' flags say. Pods that agree
// are one source; where they differ each is named.
type flagFacts struct {
	values map[flagValue][]string // component and flag, value → pods
}

func (b *builder) readFlags() {
	facts := flagFacts{values: map[flagValue][]string{}}
	for _, key := range sortedKeys(b.components) {
		pod := b.components[key]
		for _, c := range pod.Spec.Containers {
			for _, f := range flagsOf(c.Command) {
				k := flagValue{pod.component() + " " + f.name, f.value}
				facts.values[k] = append(facts.values[k], key)
			}
		}
	}
	for _, f := range facts.sorted() {
		source := facts.source(f)
		_, flag, _ := strings.Cut(f.name, " ")
		switch flag {
		case flagClusterCIDR:
			b.addPools(f.value, source, snapshot.IPAMKubernetes)
		case flagServiceRange:
			b.addServiceCIDRs(f.value, source)
		case flagMaskSize4:
			b.addMaskSize(cidr.IPv4, f.value, source)
		case flagMaskSize6:
			b.addMaskSize(cidr.IPv6, f.value, source)
		}
	}
	b.addCommonMaskSize(facts)
}

// addCommonMaskSize reads --node-cidr-mask-size, which single-stack clusters
// use: it holds for the family of the one cluster CIDR.
func (b *builder) addCommonMaskSize(facts flagFacts) {
	families := map[string]bool{}
	for _, p := range b.snap.PodPools {
		families[cidr.Family(p.Prefix.Addr())] = true
	}
	if len(families) != 1 {
		return
	}
	for _, f := range facts.sorted() {
		if strings.HasSuffix(f.name, " "+flagMaskSize) {
			b.addMaskSize(sortedKeys(families)[0], f.value, facts.source(f))
		}
	}
}

func (f flagFacts) sorted() []flagValue {
	out := make([]flagValue, 0, len(f.values))
	for k := range f.values {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b flagValue) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	return out
}

func (f flagFacts) source(v flagValue) string {
	for other := range f.values {
		if other.name == v.name && other.value != v.value {
			return fmt.Sprintf("%s (Pod %s)", v.name, f.values[v][0])
		}
	}
	return v.name
}

func (b *builder) addMaskSize(family, value, source string) {
	bits := 32
	if family == cidr.IPv6 {
		bits = 128
	}
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 || n > bits || b.snap.NodeMaskSize[family].Known {
		return
	}
	b.snap.NodeMaskSize[family] = snapshot.Known(n, source)
}

func (b *builder) addPools(list, source, ipam string) {
	for _, p := range prefixesOf(splitList(list)) {
		b.snap.PodPools = addCIDR(b.snap.PodPools, snapshot.CIDR{Prefix: p, Source: source, IPAM: ipam})
	}
}

func (b *builder) addServiceCIDRs(list, source string) {
	for _, p := range prefixesOf(splitList(list)) {
		b.snap.ServiceCIDRs = addCIDR(b.snap.ServiceCIDRs, snapshot.CIDR{Prefix: p, Source: source})
	}
}

// addCIDR adds a range unless it is known; the first source stays.
func addCIDR(cs []snapshot.CIDR, c snapshot.CIDR) []snapshot.CIDR {
	for _, have := range cs {
		if have.Prefix == c.Prefix && (have.IPAM == c.IPAM || have.IPAM == "") {
			return cs
		}
	}
	return append(cs, c)
}

// splitList splits at commas and white space, as the flags and cilium-config
// write lists.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' })
}
