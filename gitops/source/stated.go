package source

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// StatedKind says what a stated fact is about.
type StatedKind string

const (
	// PodPool is the range that nodes' pod CIDRs are cut from.
	PodPool StatedKind = "podPool"
	// ServiceCIDR is a range of ClusterIPs.
	ServiceCIDR StatedKind = "serviceCIDR"
	// NodeCIDR is a range of node addresses.
	NodeCIDR StatedKind = "nodeCIDR"
	// NodeMaskIPv4 and NodeMaskIPv6 are the prefix lengths of a node's pod CIDR.
	NodeMaskIPv4 StatedKind = "nodeMaskIPv4"
	NodeMaskIPv6 StatedKind = "nodeMaskIPv6"
)

// StatedFact is a fact about the network that a file of the repository states.
type StatedFact struct {
	Kind StatedKind
	// Value is a prefix such as "fd00::/48", or a prefix length such as "64".
	Value string
	// Source is file:line.
	Source string
	// From names the kind of file: "Talos machine config", "kubeadm", ….
	From string
	// Hint is true when only a variable's name says what the value is.
	Hint bool
}

// stateHints are byte patterns without which a file states nothing.
var stateHints = [][]byte{
	[]byte("podSubnet"), []byte("serviceSubnet"), []byte("validSubnets"), []byte("clusterPodNets"), []byte("clusterSvcNets"),
	[]byte("cluster-cidr"), []byte("service-cidr"), []byte("clusterNetwork"), []byte("node-cidr-mask-size"), []byte("CIDR"), []byte("cidr"), []byte("SUBNET"), []byte("subnet"),
}

// Stated reads the network facts that the files under root state: Talos
// machine configuration (cluster.network, machine.kubelet.nodeIP), talhelper's
// talconfig.yaml, kubeadm's ClusterConfiguration, k3s and RKE2 config.yaml,
// Cluster API's Cluster, and, as hints, variables whose name holds POD and CIDR
// or the like. The order is that of the files. Files that cannot be parsed
// state nothing; archives are passed over. The files stand in front of the
// working tree as [Options.Files] do.
func Stated(root string, files map[string][]byte) ([]StatedFact, error) {
	t, err := openOverlaid(root, 0, files)
	if err != nil {
		return nil, err
	}
	perFile := make([][]StatedFact, len(t.yamls))
	var wg sync.WaitGroup
	workers := max(2, runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < len(t.yamls); i += workers {
				perFile[i] = t.stated(t.yamls[i])
			}
		}()
	}
	wg.Wait()
	return slices.Concat(perFile...), nil
}

func (t *tree) stated(file string) []StatedFact {
	if isArchive(file) {
		return nil
	}
	src, err := t.read(file)
	if err != nil || !slices.ContainsFunc(stateHints, func(h []byte) bool { return bytes.Contains(src, h) }) {
		return nil
	}
	docs, err := parse(file, src)
	if err != nil {
		return nil
	}
	var facts []StatedFact
	for _, d := range docs {
		if isEncrypted(d.node) {
			continue
		}
		facts = append(facts, statedIn(d)...)
	}
	return facts
}

// statement maps a path of some file format to a kind of fact.
type statement struct {
	path []string
	kind StatedKind
}

func statedIn(d document) []StatedFact {
	switch {
	case d.id.kind == "ClusterConfiguration":
		return append(d.read("kubeadm", []statement{
			{[]string{"networking", "podSubnet"}, PodPool}, {[]string{"networking", "serviceSubnet"}, ServiceCIDR},
		}), d.masks("kubeadm", "controllerManager", "extraArgs")...)
	case d.id.kind == "Cluster" && strings.HasPrefix(d.id.apiVersion, "cluster.x-k8s.io/"):
		return d.read("Cluster API", []statement{
			{[]string{"spec", "clusterNetwork", "pods", "cidrBlocks"}, PodPool}, {[]string{"spec", "clusterNetwork", "services", "cidrBlocks"}, ServiceCIDR},
		})
	case d.id.kind == "ConfigMap":
		return d.hints("data")
	case d.id.kind == "Kustomization":
		return d.hints("spec", "postBuild", "substitute")
	case d.id.kind != "":
		return nil
	case child(d.node, "clusterPodNets") != nil || child(d.node, "clusterSvcNets") != nil:
		return d.read("talhelper", []statement{{[]string{"clusterPodNets"}, PodPool}, {[]string{"clusterSvcNets"}, ServiceCIDR}})
	case child(d.node, "cluster-cidr") != nil || child(d.node, "service-cidr") != nil:
		return append(d.read("k3s/RKE2", []statement{{[]string{"cluster-cidr"}, PodPool}, {[]string{"service-cidr"}, ServiceCIDR}}),
			d.masks("k3s/RKE2", "kube-controller-manager-arg")...)
	}
	return append(d.read("Talos machine config", []statement{
		{[]string{"cluster", "network", "podSubnets"}, PodPool},
		{[]string{"cluster", "network", "serviceSubnets"}, ServiceCIDR},
		{[]string{"machine", "kubelet", "nodeIP", "validSubnets"}, NodeCIDR},
	}), d.masks("Talos machine config", "cluster", "controllerManager", "extraArgs")...)
}

