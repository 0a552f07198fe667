package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"regexp"
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
	// Hint is true when only a variable's name says what the value is; Variable is
	// that name.
	Hint     bool
	Variable string
}

// stateHints are byte patterns without which a file states nothing.
var stateHints = [][]byte{
	[]byte("podSubnet"), []byte("serviceSubnet"), []byte("validSubnets"), []byte("clusterPodNets"), []byte("clusterSvcNets"),
	[]byte("cluster-cidr"), []byte("service-cidr"), []byte("clusterNetwork"), []byte("node-cidr-mask-size"), []byte("CIDR"), []byte("cidr"), []byte("SUBNET"), []byte("subnet"), []byte("Subnet"),
}

// Stated reads the network facts that the files under root state: Talos
// machine configuration (cluster.network, machine.kubelet.nodeIP, and the newer
// KubeNetworkConfig), also in plain sight in templates of it, talhelper's
// talconfig.yaml, kubeadm's ClusterConfiguration, k3s and RKE2 config.yaml,
// Cluster API's Cluster, and, as hints, variables whose name says that they are
// the range of pods, services or nodes; see [Release.Bearing]. The order is that of the files. Files that cannot be parsed
// state nothing; archives are passed over. The files stand in front of the
// working tree as [Options.Files] do.
func Stated(root string, files map[string][]byte) ([]StatedFact, error) {
	t, err := openOverlaid(root, 0, files)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(t.yamls, t.others)
	slices.Sort(names)
	perFile := make([][]StatedFact, len(names))
	var wg sync.WaitGroup
	workers := max(2, runtime.GOMAXPROCS(0))
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < len(names); i += workers {
				if isMachineTemplate(names[i]) {
					perFile[i] = t.statedByTemplate(names[i])
				} else if isYAMLName(names[i]) {
					perFile[i] = t.stated(names[i])
				}
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

const talosConfig = "Talos machine config"

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
		if isPlaceholder(d.id.name) {
			return nil
		}
		return d.read(clusterAPI, []statement{
			{[]string{"spec", "clusterNetwork", "pods", "cidrBlocks"}, PodPool}, {[]string{"spec", "clusterNetwork", "services", "cidrBlocks"}, ServiceCIDR},
		})
	case d.id.kind == "KubeNetworkConfig" && d.id.apiVersion == "v1alpha1":
		return d.read(talosConfig, []statement{{[]string{"podSubnets"}, PodPool}, {[]string{"serviceSubnets"}, ServiceCIDR}})
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
	return append(d.read(talosConfig, []statement{
		{[]string{"cluster", "network", "podSubnets"}, PodPool},
		{[]string{"cluster", "network", "serviceSubnets"}, ServiceCIDR},
		{[]string{"machine", "kubelet", "nodeIP", "validSubnets"}, NodeCIDR},
	}), d.masks(talosConfig, "cluster", "controllerManager", "extraArgs")...)
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
			for _, f := range d.prefixes(m.Content[i+1], kind, "variable "+m.Content[i].Value, true) {
				f.Variable = m.Content[i].Value
				facts = append(facts, f)
			}
		}
	}
	return facts
}

