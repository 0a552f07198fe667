//go:build linux

package lab

import (
	"slices"
	"strconv"
	"testing"

	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

func TestMembership(t *testing.T) {
	t.Parallel()
	l := New(t, Spec{Nodes: 2, Daemons: Probes()})
	l.Nodes[0].AddPod(PodSpec{Namespace: "other", Name: "other"})
	d := l.StartDNS(l.Nodes[0])
	svc := l.AddService(Service{Namespace: "remediate-probe", Name: "remediate-probe", Ports: []ServicePort{{Protocol: "TCP", Port: 9971}}})
	m := l.Membership(d, svc)
	if m.Version != 1 || len(m.Members) != 2 || !slices.Equal(m.Services, svc.ClusterIPs) || !slices.Equal(m.DNS.Pods, d.Pod.IPs()) || !slices.Equal(m.DNS.Services, d.Service.ClusterIPs) {
		t.Errorf("membership %+v", m)
	}
	for i, member := range m.Members {
		n := l.Nodes[i]
		open, guarded := n.Pods()[0], n.Pods()[1]
		if member.Node != n.Name || !slices.Equal(member.NodeIPs, n.IPs()) || member.Host != nil {
			t.Errorf("member %+v", member)
		}
		if member.Open.Pod != open.Name || !slices.Equal(member.Open.IPs, open.IPs()) || member.Guarded.Pod != guarded.Name || !guarded.Guarded {
			t.Errorf("targets %+v and %+v", member.Open, member.Guarded)
		}
	}
	if m := l.Membership(nil); len(m.DNS.Services) != 0 || m.DNS.Name != "" {
		t.Errorf("DNS without a server: %+v", m.DNS)
	}
	// A guarded target admits the prober beside it and nobody of another namespace.
	guarded := l.Pod("remediate-probe", "remediate-probe-guarded-2")
	reflect(t, guarded.Space, "9971")
	if _, err := seen(l.Pod("remediate-probe", "remediate-probe-1").Space, "tcp", guarded.IP(cidr.IPv6), reflector, late); err != nil {
		t.Error(err)
	}
	if _, err := seen(l.Pod("other", "other").Space, "tcp", guarded.IP(cidr.IPv6), reflector, soon); err == nil {
		t.Error("another namespace is admitted")
	}
	everybodyAtOpenPorts(t, l, guarded)
}

// everybodyAtOpenPorts: what a policy opens to everybody is open to another namespace
// and to a node, in the kernel and in the model.
func everybodyAtOpenPorts(t *testing.T, l *Lab, guarded *Pod) {
	t.Helper()
	model, err := l.Model()
	if err != nil {
		t.Fatal(err)
	}
	other := l.Pod("other", "other")
	reflect(t, guarded.Space, strconv.Itoa(mesh.BackendPort))
	for _, family := range families() {
		if _, err := seen(other.Space, "tcp", guarded.IP(family), mesh.BackendPort, late); err != nil {
			t.Errorf("%s: another namespace at an open port: %v", family, err)
		}
		if _, err := seen(l.Nodes[0].Space, "tcp", guarded.IP(family), mesh.BackendPort, late); err != nil {
			t.Errorf("%s: a node at an open port: %v", family, err)
		}
		for port, want := range map[int]snapshot.Tri{mesh.BackendPort: snapshot.Yes, reflector: snapshot.No} {
			f := datapath.Flow{From: other.End(other.IP(family)), To: guarded.End(guarded.IP(family)), Family: family, Protocol: mesh.TCP, Port: port}
			if r := model.Trace(f); r.Delivered != want {
				t.Errorf("%s: the model says %s of port %d, want %s: %s", family, r.Delivered, port, want, r.Reason)
			}
		}
	}
}
