package cilium

import (
	"fmt"
	"maps"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/startcases"
)

func TestRefused(t *testing.T) {
	for _, c := range refused() {
		t.Run(fmt.Sprintf("%s/%s/%v", c.Rule, c.Version, c.Change), func(t *testing.T) {
			s := CheckStart(base(c.Version, c.Change))
			first := s.First()
			if s.Starts != snapshot.No || first == nil {
				t.Fatalf("starts: %s, unknown %v", s.Starts, s.Unknown)
			}
			if first.ID != c.Rule {
				t.Errorf("refused by %s: %s; want %s", first.ID, first.Message, c.Rule)
			}
			if !strings.Contains(first.Message, c.Message) {
				t.Errorf("message %q does not contain %q", first.Message, c.Message)
			}
			if first.Source == "" || (len(first.Keys) == 0 && c.Rule != "V49") {
				t.Errorf("%s has no source or keys", first.ID)
			}
			if first.Operator != strings.HasPrefix(c.Rule, "O") {
				t.Errorf("%s: operator %v", first.ID, first.Operator)
			}
		})
	}
}

func TestRefusedByFacts(t *testing.T) {
	for _, c := range byFacts {
		cfg := base(c.version, c.change)
		cfg.Node = c.node
		s := CheckStart(cfg)
		found := false
		for _, r := range s.Refusals {
			found = found || r.ID == c.id
		}
		if s.Starts != snapshot.No || !found {
			t.Errorf("%s in %s: %s %v, unknown %v", c.id, c.version, s.Starts, s.Refusals, s.Unknown)
		}
	}
}

// Every agent and operator rule has a configuration that it refuses.
func TestEveryRuleIsTested(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range refused() {
		tested[c.Rule] = true
	}
	for _, c := range byFacts {
		tested[c.id] = true
	}
	for _, r := range Rules() {
		if (r.Kind == KindAgent || r.Kind == KindOperator) && r.check != nil && !tested[r.ID] {
			t.Errorf("no test configuration for %s: %s", r.ID, r.Title)
		}
	}
}

// The catalogue's message of each rule is what the rule prints somewhere.
func TestCatalogueMessages(t *testing.T) {
	printed := map[string][]string{}
	collect := func(cfg Config) {
		s := CheckStart(cfg)
		for _, r := range append(s.Refusals, s.Datapath...) {
			printed[r.ID] = append(printed[r.ID], r.Message)
		}
	}
	for _, c := range refused() {
		collect(base(c.Version, c.Change))
	}
	for _, c := range byFacts {
		cfg := base(c.version, c.change)
		cfg.Node = c.node
		collect(cfg)
	}
	for _, r := range Rules() {
		if r.check == nil || r.Kind == KindDatapath || r.Kind == KindNotice {
			continue
		}
		var first string
		for _, p := range strings.Split(r.Message, ", or: ") {
			first = p
			for _, m := range printed[r.ID] {
				if matches(p, m) {
					first = ""
				}
			}
			if first == "" {
				break
			}
		}
		if first != "" {
			t.Errorf("%s (%s): nothing printed matches %q; printed %q", r.ID, r.Releases(), r.Message, printed[r.ID])
		}
	}
}