var (
	words = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+|[0-9]+`)
	// otherNetworks are words of ranges that hold no pods, services or nodes.
	otherNetworks = regexp.MustCompile(`^(?:CEPH|ROOK|LONGHORN|STORAGE|NFS|ISCSI|NAS|SAN|LB|LOADBALANCER|BALANCER|LBIPAM|METALLB|BGP|VIP|VIPS|L2|INGRESS|GATEWAY|EXTERNAL|PUBLIC|` +
		`EGRESS|MULTUS|MACVLAN|VLAN|IOT|VPN|WIREGUARD|WG|TAILSCALE|TAILNET|HOME|LAN|MGMT|MANAGEMENT|GUEST|DMZ|BACKUP|MIGRATION|REPLICATION|OLD|EXAMPLE)$`)
	rangeWords   = []string{"CIDR", "CIDRS", "SUBNET", "SUBNETS"}
	podWords     = []string{"POD", "PODS"}
	serviceWords = []string{"SERVICE", "SERVICES", "SVC", "SVCS"}
	nodeWords    = []string{"NODE", "NODES"}
	// bareWords may stand beside CLUSTER in the name of the pods' range, which
	// kube-controller-manager calls cluster-cidr.
	bareWords = []string{"CLUSTER", "K", "8", "S", "KUBE", "KUBERNETES", "CILIUM", "IPV", "IP", "V", "4", "6", "CIDR", "CIDRS"}
)

// kindOfName is what a name such as CLUSTER_POD_CIDR_V6 or podSubnet says; ""
// when it names another network, or nothing clearly.
func kindOfName(name string) StatedKind {
	var ws []string
	for _, w := range words.FindAllString(name, -1) {
		ws = append(ws, strings.ToUpper(w))
	}
	one := func(of []string) bool {
		return slices.ContainsFunc(ws, func(w string) bool { return slices.Contains(of, w) })
	}
	if !one(rangeWords) || slices.ContainsFunc(ws, otherNetworks.MatchString) {
		return ""
	}
	pods, services, nodes := one(podWords), one(serviceWords), one(nodeWords)
	switch {
	case pods && !services && !nodes:
		return PodPool
	case services && !pods && !nodes:
		return ServiceCIDR
	case nodes && !pods && !services:
		return NodeCIDR
	case slices.Contains(ws, "CLUSTER") && !one([]string{"SUBNET", "SUBNETS"}) && !slices.ContainsFunc(ws, func(w string) bool { return !slices.Contains(bareWords, w) }):
		return PodPool
	}
	return ""
}

func isPlaceholder(name string) bool { return strings.ContainsAny(name, "${}<>") }

// Bearing says how much a stated fact has to do with a release.
type Bearing int

const (
	// BearingNone: it is about something else, or about an unknown cluster.
	BearingNone Bearing = iota
	// BearingNear: a variable of that name is set for the release, and the release
	// does not read it.
	BearingNear
	// BearingRead: the release's values read the variable.
	BearingRead
	// BearingCluster: a file that configures a cluster's machines says so.
	BearingCluster
)

// Bearing says how much a fact that the repository's files state has to do with
// the release. A variable counts where the Kustomization that applies the release
// substitutes it, from this very place; a Cluster of Cluster API where Flux
// applies it; a machine's configuration unless its folder is named as another
// release's cluster.
func (r *Release) Bearing(f StatedFact) Bearing {
	file, _, _ := strings.Cut(f.Source, ":")
	if !f.Hint && r.ofAnotherCluster(file) {
		return BearingNone
	}
	r.at.mu.Lock()
	defer r.at.mu.Unlock()
	switch {
	case f.Hint:
		return r.bearingOf(f)
	case f.From == clusterAPI && !slices.ContainsFunc(r.at.all, func(k *flux) bool { return k.live && r.reads(k, file) }):
		return BearingNone
	}
	return BearingCluster
}

// ofAnotherCluster: a folder of the file has the name that tells another
// release's cluster from this one's, as talos/b does beside clusters/a and
// clusters/b.
func (r *Release) ofAnotherCluster(file string) bool {
	named := strings.Split(path.Dir(file), "/")
	own := strings.Split(r.ClusterPath(), "/")
	for _, p := range r.at.peers {
		other := strings.Split(p.ClusterPath(), "/")
		if distinguished(named, other, own) && !distinguished(named, own, other) {
			return true
		}
	}
	return false
}

// distinguished: a segment is one of a and none of b.
func distinguished(segments, a, b []string) bool {
	return slices.ContainsFunc(segments, func(s string) bool { return slices.Contains(a, s) && !slices.Contains(b, s) })
}

func (r *Release) bearingOf(f StatedFact) Bearing {
	bearing := BearingNone
	sets := []*variables{r.at.vars}
	for _, p := range r.at.parts {
		sets = append(sets, p.vars)
	}
	for _, vs := range sets {
		if vs == nil {
			continue
		}
		v, ok := vs.byName[f.Variable]
		if ok && v.at.String() == f.Source {
			bearing = BearingNear
		}
	}
	if bearing == BearingNone {
		return BearingNone
	}
	use := regexp.MustCompile(`\$\{` + regexp.QuoteMeta(f.Variable) + `[:}]`)
	uses := slices.ContainsFunc(r.at.parts, func(p part) bool { return use.MatchString(p.raw) })
	if b, err := json.Marshal(r.at.release.object); uses || err == nil && use.Match(b) {
		return BearingRead
	}
	return bearing
}

const clusterAPI = "Cluster API"

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
