package policy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// parsePolicies reads policies from YAML documents.
func parsePolicies(t testing.TB, text string) []snapshot.Policy {
	t.Helper()
	var list []snapshot.Policy
	for _, doc := range strings.Split(text, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		var obj struct {
			Kind     string                           `json:"kind"`
			Metadata struct{ Name, Namespace string } `json:"metadata"`
			Spec     map[string]any                   `json:"spec"`
			Specs    []map[string]any                 `json:"specs"`
		}
		if err := yaml.Unmarshal([]byte(doc), &obj); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		p := snapshot.Policy{Kind: obj.Kind, Name: obj.Metadata.Name, Namespace: obj.Metadata.Namespace}
		p.Source = obj.Kind + " " + obj.Metadata.Name
		if obj.Kind == "NetworkPolicy" {
			raw, err := json.Marshal(obj.Spec)
			if err != nil {
				t.Fatal(err)
			}
			p.Kubernetes = new(networkingv1.NetworkPolicySpec)
			if err := yaml.UnmarshalStrict(raw, p.Kubernetes); err != nil {
				t.Fatal(err)
			}
		} else {
			if obj.Spec != nil {
				p.Cilium = append(p.Cilium, obj.Spec)
			}
			p.Cilium = append(p.Cilium, obj.Specs...)
		}
		list = append(list, p)
	}
	return list
}

var testNamespaces = map[string]map[string]string{
	"team-a": {"kubernetes.io/metadata.name": "team-a", "team": "a"},
	"team-b": {"kubernetes.io/metadata.name": "team-b", "team": "b"},
}

func testOptions() Options {
	return Options{NamespaceLabels: func(ns string) map[string]string { return testNamespaces[ns] }}
}

// question is one line of a table: "team-a/app=web < @remote-node TCP/80".
// "<" asks for ingress from the right side, ">" for egress to it. A pod is
// namespace/label=value,…; "@a+b=address" is a reserved identity.
type question struct {
	subject Subject
	peer    Peer
	port    Port
	ingress bool
}

func parseQuestion(t testing.TB, text string) question {
	t.Helper()
	f := strings.Fields(text)
	if len(f) != 4 || (f[1] != "<" && f[1] != ">") {
		t.Fatalf("question %q has not the form: subject < peer port", text)
	}
	q := question{ingress: f[1] == "<", peer: parsePeer(t, f[2]), port: parsePort(t, f[3])}
	subject := parsePeer(t, f[0])
	q.subject = Subject{Namespace: subject.Namespace, Labels: subject.Labels}
	return q
}

func parsePeer(t testing.TB, text string) Peer {
	t.Helper()
	if names, ok := strings.CutPrefix(text, "@"); ok {
		names, addr, _ := strings.Cut(names, "=")
		p := Peer{Reserved: strings.Split(names, "+")}
		if addr != "" {
			p.IP = netip.MustParseAddr(addr)
		}
		return p
	}
	text, addr, own := strings.Cut(text, "#")
	namespace, labels, _ := strings.Cut(text, "/")
	p := Peer{Namespace: namespace, Labels: map[string]string{}}
	if own {
		p.IP = netip.MustParseAddr(addr)
	}
	for _, pair := range strings.Split(labels, ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			p.Labels[key] = value
		}
	}
	return p
}

// parsePort reads TCP/80, ICMP/8 and ICMPv6/128; "/-" is an unspecified type.
func parsePort(t testing.TB, text string) Port {
	t.Helper()
	proto, number, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(strings.Replace(number, "-", "-1", 1))
	if err != nil {
		t.Fatal(err)
	}
	switch proto {
	case "ICMP":
		return Port{Protocol: "ICMP", Family: "IPv4", ICMPType: n}
	case "ICMPv6":
		return Port{Protocol: "ICMP", Family: "IPv6", ICMPType: n}
	}
	return Port{Protocol: proto, Number: n}
}

func (q question) ask(s *Set) Decision {
	if q.ingress {
		return s.Ingress(q.subject, q.peer, q.port)
	}
	return s.Egress(q.subject, q.peer, q.port)
}

// table holds policies against lines "question : verdict".
type verdictTable struct {
	name     string
	policies string
	options  func(*Options)
	lines    string
}

func (tt verdictTable) run(t *testing.T) {
	t.Run(tt.name, func(t *testing.T) {
		opts := testOptions()
		if tt.options != nil {
			tt.options(&opts)
		}
		set := Compile(parsePolicies(t, tt.policies), opts)
		for _, line := range strings.Split(strings.TrimSpace(tt.lines), "\n") {
			asked, want, _ := strings.Cut(line, " : ")
			d := parseQuestion(t, asked).ask(set)
			if got := d.Verdict.String(); got != strings.TrimSpace(want) {
				t.Errorf("%s: got %s (%s), want %s", strings.TrimSpace(asked), got, d.Reason, want)
			}
			if d.Reason == "" {
				t.Errorf("%s: no reason", asked)
			}
		}
	})
}

// networkPolicy and friends wrap a spec in flow style.
func networkPolicy(spec string) string {
	return policyObject("NetworkPolicy", "np", "team-a", spec)
}

func ciliumPolicy(spec string) string {
	return policyObject("CiliumNetworkPolicy", "cnp", "team-a", spec)
}

func clusterwidePolicy(spec string) string {
	return policyObject("CiliumClusterwideNetworkPolicy", "ccnp", "", spec)
}

func policyObject(kind, name, namespace, spec string) string {
	return fmt.Sprintf("kind: %s\nmetadata: {name: %q, namespace: %q}\nspec: %s\n", kind, name, namespace, spec)
}

func TestVerdictString(t *testing.T) {
	for v, want := range map[Verdict]string{Unknown: "unknown", Allow: "allow", Deny: "deny", 9: "unknown"} {
		if got := v.String(); got != want {
			t.Errorf("Verdict(%d) is %q, want %q", v, got, want)
		}
	}
}