// matches says whether the parts between "…" appear in order.
func matches(pattern, s string) bool {
	for _, part := range strings.Split(pattern, "…") {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

func TestStarting(t *testing.T) {
	for _, c := range startcases.Accepted() {
		s := CheckStart(base(c.Version, c.Change))
		if s.Starts != snapshot.Yes || len(s.Datapath) > 0 {
			t.Errorf("%s (%s): %s; refusals %v, datapath %v, unknown %v", c.Name, c.Version, s.Starts, s.Refusals, s.Datapath, s.Unknown)
		}
	}
}

// A configuration that states nothing is judged by the agent's rules alone.
func TestEmptyConfigStarts(t *testing.T) {
	if s := CheckStart(Config{Version: "1.18.6"}); s.Starts != snapshot.Yes {
		t.Errorf("got %s, %v", s.Starts, s.Refusals)
	}
}

func TestUnknownByFacts(t *testing.T) {
	for _, c := range []struct {
		id, version string
		change      map[string]string
		settle      func(*NodeFacts, snapshot.Tri)
	}{
		{"V33", "1.18.6", map[string]string{"datapath-mode": "netkit"}, func(n *NodeFacts, f snapshot.Tri) { n.Netkit = f }},
		{"V33", "1.20.2", map[string]string{"datapath-mode": "netkit", bpf: "true"}, func(n *NodeFacts, f snapshot.Tri) { n.Netkit = f }},
		{"V63", "1.18.6", map[string]string{"enable-ipsec": "true", "ipsec-key-file": "/k"}, func(n *NodeFacts, f snapshot.Tri) { n.IPsecKey = f }},
		{"V83", "1.18.6", map[string]string{tunnel: "tunnel", auto: "false", "tunnel-protocol": "geneve"}, func(n *NodeFacts, f snapshot.Tri) { n.Geneve = f }},
		{"V86", "1.20.2", map[string]string{"bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "ipip"}, func(n *NodeFacts, f snapshot.Tri) { n.IPIP = f }},
		{"V87", "1.18.6", map[string]string{"enable-wireguard": "true"}, func(n *NodeFacts, f snapshot.Tri) { n.WireGuard = f }},
		{"V26", "1.18.6", map[string]string{"devices": "eth0"}, func(n *NodeFacts, f snapshot.Tri) {
			n.Devices = map[snapshot.Tri][]string{snapshot.Yes: {"eth0"}, snapshot.No: {"eth1"}}[f]
		}},
		{"V38", "1.20.2", map[string]string{"enable-ipv6-big-tcp": "true", "bpf-lb-dsr-dispatch": "geneve"}, nil},
	} {
		cfg := base(c.version, c.change)
		cfg.Node = NodeFacts{}
		s := CheckStart(cfg)
		if s.Starts != snapshot.Unknown || len(s.Unknown) != 1 || !strings.HasPrefix(s.Unknown[0], c.id+": ") {
			t.Errorf("%s (%s): %s, unknown %v", c.id, c.version, s.Starts, s.Unknown)
		}
		if c.settle == nil {
			continue
		}
		c.settle(&cfg.Node, snapshot.Yes)
		if s := CheckStart(cfg); s.Starts != snapshot.Yes || len(s.Datapath) > 0 {
			t.Errorf("%s (%s) with the fact: %s %v", c.id, c.version, s.Starts, s.Unknown)
		}
		c.settle(&cfg.Node, snapshot.No)
		if s := CheckStart(cfg); len(s.Refusals)+len(s.Datapath) != 1 {
			t.Errorf("%s (%s) without the fact: %v %v", c.id, c.version, s.Refusals, s.Datapath)
		}
	}
}

func TestDatapathNeverInitialises(t *testing.T) {
	for mtu, want := range map[string]bool{"0": false, "1279": true, "1000": true, "1280": false, "9000": false} {
		s := CheckStart(base("1.18.6", map[string]string{"mtu": mtu}))
		if s.Starts != snapshot.Yes || (len(s.Datapath) == 1 && s.Datapath[0].ID == "V64") != want {
			t.Errorf("mtu %s: %s, datapath %v; want refused %v", mtu, s.Starts, s.Datapath, want)
		}
	}
	if s := CheckStart(base("1.18.6", map[string]string{"mtu": "1000", "enable-ipv6": "false"})); len(s.Datapath) != 0 {
		t.Errorf("an IPv4-only agent takes an MTU of 1000; got %v", s.Datapath)
	}
}

// An agent of 1.18 without the folder of the ip-masq-agent's file stays up.
func TestMasqAgentFolder(t *testing.T) {
	for version, starts := range map[string]snapshot.Tri{"1.18.6": snapshot.Yes, "1.19.6": snapshot.No, "1.20.2": snapshot.No} {
		cfg := base(version, map[string]string{bpf: "true", "enable-ip-masq-agent": "true"})
		cfg.Node.MasqAgentFolder = snapshot.No
		s := CheckStart(cfg)
		all := append(s.Refusals, s.Datapath...)
		if s.Starts != starts || len(all) != 1 || all[0].ID != "V61" {
			t.Errorf("%s: starts %s, refused by %v; want %s and V61", version, s.Starts, all, starts)
		}
	}
}

// The first refusal is the printed one; those behind it are listed too.
func TestRefusalsInOrder(t *testing.T) {
	s := CheckStart(base("1.18.6", map[string]string{
		bpf: "true", "enable-ipv4-masquerade": "false", "enable-ipv6-masquerade": "false",
		tunnel: "direct", "tunnel-protocol": "gre", "direct-routing-skip-unreachable": "maybe", "mtu": "-1",
	}))
	var ids []string
	for _, r := range s.Refusals {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{"V49", "V9", "V13", "V10", "V53", "V6"}, ids); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestNodeFactsOfPorts(t *testing.T) {
	cfg := base("1.18.6", map[string]string{"enable-auto-protect-node-port-range": "false"})
	cfg.Node.EphemeralPorts = [2]int{1024, 65000}
	if s := CheckStart(cfg); s.First() == nil || !strings.Contains(s.First().Message, "(30000-32767) must not clash with ephemeral port range (1024\t65000)") {
		t.Errorf("got %s %v", s.Starts, s.Refusals)
	}
}

func TestCheckChange(t *testing.T) {
	wg := map[string]string{"enable-wireguard": "true", "devices": "eth0"}
	running := base("1.18.6", wg)
	running.Node = NodeFacts{}
	next := running
	next.Values = maps.Clone(running.Values)
	next.Values["ipv6-native-routing-cidr"] = "fd00:101::/38"
	if s := CheckStart(next); s.Starts != snapshot.Unknown {
		t.Errorf("CheckStart: %s, want unknown", s.Starts)
	}
	if s := CheckChange(running, next); s.Starts != snapshot.Yes {
		t.Errorf("CheckChange of an unrelated key: %s %v, want yes", s.Starts, s.Unknown)
	}
	next.Values["devices"] = "eth1"
	if s := CheckChange(running, next); s.Starts != snapshot.Unknown {
		t.Errorf("CheckChange of devices: %s, want unknown", s.Starts)
	}
	next.Values["devices"] = "eth0"
	next.Values["ipv6-native-routing-cidr"] = "nonsense"
	if s := CheckChange(running, next); s.Starts != snapshot.No {
		t.Errorf("CheckChange into a refusal: %s, want no", s.Starts)
	}
	next.Values["ipv6-native-routing-cidr"] = "fd00:101::/48"
	next.Version = "1.20.2"
	if s := CheckChange(running, next); s.Starts != snapshot.Unknown {
		t.Errorf("CheckChange of the version: %s, want unknown", s.Starts)
	}
}

func TestDelta(t *testing.T) {
	one, two := "1", "2"
	a := Config{Values: map[string]string{"same": "x", "changed": "1", "gone": "1"}}
	b := Config{Values: map[string]string{"same": "x", "changed": "2", "new": "2"}}
	want := map[string][2]*string{"changed": {&one, &two}, "gone": {&one, nil}, "new": {nil, &two}}
	if diff := cmp.Diff(want, Delta(a, b)); diff != "" {
		t.Errorf("Delta (-want +got):\n%s", diff)
	}
	if d := Delta(a, a); len(d) != 0 {
		t.Errorf("Delta of the same: %v", d)
	}
}

func TestRulesAreSortedAndComplete(t *testing.T) {
	rules := Rules()
	if !sort.SliceIsSorted(rules, func(i, j int) bool { return idLess(rules[i].ID, rules[j].ID) }) {
		t.Error("Rules are not sorted by id")
	}
	ids := map[string]bool{}
	for _, r := range rules {
		ids[r.ID] = true
		if r.Title == "" || r.Message == "" || (r.Source == "" && r.ID != "W16") {
			t.Errorf("%s lacks a title, message or source", r.ID)
		}
		if strings.HasSuffix(r.Title, ".") {
			t.Errorf("%s: the title ends with a full stop", r.ID)
		}
	}
	for prefix, last := range map[string]int{"V": 93, "O": 9, "W": 21} {
		for n := 1; n <= last; n++ {
			if id := fmt.Sprintf("%s%d", prefix, n); !ids[id] {
				t.Errorf("no rule %s", id)
			}
		}
	}
	if r := RuleByID("v34"); len(r) != 2 || r[0].Releases() != "before 1.20" || r[1].Releases() != "since 1.20" {
		t.Errorf("RuleByID(v34) = %v", r)
	}
}

// Keys of rules are keys that some release of the agent or operator has.
func TestRuleKeysExist(t *testing.T) {
	for _, r := range Rules() {
		for _, k := range r.Keys {
			if _, ok := FlagByName(k); !ok && k != "" {
				t.Errorf("%s names an unknown key %q", r.ID, k)
			}
		}
	}
}
