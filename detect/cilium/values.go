package cilium

import (
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// agent reads a Config as the agent does: values trimmed, keys in any case,
// absent keys defaulted (pkg/option/config.go:2464 ReadDirConfig and viper,
// 1.18.6).
type agent struct {
	cfg    Config
	rel    release
	values map[string]string
	// asked are the unknown keys that were read since it was last emptied.
	asked map[string]bool
}

func newAgent(cfg Config) *agent {
	a := &agent{cfg: cfg, rel: modelled(cfg.Version), values: make(map[string]string, len(cfg.Values)), asked: map[string]bool{}}
	keys := make([]string, 0, len(cfg.Values))
	for k := range cfg.Values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		lower := strings.ToLower(k)
		if _, taken := a.values[lower]; taken && lower != k {
			continue
		}
		a.values[lower] = strings.TrimSpace(cfg.Values[k])
	}
	return a
}

// from says whether the agent is of release major.minor or later.
func (a *agent) from(major, minor int) bool {
	return !a.rel.less(release{major, minor, 0})
}

// set says whether the key is present and the flag exists in this version.
func (a *agent) set(key string) bool {
	_, ok := a.values[key]
	if _, unknown := a.cfg.Unknown[key]; unknown && !ok && a.hasFlag(key) {
		a.asked[key] = true
	}
	return ok && a.hasFlag(key)
}

// stated is the value of key where the configuration has it, else "".
func (a *agent) stated(key string) string {
	if !a.set(key) {
		return ""
	}
	return a.values[key]
}

// unknownTo are the unknown keys that a rule's verdict rests on, sorted.
func (a *agent) unknownTo(check func(*agent) verdict) (verdict, []string) {
	clear(a.asked)
	v := check(a)
	return v, slices.Sorted(maps.Keys(a.asked))
}

func (a *agent) hasFlag(key string) bool {
	f, ok := flagByName(key)
	return !ok || f.in(a.rel)
}

// text is the value of key, or the agent's default.
func (a *agent) text(key string) string {
	if a.set(key) {
		return a.values[key]
	}
	if f, ok := flagByName(key); ok {
		return f.defaultIn(a.rel)
	}
	return ""
}

// on reads a bool as strconv.ParseBool does; what does not parse is the default.
func (a *agent) on(key string) bool {
	if !a.hasFlag(key) {
		return false
	}
	if b, err := strconv.ParseBool(a.text(key)); err == nil {
		return b
	}
	f, _ := flagByName(key)
	b, err := strconv.ParseBool(f.defaultIn(a.rel))
	return err == nil && b
}

// number reads an int; what does not parse is the default.
func (a *agent) number(key string) int {
	if n, err := parseInt(a.text(key)); err == nil {
		return n
	}
	f, _ := flagByName(key)
	n, err := parseInt(f.defaultIn(a.rel))
	if err != nil {
		return 0
	}
	return n
}

// list splits at white space, as the agent reads a list from a ConfigMap: a
// comma stays part of the element (cast.ToStringSlice). What comes after the
// first maxList elements is cut off.
func (a *agent) list(key string) []string {
	fields := strings.Fields(a.text(key))
	return fields[:min(len(fields), maxList)]
}

// maxList is more than any list of pools or interfaces, and keeps comparing all
// elements with each other quick.
const maxList = 1024

// prefix reads a CIDR of the family with 32 or 128 bits, host bits cleared.
func (a *agent) prefix(key string, bits int) (netip.Prefix, bool) {
	p, ok := goCIDR(a.text(key))
	return p, ok && p.Addr().BitLen() == bits
}

// parseInt reads an int as the agent's cast library does: empty is 0, the
// prefixes 0x, 0o, 0b and a leading 0 count, decimals are cut off
// (github.com/spf13/cast v1.9.2, number.go:404).
func parseInt(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(cutDecimals(s), 0, 0)
	return int(n), err
}

// cutDecimals turns "1450.7" into "1450" and leaves alone what is no number.
func cutDecimals(s string) string {
	whole, fraction, found := strings.Cut(s, ".")
	sign := strings.TrimLeft(whole, "+-")
	if !found || len(whole)-len(sign) > 1 || strings.Trim(sign+fraction, "0123456789") != "" {
		return s
	}
	if sign == "" {
		whole += "0"
	}
	return whole
}

func (a *agent) ipv4() bool { return a.on("enable-ipv4") }
func (a *agent) ipv6() bool { return a.on("enable-ipv6") }

// tunnelling holds for everything but "native" (pkg/option/config.go:2130, 1.18.6).
func (a *agent) tunnelling() bool { return a.text("routing-mode") != "native" }

func (a *agent) masquerade4() bool { return a.ipv4() && a.on("enable-ipv4-masquerade") }
func (a *agent) masquerade6() bool { return a.ipv6() && a.on("enable-ipv6-masquerade") }

func (a *agent) masquerading() bool { return a.masquerade4() || a.masquerade6() }

func (a *agent) bpfMasquerade() bool { return a.on("enable-bpf-masquerade") }

func (a *agent) iptablesMasquerading() bool { return a.masquerading() && !a.bpfMasquerade() }

// kubeProxyReplacement: a string "true" or "false" up to 1.18, a bool since
// (pkg/kpr/kpr.go:73, 1.18.6; pkg/kpr/kpr.go:34, 1.20.2).
func (a *agent) kubeProxyReplacement() bool {
	if a.from(1, 19) {
		return a.on("kube-proxy-replacement")
	}
	return a.text("kube-proxy-replacement") == "true"
}

// nodePort is on with kube-proxy replacement and, up to 1.18, on its own.
func (a *agent) nodePort() bool { return a.kubeProxyReplacement() || a.on("enable-node-port") }

func (a *agent) socketLB() bool { return a.kubeProxyReplacement() || a.on("bpf-lb-sock") }

func (a *agent) egressGateway() bool {
	return a.on("enable-egress-gateway") || a.on("enable-ipv4-egress-gateway")
}

func (a *agent) ipsec() bool     { return a.on("enable-ipsec") }
func (a *agent) wireguard() bool { return a.on("enable-wireguard") }

// lbMode is the load balancer's mode; node-port-mode wins up to 1.18
// (pkg/loadbalancer/config.go:419, 1.18.6).
func (a *agent) lbMode() string {
	if old := a.text("node-port-mode"); old != "" {
		return old
	}
	return a.text("bpf-lb-mode")
}

// usesDSR as LoadBalancerUsesDSR says (pkg/loadbalancer/config.go:241, 1.18.6).
func (a *agent) usesDSR() bool {
	m := a.lbMode()
	return m == "dsr" || m == "hybrid" || a.on("bpf-lb-mode-annotation")
}

func (a *agent) dsrDispatch() string { return a.text("bpf-lb-dsr-dispatch") }

// underlay is the family of the tunnel's outer header, "auto" resolved as
// pkg/datapath/tunnel/tunnel.go:101 (1.20.2) does.
func (a *agent) underlay() string {
	u := a.text("underlay-protocol")
	switch {
	case u == "auto" && a.ipv4():
		return "ipv4"
	case u == "auto" && a.ipv6():
		return "ipv6"
	}
	return u
}
