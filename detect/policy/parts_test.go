package policy

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestLabelFilter(t *testing.T) {
	for _, tt := range []struct {
		key   string
		extra []string
		want  bool
	}{
		{"app", nil, true},
		{"app.kubernetes.io/name", nil, true},
		{"io.kubernetes.pod.namespace", nil, true},
		{"io.kubernetes.pod.name", nil, false},
		{"io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name", nil, true},
		{"io.cilium.k8s.policy.cluster", nil, true},
		{"kubernetes.io/arch", nil, false},
		{"beta.kubernetes.io/arch", nil, false},
		{"topology.kubernetes.io/zone", nil, true},
		{"k8s.io/x", nil, false},
		{"statefulset.kubernetes.io/pod-name", nil, false},
		{"apps.kubernetes.io/pod-index", nil, false},
		{"batch.kubernetes.io/controller-uid", nil, false},
		{"pod-template-hash", nil, false},
		{"controller-revision-hash", nil, false},
		{"etcd_node", nil, false},
		{"team", []string{"k8s:app"}, false},
		{"app", []string{"k8s:app"}, true},
		{"application", []string{"k8s:app"}, true},
		{"app", []string{"container:app"}, false},
		{"app", []string{"!app"}, false},
		{"apple.pie", []string{"!apple", "apple.pie"}, true},
		{"pod-template-hash", []string{"pod-template-hash"}, false},
		{"team", []string{"k8s:!app"}, true},
	} {
		f, err := newLabelFilter(tt.extra)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.keeps(tt.key); got != tt.want {
			t.Errorf("keeps(%q) with %q is %v, want %v", tt.key, tt.extra, got, tt.want)
		}
	}
	for _, bad := range []string{"", "!", "k8s:", "("} {
		if _, err := newLabelFilter([]string{bad}); err == nil {
			t.Errorf("pattern %q is taken", bad)
		}
	}
}

func TestExtendCilium(t *testing.T) {
	for key, want := range map[string]string{
		"app": "any.app", "k8s:app": "k8s.app", "any:app": "any.app", ":app": "any.app", "reserved:host": "reserved.host",
		"reserved.host": "reserved.host", "$host": "reserved.host", "app.kubernetes.io/name": "any.app.kubernetes.io/name",
		"k8s.app": "any.k8s.app", "app=web": "any.app", "k8s:a:b": "k8s.a:b",
	} {
		if got := extendCilium(key); got != want {
			t.Errorf("extendCilium(%q) is %q, want %q", key, got, want)
		}
	}
}

func TestPortRanges(t *testing.T) {
	for _, tt := range []struct {
		lo, hi, port int
		want         match
	}{
		{0, 0, 80, yes}, {0, 65535, 0, yes}, {80, 0, 80, yes}, {80, 0, 81, no}, {80, 79, 79, no}, {80, 79, 80, yes},
		{80, 90, 90, yes}, {80, 90, 91, no}, {1, 65535, 0, yes}, {2, 65535, 0, no}, {0, 100, 100, yes}, {0, 100, 0, no},
	} {
		l := newL4(protoTCP, tt.lo, tt.hi)
		if got := l.matches(Port{Protocol: "tcp", Number: tt.port}); got != tt.want {
			t.Errorf("%d-%d matches %d: got %d, want %d", tt.lo, tt.hi, tt.port, got, tt.want)
		}
	}
}

func TestICMP(t *testing.T) {
	field := func(family, kind string) icmpField { return icmpField{Family: family, Type: json.RawMessage(kind)} }
	for _, tt := range []struct {
		field icmpField
		port  Port
		want  match
	}{
		{field("", `8`), Port{Protocol: "ICMP", Family: "IPv4", ICMPType: 8}, yes},
		{field("IPv4", `"8"`), Port{Protocol: "ICMP", Family: "IPv4", ICMPType: 8}, yes},
		{field("IPv4", `"Echo"`), Port{Protocol: "ICMP", Family: "IPv6", ICMPType: 8}, no},
		{field("IPv6", `"EchoRequest"`), Port{Protocol: "ICMPv6", ICMPType: 128}, yes},
		{field("IPv4", `8`), Port{Protocol: "ICMPv6", ICMPType: 8}, no},
		{field("IPv4", `8`), Port{Protocol: "ICMP", ICMPType: 8}, maybe},
		{field("IPv4", `8`), Port{Protocol: "ICMP", ICMPType: 9}, no},
		{field("IPv4", `8`), Port{Protocol: "TCP", Number: 8, ICMPType: 8}, no},
		{field("IPv6", `0`), Port{Protocol: "ICMP", Family: "IPv6", ICMPType: 7}, yes},
	} {
		l, err := tt.field.l4()
		if err != nil {
			t.Fatal(err)
		}
		if got := l.matches(tt.port); got != tt.want {
			t.Errorf("%s %s against %+v: got %d, want %d", tt.field.Family, tt.field.Type, tt.port, got, tt.want)
		}
	}
	for _, bad := range []icmpField{field("IPv5", `8`), field("IPv4", `256`), field("", `-1`), field("", ``), field("", `null`), field("IPv4", `"PacketTooBig"`)} {
		if _, err := bad.l4(); err == nil {
			t.Errorf("%s %s is taken", bad.Family, bad.Type)
		}
	}
}

func TestPortProtocol(t *testing.T) {
	for _, bad := range []portProtocol{{Port: "80", EndPort: -1}, {Port: "80", EndPort: 65536}, {Port: "80", Protocol: "ICMP"}, {Port: "99999"}, {}} {
		if list, err := bad.l4s(); err == nil {
			t.Errorf("%+v is taken as %+v", bad, list)
		}
	}
	list, err := portProtocol{Port: "HTTP", Protocol: "any"}.l4s()
	if err != nil || len(list) != 3 || list[0].named != "http" {
		t.Errorf("a port name with any protocol: %+v, %v", list, err)
	}
}

// TestSelectorLogic: a selector of three-valued answers never contradicts the
// answer that it gives once everything is known.
func TestSelectorLogic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var s selector
		for range rapid.IntRange(0, 3).Draw(rt, "requirements") {
			r := requirement{key: labelKey{source: sourceK8s, name: labelNamespaceMeta + rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key")}}
			r.op = rapid.SampledFrom([]operator{opIn, opNotIn, opExists, opDoesNotExist}).Draw(rt, "operator")
			r.values = rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y"}), 1, 2).Draw(rt, "values")
			s = append(s, r)
		}
		labels := map[string]string{}
		for _, key := range []string{"a", "b"} {
			if rapid.Bool().Draw(rt, "has "+key) {
				labels[key] = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "value of "+key)
			}
		}
		known := s.matches(&identity{pod: true, namespace: "n", nsLabels: labels})
		blind := s.matches(&identity{pod: true, namespace: "n"})
		if known == maybe {
			rt.Fatal("maybe, though everything is known")
		}
		if blind != maybe && blind != known {
			rt.Fatalf("%v: %d without the labels, %d with %v", s, blind, known, labels)
		}
	})
}

func TestTableHoldsEqualSelectorsOnce(t *testing.T) {
	a := requirement{key: labelKey{source: sourceK8s, name: "a"}, op: opExists}
	b := requirement{key: labelKey{source: sourceK8s, name: "b"}, op: opIn, values: []string{"x"}}
	tab := newTable()
	first, second := tab.add(selector{a, b}), tab.add(selector{b, a, b})
	if first != second {
		t.Errorf("the same selector has numbers %d and %d", first, second)
	}
	if third := tab.add(selector{a}); third == first {
		t.Error("two selectors share a number")
	}
}
