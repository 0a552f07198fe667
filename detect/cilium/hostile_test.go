package cilium

import (
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// every message of a configuration's answers.
func messages(cfg Config) []string {
	s := CheckStart(cfg)
	out := append([]string(nil), s.Unknown...)
	for _, r := range append(s.Refusals, s.Datapath...) {
		out = append(out, r.Message)
	}
	_, notices := Effective(cfg)
	for _, n := range notices {
		out = append(out, n.Message)
	}
	return out
}

// Messages hold values of the repository: they stay short, and no value steers
// the terminal that they are printed on.
func TestHostileValues(t *testing.T) {
	escape := "\x1b]0;owned\x07\x00\r\n"
	for _, value := range []string{strings.Repeat("1", 1<<16), strings.Repeat("a ", 1<<15), strings.Repeat("10.0.0.0/8 ", 1<<13), escape, "\xff\xfe", "%s%d%!x", strings.Repeat("ä", 5000)} {
		for _, version := range append(CheckedVersions(), value) {
			cfg := Config{Version: version, Values: map[string]string{"ipam": "cluster-pool"}}
			for _, f := range modelFlags {
				cfg.Values[f.Name] = value
			}
			all := messages(cfg)
			if len(all) == 0 {
				t.Errorf("%.20q passes everywhere", value)
			}
			for _, m := range all {
				if len(m) > 2*maxMessage {
					t.Errorf("%.20q: a message of %d bytes", value, len(m))
				}
				if strings.ContainsFunc(m, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
					t.Errorf("%.20q: control characters in %.60q", value, m)
				}
			}
		}
	}
}

// Keys reach the agent in any case; the exact key wins over another spelling.
func TestKeysInAnyCase(t *testing.T) {
	cfg := base("1.18.6", map[string]string{"mtu": "1400", "MTU": "9000", "Mtu": "5"})
	if s, _ := Effective(cfg); s.MTU != 1400 {
		t.Errorf("MTU %d, want the exact key's 1400", s.MTU)
	}
	cfg = base("1.18.6", map[string]string{"Routing-Mode": "tunnel", "routing-mode": "-", auto: "-"})
	if s, _ := Effective(cfg); s.RoutingMode != "tunnel" {
		t.Errorf("routing mode %s, want the other spelling's tunnel", s.RoutingMode)
	}
	cfg = base("1.18.6", map[string]string{"MTU": "huge"})
	if s := CheckStart(cfg); s.Starts != snapshot.Yes {
		t.Errorf("another spelling is not validated, yet: %v", s.Refusals)
	}
}

func TestDevices(t *testing.T) {
	for _, c := range []struct {
		devices string
		node    []string
		want    snapshot.Tri
	}{
		{"", nil, snapshot.Yes},
		{"eth0", nil, snapshot.Unknown},
		{"eth0", []string{"eth0", "eth1"}, snapshot.Yes},
		{"eth2", []string{"eth0", "eth1"}, snapshot.No},
		{"bond+ eth+", []string{"eth1"}, snapshot.Yes},
		{"bond0,eth1", []string{"eth1"}, snapshot.Yes},
		{"eth", []string{"eth1"}, snapshot.No},
		{"eth0", []string{}, snapshot.No},
	} {
		cfg := Config{Version: "1.18.6", Values: map[string]string{"devices": c.devices}, Node: NodeFacts{Devices: c.node}}
		if got := newAgent(cfg).devices(); got != c.want {
			t.Errorf("devices %q on %v: %s, want %s", c.devices, c.node, got, c.want)
		}
	}
}

// A configuration is shared freely between goroutines.
func TestConcurrent(t *testing.T) {
	cfg := base("1.18.6", map[string]string{"enable-policy": "x"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if s := CheckStart(cfg); s.Starts != snapshot.Yes {
				t.Errorf("starts %s", s.Starts)
			}
			Effective(cfg)
			Rules()
			FlagsOfHelm("bpf")
		})
	}
	wg.Wait()
}
