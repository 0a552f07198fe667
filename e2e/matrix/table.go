package matrix

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/remediate-dev/remediate/internal/cidr"
)

// Nodes is how many nodes every bed has: node-1, node-2, node-3.
const Nodes = 3

// Bed is a cluster of three nodes with a network between them, on which configurations
// are tried one after the other.
type Bed struct {
	// Name is a word; Title says what the bed is for.
	Name, Title string
	// Segments of layer 2, which nodes are dealt to in turn; 0 is 1.
	Segments int
	// RouterHasPodRoutes: the router between the segments knows all pod CIDRs.
	RouterHasPodRoutes bool
	// MTU of the nodes' uplinks in bytes, 0 is 1500; PodMTU is that of the pods' devices
	// where it is another than the agents', kept from the bed's first configuration.
	MTU, PodMTU int
	// PathMTU is what the wire carries, 0 for as much as the uplinks. What is longer is
	// lost in silence, or, with TooBig, between segments and with the router's answer.
	PathMTU int
	TooBig  bool
	// MoreAddresses: node-2 has an ExternalIP (extern-2) and an address that Kubernetes
	// does not know (other-2), and node-3's object lists its IPv4 address only.
	MoreAddresses bool
	// RouteSource: the nodes' default routes name a source address.
	RouteSource bool
	// OneVersion: on other versions of Cilium there are the core stages only.
	OneVersion bool
	Stages     []Stage
}

// Stage is a bed in one state.
type Stage struct {
	// Name is unique in its bed.
	Name string
	// Configs name the configuration of all nodes, or of each in order.
	Configs []string
	// Policies that apply, by name.
	Policies []string
	// APIServer is a node that runs a kube-apiserver; empty for none.
	APIServer string
	// Core stages are in every run, others in full ones.
	Core bool
	// Flows in the notation of [ParseFlows].
	Flows []string
}

// Config of a node has the configuration's name; n counts from 0.
func (s *Stage) Config(n int) string { return s.Configs[min(n, len(s.Configs)-1)] }

// Flow is a first packet of a new connection, and its answer. Ends are named a1 (a
// pod, of the node with that number), node-1, router-1 (the node's cilium_host
// address), s1 (a ClusterIP whose backend is pod b1), near, wide, far, extern-2, other-2.
type Flow struct {
	From, To string
	// Family is cidr.IPv4 or cidr.IPv6; Protocol ICMP, TCP or UDP.
	Family, Protocol string
	// Port is 0 for the one that peers answer at.
	Port int
	// Size is the payload in bytes, sent with don't-fragment.
	Size int
}

func (f Flow) String() string {
	out := fmt.Sprintf("%s %s %s -> %s", f.Family, f.Protocol, f.From, f.To)
	if f.Port != 0 {
		out += " port " + strconv.Itoa(f.Port)
	}
	if f.Size != 0 {
		out += " size " + strconv.Itoa(f.Size)
	}
	return out
}

// ParseFlows reads flows in short form: "a1 -> a2: 46 IT" are ICMP and TCP (U is UDP)
// over both families. "port N" and "size N" may follow.
func ParseFlows(lines ...string) ([]Flow, error) {
	var out []Flow
	for _, line := range lines {
		flows, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("flow %q: %w", line, err)
		}
		out = append(out, flows...)
	}
	return out, nil
}

func parseLine(line string) (out []Flow, err error) {
	ends, rest, ok := strings.Cut(line, ": ")
	words := strings.Fields(rest)
	f := Flow{}
	var arrow bool
	f.From, f.To, arrow = strings.Cut(ends, " -> ")
	if !ok || !arrow || len(words) < 2 || len(words)%2 != 0 {
		return nil, fmt.Errorf("want it like %q", "a1 -> a2: 46 ITU size 100")
	}
	for i := 2; i < len(words); i += 2 {
		number, err := strconv.Atoi(words[i+1])
		switch {
		case err != nil:
			return nil, err
		case words[i] == "port":
			f.Port = number
		case words[i] == "size":
			f.Size = number
		default:
			return nil, fmt.Errorf("%q is neither port nor size", words[i])
		}
	}
	for _, family := range words[0] {
		for _, protocol := range words[1] {
			f.Family = map[rune]string{'4': cidr.IPv4, '6': cidr.IPv6}[family]
			f.Protocol = map[rune]string{'I': "ICMP", 'T': "TCP", 'U': "UDP"}[protocol]
			if f.Family == "" || f.Protocol == "" {
				return nil, fmt.Errorf("family %q or protocol %q is not known", family, protocol)
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// fromEach repeats flows for each node as the sender's: "@" is its number, "#" that of
// the next node.
func fromEach(lines ...string) (out []string) {
	for n := range Nodes {
		r := strings.NewReplacer("@", strconv.Itoa(n+1), "#", strconv.Itoa((n+1)%Nodes+1))
		for _, line := range lines {
			out = append(out, r.Replace(line))
		}
	}
	return out
}
