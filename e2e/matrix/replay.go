package matrix

import (
	"fmt"
	"net/netip"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Row is a flow of a stage of a bed.
type Row struct {
	Bed, Stage, Flow string
	// Seen is what real agents did, and Predicted what the model says now.
	Seen, Predicted Outcome
}

// Name of the row, unique in the matrix.
func (r Row) Name() string { return r.Bed + ", " + r.Stage + ": " + r.Flow }

// Predict asks the model about all flows of a bed, with pods and addresses like those
// of the real one; render makes the agents' configuration of Helm values.
func (b *Bed) Predict(render func(values ...string) agent.Config) ([]Row, error) {
	var out []Row
	for i := range b.Stages {
		rows, err := b.predict(&b.Stages[i], render)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", b.Name, b.Stages[i].Name, err)
		}
		out = append(out, rows...)
	}
	return out, nil
}

func (b *Bed) predict(st *Stage, render func(values ...string) agent.Config) ([]Row, error) {
	s, err := b.snapshot(st)
	if err != nil {
		return nil, err
	}
	configs := map[string]agent.Config{}
	for n := range Nodes {
		c, err := ConfigOf(st.Config(n))
		if err != nil {
			return nil, err
		}
		configs[nodeName(n)] = render(Base, c.Values)
	}
	m, err := b.Model(st, s, configs)
	if err != nil {
		return nil, err
	}
	flows, err := ParseFlows(st.Flows...)
	if err != nil {
		return nil, err
	}
	var out []Row
	for _, f := range flows {
		traced, err := Traced(s, f)
		if err != nil {
			return nil, err
		}
		out = append(out, Row{Bed: b.Name, Stage: st.Name, Flow: f.String(), Predicted: Predicted(m.Trace(traced))})
	}
	return out, nil
}

func nodeName(n int) string { return fmt.Sprintf("node-%d", n+1) }

// snapshot has the addresses that internal/testbed/lab gives to nodes, and some of
// those that pods and services may get.
func (b *Bed) snapshot(st *Stage) (*snapshot.Snapshot, error) {
	s := &snapshot.Snapshot{Origin: "the matrix", ReadKinds: map[string]bool{"NetworkPolicy": true, "Pod": true, "Node": true, "Service": true}}
	for _, ns := range []string{"default", "team-a", "team-b"} {
		s.Namespaces = append(s.Namespaces, snapshot.Namespace{Name: ns, Labels: map[string]string{"kubernetes.io/metadata.name": ns}})
	}
	for n := range Nodes {
		s.Nodes = append(s.Nodes, b.node(n))
	}
	for i, p := range Pods() {
		pod := snapshot.Pod{
			Namespace: p.Namespace, Name: p.Name, Node: nodeName(p.Node), Labels: p.Labels, Identity: int64(1000 + i),
			IPs: []netip.Addr{v4(101, 224, byte((p.Node+1)*32+10+i)), v6(0x224, byte(p.Node+1), byte(i+16))},
		}
		s.Pods = append(s.Pods, pod)
		if number, ok := strings.CutPrefix(p.Name, "b"); ok {
			s.Services = append(s.Services, snapshot.Service{
				Namespace: p.Namespace, Name: "s" + number, Endpoints: pod.IPs,
				ClusterIPs: []netip.Addr{v4(96, 0, byte(20+i)), v6(0x96, 0, byte(20+i))},
			})
		}
	}
	for _, name := range st.Policies {
		p, err := PolicyOf(name)
		if err != nil {
			return nil, err
		}
		read, err := p.snapshot()
		if err != nil {
			return nil, fmt.Errorf("policy %q: %w", name, err)
		}
		s.Policies = append(s.Policies, read)
	}
	return s, nil
}

func (b *Bed) node(n int) snapshot.Node {
	number := byte(n + 1)
	return snapshot.Node{
		Name: nodeName(n), Ready: snapshot.Yes,
		InternalIPs:       nodeAddrs(n, byte(n%max(1, b.Segments))),
		CiliumInternalIPs: []netip.Addr{v4(101, 224, number*32+4), v6(0x224, number, 4)},
		PodCIDRs:          []netip.Prefix{netip.PrefixFrom(v4(101, 224, number*32), 27), netip.PrefixFrom(v6(0x224, number, 0), 64)},
	}
}

func nodeAddrs(n int, segment byte) []netip.Addr {
	return []netip.Addr{v4(101, segment, byte(n+10)), v6(0, segment, byte(n+0x10))}
}

func v4(b, c, d byte) netip.Addr { return netip.AddrFrom4([4]byte{10, b, c, d}) }

func v6(second int, third, last byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x01, 3: 0x01, 4: byte(second >> 8), 5: byte(second), 7: third, 15: last})
}

// snapshot is the policy as the model reads it.
func (p Policy) snapshot() (snapshot.Policy, error) {
	var head struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Spec     map[string]any
	}
	if err := yaml.Unmarshal([]byte(p.YAML), &head); err != nil {
		return snapshot.Policy{}, err
	}
	out := snapshot.Policy{Kind: head.Kind, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}
	out.Source = strings.Join([]string{out.Kind, out.Namespace + "/" + out.Name}, " ")
	if out.Kind != "NetworkPolicy" {
		out.Cilium = []map[string]any{head.Spec}
		return out, nil
	}
	var np networkingv1.NetworkPolicy
	if err := yaml.Unmarshal([]byte(p.YAML), &np); err != nil {
		return snapshot.Policy{}, err
	}
	out.Kubernetes = &np.Spec
	return out, nil
}
