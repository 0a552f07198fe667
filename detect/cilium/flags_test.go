package cilium

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTypes(t *testing.T) {
	for _, c := range []struct{ kind, value, want string }{
		{"bool", "true", ""}, {"bool", "1", ""}, {"bool", "T", ""}, {"bool", "FALSE", ""},
		{"bool", "yes", `strconv.ParseBool: parsing "yes": invalid syntax`},
		{"bool", "", `strconv.ParseBool: parsing "": invalid syntax`},
		{"int", "", ""}, {"int", "-1", ""}, {"int", "0x10", ""}, {"int", "1_000", ""}, {"int", "1450.9", ""}, {"int", ".5", ""}, {"int", "-.0", ""},
		{"int", "1e3", `unable to cast "1e3" of type string to int: strconv.ParseInt: parsing "1e3": invalid syntax`},
		{"int", "1.2.3", `unable to cast "1.2.3" of type string to int: strconv.ParseInt: parsing "1.2.3": invalid syntax`},
		{"int", "089", `unable to cast "089" of type string to int: strconv.ParseInt: parsing "089": invalid syntax`},
		{"int", "--1.0", `unable to cast "--1.0" of type string to int: strconv.ParseInt: parsing "--1.0": invalid syntax`},
		{"int", "99999999999999999999", `strconv.ParseInt: parsing "99999999999999999999": value out of range`},
		{"uint32", "7", ""}, {"uint32", "+7", ""}, {"uint16", "70000", ""},
		{"uint32", "-1", `unable to cast "-1" of type string to uint32: strconv.ParseUint: parsing "-1": invalid syntax`},
		{"float", "0.0025", ""}, {"float", "", ""},
		{"float", "a", `unable to cast "a" of type string to float64: strconv.ParseFloat: parsing "a": invalid syntax`},
		{"duration", "15s", ""}, {"duration", "15", ""}, {"duration", "1h2m", ""},
		{"duration", "15 s", `time: unknown unit " s" in duration "15 s"`},
		{"duration", "", `time: invalid duration "ns"`},
		{"string", "anything", ""}, {"list", "a b", ""}, {"map", "x", ""}, {"options", "x", ""},
	} {
		got := ""
		if err := (typedFlag{kind: c.kind}).parse(c.value); err != nil {
			got = err.Error()
		}
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %q: %q, want %q", c.kind, c.value, got, c.want)
		}
	}
}

