//go:build linux

package lab

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/cidr"
)

// TestRestartOfOneAgent: the cure is per sending node, and for new connections only.
func TestRestartOfOneAgent(t *testing.T) {
	t.Parallel()
	cfg := Incident()
	l := New(t, Spec{Nodes: 2, Daemons: daemons(), Config: &cfg})
	for _, p := range l.Pods() {
		reflect(t, p.Space, "9971")
	}
	check := func(when string, from, to int, want bool) {
		t.Helper()
		wait := soon
		if want {
			wait = late
		}
		a, b := l.Nodes[from-1].Pods()[0], l.Nodes[to-1].Pods()[1]
		if _, err := seen(a.Space, "tcp", b.IP(cidr.IPv6), reflector, wait); (err == nil) != want {
			t.Errorf("%s: node %d to the guarded pod of node %d: %v", when, from, to, err)
		}
	}
	check("the incident", 1, 2, false)
	check("the incident", 2, 1, false)
	if err := l.Nodes[0].Apply(Healthy()); err != nil {
		t.Fatal(err)
	}
	check("after the sender's restart", 1, 2, true)
	check("after the sender's restart", 2, 1, false)
	if err := l.Nodes[1].Apply(Healthy()); err != nil {
		t.Fatal(err)
	}
	check("after both restarts", 1, 2, true)
	check("after both restarts", 2, 1, true)
}

// TestOldConnectionsStayMasqueraded: conntrack keeps what the old rules decided.
func TestOldConnectionsStayMasqueraded(t *testing.T) {
	t.Parallel()
	cfg := Incident()
	l, a, b := pair(t, Spec{Config: &cfg})
	c, err := a.DialContext(t.Context(), "udp", netip.AddrPortFrom(b.IP(cidr.IPv6), reflector).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func() string {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(late))
		buf := make([]byte, 100)
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	before := ask()
	if !strings.HasPrefix(before, "["+l.Nodes[0].IP(cidr.IPv6).String()) {
		t.Errorf("seen %s, want the node", before)
	}
	if err := l.Apply(Healthy()); err != nil {
		t.Fatal(err)
	}
	if after := ask(); after != before {
		t.Errorf("the old connection is seen as %s, before as %s", after, before)
	}
	if got, err := seen(a.Space, "udp", b.IP(cidr.IPv6), reflector, late); err != nil || got != a.IP(cidr.IPv6) {
		t.Errorf("a new connection is seen as %v, %v", got, err)
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	for _, tc := range []struct {
		name   string
		config cilium.Config
		want   string
	}{
		{"what the agent refuses", Healthy("enable-bpf-masquerade", "true", "enable-ipv4-masquerade", "false", "enable-ipv6-masquerade", "false"), "does not start: V6"},
		{"a tunnel", Healthy("routing-mode", "tunnel", "auto-direct-node-routes", "false", "direct-routing-skip-unreachable", "false"), "no tunnels"},
		{"encryption", Healthy("enable-wireguard", "true"), "no encryption"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := l.Nodes[0].Apply(tc.config); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q in it", err, tc.want)
			}
			if got := l.Nodes[0].Config().Values["routing-mode"]; got != "native" {
				t.Errorf("the configuration is changed: %s", got)
			}
		})
	}
	if got, err := seen(a.Space, "tcp", b.IP(cidr.IPv6), reflector, late); err != nil || got != a.IP(cidr.IPv6) {
		t.Errorf("after refusals: seen %v, %v", got, err)
	}
}

// TestRoutesOfApply: a configuration without direct routes takes them away, and
// the next brings them back.
func TestRoutesOfApply(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{})
	reaches := func(wait time.Duration) bool {
		_, err := seen(a.Space, "tcp", b.IP(cidr.IPv6), reflector, wait)
		return err == nil
	}
	if err := l.Apply(Healthy("auto-direct-node-routes", "false", "direct-routing-skip-unreachable", "false")); err != nil {
		t.Fatal(err)
	}
	if reaches(soon) {
		t.Error("reached without routes")
	}
	if err := l.Apply(Healthy()); err != nil {
		t.Fatal(err)
	}
	if !reaches(late) {
		t.Error("not reached with routes")
	}
}

func TestOneFamily(t *testing.T) {
	t.Parallel()
	l, a, b := pair(t, Spec{IPv6: true})
	if got := len(a.IPs()); got != 1 || a.IP(cidr.IPv4).IsValid() {
		t.Errorf("%d addresses, IPv4 %v", got, a.IP(cidr.IPv4))
	}
	if _, err := seen(a.Space, "tcp", b.IP(cidr.IPv6), reflector, late); err != nil {
		t.Error(err)
	}
	if got := len(l.Nodes[0].IPs()); got != 1 {
		t.Errorf("%d node addresses", got)
	}
}