// read collects the prefixes at the given paths: lists, or strings with commas.
// Values that are not prefixes (templates, negations such as "!10.0.0.1") are
// passed over.
func (d document) read(from string, statements []statement) []StatedFact {
	var facts []StatedFact
	for _, s := range statements {
		n := target(lookup(d.node, s.path...))
		if n == nil {
			continue
		}
		scalars := n.Content
		if n.Kind == yaml.ScalarNode {
			scalars = []*yaml.Node{n}
		}
		for _, v := range scalars {
			facts = append(facts, d.prefixes(v, s.kind, from, false)...)
		}
	}
	return facts
}

func (d document) prefixes(n *yaml.Node, kind StatedKind, from string, hint bool) []StatedFact {
	var facts []StatedFact
	for _, s := range strings.Split(text(n), ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			continue
		}
		facts = append(facts, StatedFact{Kind: kind, Value: p.Masked().String(), Source: fmt.Sprintf("%s:%d", d.file, n.Line), From: from, Hint: hint})
	}
	return facts
}

// masks reads node-cidr-mask-size of kube-controller-manager's arguments: a
// map, a list of name and value, or a list of KEY=VALUE.
func (d document) masks(from string, path ...string) []StatedFact {
	args := target(lookup(d.node, path...))
	if args == nil {
		return nil
	}
	var facts []StatedFact
	add := func(name string, n *yaml.Node, value string) {
		kind, ok := map[string]StatedKind{"node-cidr-mask-size": NodeMaskIPv4, "node-cidr-mask-size-ipv4": NodeMaskIPv4, "node-cidr-mask-size-ipv6": NodeMaskIPv6}[name]
		if _, err := strconv.ParseUint(value, 10, 8); ok && err == nil {
			facts = append(facts, StatedFact{Kind: kind, Value: value, Source: fmt.Sprintf("%s:%d", d.file, n.Line), From: from})
		}
	}
	if args.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(args.Content); i += 2 {
			add(args.Content[i].Value, args.Content[i], text(args.Content[i+1]))
		}
		return facts
	}
	for _, n := range items(args) {
		if n.Kind == yaml.MappingNode {
			add(text(child(n, "name")), n, text(child(n, "value")))
			continue
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(text(n), "--"), "=")
		add(name, n, value)
	}
	return facts
}

// hints reads variables whose names say that they are ranges.
func (d document) hints(path ...string) []StatedFact {
	m := target(lookup(d.node, path...))
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	var facts []StatedFact
	for i := 0; i+1 < len(m.Content); i += 2 {
		if kind := kindOfName(m.Content[i].Value); kind != "" {
			facts = append(facts, d.prefixes(m.Content[i+1], kind, "variable "+m.Content[i].Value, true)...)
		}
	}
	return facts
}

func kindOfName(name string) StatedKind {
	u := strings.ToUpper(name)
	if !strings.Contains(u, "CIDR") && !strings.Contains(u, "SUBNET") {
		return ""
	}
	switch {
	case strings.Contains(u, "POD") || strings.Contains(u, "CLUSTER_CIDR"):
		return PodPool
	case strings.Contains(u, "SERVICE") || strings.Contains(u, "SVC"):
		return ServiceCIDR
	case strings.Contains(u, "NODE"):
		return NodeCIDR
	}
	return ""
}

// Stated reads what the release's own values say about the pod ranges: the
// cluster pools of the operator, which apply when ipam.mode is cluster-pool,
// the chart's default.
func (r *Release) Stated() []StatedFact {
	if mode := stringAt(r.Values, "ipam", "mode"); mode != "" && mode != "cluster-pool" {
		return nil
	}
	var facts []StatedFact
	for _, s := range []struct {
		key  string
		kind StatedKind
	}{
		{"clusterPoolIPv4PodCIDRList", PodPool}, {"clusterPoolIPv6PodCIDRList", PodPool},
		{"clusterPoolIPv4MaskSize", NodeMaskIPv4}, {"clusterPoolIPv6MaskSize", NodeMaskIPv6},
	} {
		w := r.Where("ipam.operator." + s.key)
		if !w.Found || w.Secret {
			continue
		}
		for _, v := range listOf(w.Value) {
			facts = append(facts, StatedFact{Kind: s.kind, Value: v, Source: fmt.Sprintf("%s:%d", w.File, w.Line), From: "Helm values"})
		}
	}
	return facts
}

// listOf reads a list, or a string with commas or blanks, as the chart does.
func listOf(v any) []string {
	switch t := v.(type) {
	case []any:
		var out []string
		for _, e := range t {
			out = append(out, listOf(e)...)
		}
		return out
	case nil:
		return nil
	}
	return strings.FieldsFunc(fmt.Sprint(v), func(r rune) bool { return r == ',' || r == ' ' })
}