func TestIntValues(t *testing.T) {
	for in, want := range map[string]int{"": 0, "1450": 1450, "1450.7": 1450, "0x5dc": 1500, "010": 8, "-3": -3, ".5": 0, "-.5": 0} {
		if got, err := parseInt(in); err != nil || got != want {
			t.Errorf("parseInt(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
}

func TestTypesDependOnRelease(t *testing.T) {
	r18, r19, r20 := release{1, 18, 6}, release{1, 19, 5}, release{1, 20, 2}
	for _, c := range []struct {
		key, value string
		rel        release
		bad        bool
	}{
		{"kube-proxy-replacement", "strict", r18, false},
		{"kube-proxy-replacement", "strict", r19, true},
		{"enable-node-port", "maybe", r18, true},
		{"enable-node-port", "maybe", r19, false},
		{"enable-remote-node-masquerade", "maybe", r18, false},
		{"enable-remote-node-masquerade", "maybe", r20, true},
		{"max-controller-interval", "-1", r18, false},
		{"max-controller-interval", "-1", r20, true},
		{"no-such-flag", "maybe", r20, false},
	} {
		if err := typeError(c.rel, c.key, c.value); (err != nil) != c.bad {
			t.Errorf("%s=%s in %v: %v", c.key, c.value, c.rel, err)
		}
	}
}

func TestCheckArg(t *testing.T) {
	for _, c := range []struct{ version, arg, want string }{
		{"1.20.2", "--no-such-flag-x=true", "Error: unknown flag: --no-such-flag-x"},
		{"1.20.2", "--enable-node-port=true", "Error: unknown flag: --enable-node-port"},
		{"1.18.6", "--enable-node-port=true", ""},
		{"1.20.2", "--kube-proxy-replacement=strict", `Error: invalid argument "strict" for "--kube-proxy-replacement" flag: strconv.ParseBool: parsing "strict": invalid syntax`},
		{"1.18.6", "--kube-proxy-replacement=strict", ""},
		{"1.18.6", "--mtu=1450B", `Error: invalid argument "1450B" for "--mtu" flag: strconv.ParseInt: parsing "1450B": invalid syntax`},
		{"1.20.2", "--hubble-prefer-ipv6=true", ""},
		{"1.18.6", "--debug", ""},
		{"1.18.6", "positional", ""},
	} {
		r, refused := CheckArg(c.version, c.arg)
		if refused != (c.want != "") || r.Message != c.want {
			t.Errorf("%s %s: %v %q, want %q", c.version, c.arg, refused, r.Message, c.want)
		}
		if refused && r.ID != "V50" {
			t.Errorf("%s: id %s", c.arg, r.ID)
		}
	}
}

// Flags that the model reads exist in the agent's table, the operator's aside.
func TestModelFlagsExist(t *testing.T) {
	for _, f := range Flags() {
		if _, ok := typedFlags()[f.Name]; !ok && !strings.HasPrefix(f.Name, "cluster-pool-") {
			t.Errorf("no release has the flag %s", f.Name)
		}
		for _, rel := range []release{{1, 18, 6}, {1, 19, 5}, {1, 20, 2}} {
			if err := typeError(rel, f.Name, f.defaultIn(rel)); err != nil && f.in(rel) && f.defaultIn(rel) != "" {
				t.Errorf("the default of %s in %v does not parse: %v", f.Name, rel, err)
			}
		}
	}
	if n := len(flagIndex()); n < 500 {
		t.Errorf("the table holds %d flags, want more than 500", n)
	}
}

func TestFlagReleases(t *testing.T) {
	f, ok := FlagByName("underlay-protocol")
	if !ok || f.defaultIn(release{1, 19, 5}) != "ipv4" || f.defaultIn(release{1, 20, 0}) != "auto" {
		t.Errorf("underlay-protocol: %+v", f)
	}
	f, _ = FlagByName("enable-ipv4-egress-gateway")
	if f.in(release{1, 19, 0}) || !f.in(release{1, 18, 9}) || f.Type != "bool" {
		t.Errorf("enable-ipv4-egress-gateway: %+v", f)
	}
}

func TestFlagsOfHelm(t *testing.T) {
	for path, want := range map[string][]string{
		"ipv6NativeRoutingCIDR":       {"ipv6-native-routing-cidr"},
		"socketLB.hostNamespaceOnly":  {"bpf-lb-sock-hostns-only"},
		"socketLB":                    {"bpf-lb-sock", "bpf-lb-sock-hostns-only", "trace-sock"},
		"encryption.enabled":          {"enable-ipsec", "enable-wireguard"},
		"devices":                     {"devices"},
		"extraConfig.enable-policy":   {"enable-policy"},
		"extraConfig.no-such-flag":    nil,
		"hubble.relay.enabled":        nil,
		"ipv6NativeRoutingCIDRs":      nil,
		"policyCIDRMatchMode.nothing": {"policy-cidr-match-mode"},
	} {
		var got []string
		for _, f := range FlagsOfHelm(path) {
			got = append(got, f.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("FlagsOfHelm(%s) (-want +got):\n%s", path, diff)
		}
	}
}

func TestInfluences(t *testing.T) {
	for _, c := range []struct {
		key               string
		part              Part
		influences, known bool
	}{
		{"ipv6-native-routing-cidr", PartMasquerade, true, true},
		{"ipv6-native-routing-cidr", PartServices, false, true},
		{"bpf-lb-sock", PartMasquerade, false, true},
		{"bpf-lb-sock", PartServices, true, true},
		{"hubble-prefer-ipv6", PartRoutes, false, true},
		{"no-such-flag", PartRoutes, false, false},
	} {
		influences, known := Influences(c.key, c.part)
		if influences != c.influences || known != c.known {
			t.Errorf("Influences(%s, %s) = %v, %v", c.key, c.part, influences, known)
		}
	}
	keys := FailingPathKeys(PartMasquerade, PartMTU)
	if !slices.IsSorted(keys) || !slices.Contains(keys, "mtu") || !slices.Contains(keys, "enable-bpf-masquerade") || slices.Contains(keys, "bpf-lb-sock") {
		t.Errorf("FailingPathKeys = %v", keys)
	}
	if len(FailingPathKeys()) != 0 {
		t.Error("no part has keys")
	}
}

func TestRulesMarkdown(t *testing.T) {
	golden := filepath.Join("testdata", "startup-rules.md")
	got := RulesMarkdown()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
	}
	for i, line := range strings.Split(got, "\n") {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 8 {
			t.Errorf("line %d is not a row of seven cells: %s", i+1, line)
		}
	}
}
