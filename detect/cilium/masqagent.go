package cilium

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxMasqAgentFile bounds what is parsed: a ConfigMap cannot hold more.
const maxMasqAgentFile = 1 << 20

// defaultNonMasquerade replaces a missing or empty ip-masq-agent file. There is
// no IPv6 range in it (pkg/ipmasq/ipmasq.go:27, 1.18.6).
func defaultNonMasquerade() []string {
	return []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	}
}

// masqCIDR is a CIDR of the ip-masq-agent file: a string with a prefix length,
// host bits allowed.
type masqCIDR netip.Prefix

func (c *masqCIDR) UnmarshalJSON(b []byte) error {
	s := string(b)
	p, err := netip.ParsePrefix(strings.Trim(s, `"`))
	if !strings.HasPrefix(s, `"`) || err != nil {
		return fmt.Errorf("invalid CIDR %s", s)
	}
	*c = masqCIDR(p.Masked())
	return nil
}

// NonMasquerade is what the agent makes of an ip-masq-agent file: destinations
// that BPF masquerade leaves alone, link-local ranges and built-in defaults
// included, sorted by address. A nil file is a missing one. An error means that
// the agent rejects the whole file and keeps what it had, at first nothing
// (pkg/ipmasq/ipmasq.go:153-270, 1.18.6).
func NonMasquerade(file *string) ([]netip.Prefix, error) {
	var parsed struct {
		CIDRs       []masqCIDR `json:"nonMasqueradeCIDRs"`
		LinkLocalV4 bool       `json:"masqLinkLocal"`
		LinkLocalV6 bool       `json:"masqLinkLocalIPv6"`
	}
	set := map[netip.Prefix]bool{}
	if file == nil || *file == "" {
		for _, s := range defaultNonMasquerade() {
			set[netip.MustParsePrefix(s)] = true
		}
	} else {
		if len(*file) > maxMasqAgentFile {
			return nil, fmt.Errorf("ip-masq-agent configuration is larger than %d bytes: shorten it", maxMasqAgentFile)
		}
		raw, err := yaml.YAMLToJSON([]byte(*file))
		if err == nil {
			err = json.Unmarshal(raw, &parsed)
		}
		if err != nil {
			return nil, fmt.Errorf("ip-masq-agent configuration is rejected as a whole: %w", err)
		}
		for _, c := range parsed.CIDRs {
			set[netip.Prefix(c)] = true
		}
	}
	if !parsed.LinkLocalV4 {
		set[netip.MustParsePrefix("169.254.0.0/16")] = true
	}
	if !parsed.LinkLocalV6 {
		set[netip.MustParsePrefix("fe80::/10")] = true
	}
	return sortedPrefixes(set), nil
}

func sortedPrefixes(set map[netip.Prefix]bool) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(set))
	for p := range set {
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool {
		if c := out[i].Addr().Compare(out[j].Addr()); c != 0 {
			return c < 0
		}
		return out[i].Bits() < out[j].Bits()
	})
	return out
}
