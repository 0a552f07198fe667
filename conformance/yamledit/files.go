package yamledit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// File is one generated values file and where the values stand in it.
type File struct {
	Name string
	Text []byte
	// Document counts from 0.
	Document int
	// Block is the path of the block scalar that holds the values, nil for none.
	Block []string
	// Prefix leads to the values.
	Prefix []string

	hand    hand
	metrics int  // items of the list that is replaced
	ranges  bool // ipMasqAgent has entries
}

// Files generates n files, the same for the same n: each kind of file in turn,
// and in each another author.
func Files(n int) []File {
	var out []File
	for i := range n {
		rng := rand.New(rand.NewPCG(uint64(i), 0x5eed))
		h := hand{
			rng: rng, tidy: i%3 != 0, width: 2 + 2*(rng.IntN(5)/4), quote: []string{`"`, `"`, "'", ""}[rng.IntN(4)],
			inline: flow(rng.IntN(2)), comments: 2 + rng.IntN(8), trailing: 2 + rng.IntN(8), blank: rng.IntN(4) == 0, tabs: rng.IntN(5) == 0,
		}
		if h.tidy {
			h.width, h.tabs = 2, false
		}
		h.list = []int{0, h.width}[rng.IntN(2)]
		if i%8 == 7 {
			h.inline = []flow{oneLine, manyLines}[i/8%2]
		}
		f := File{hand: h}
		entries := f.values()
		kind := i % 5
		lines := f.wrap(kind, entries)
		f.Name = fmt.Sprintf("%03d-%s", i, []string{"values", "helmrelease", "documents", "configmap", "release-in-list-file"}[kind])
		f.finish(lines)
		out = append(out, f)
	}
	return out
}

// finish joins the lines as the author's editor does.
func (f *File) finish(lines []string) {
	rng := f.hand.rng
	eol := "\n"
	if f.hand.tidy {
		f.Text = []byte(strings.Join(lines, eol) + eol)
		return
	}
	if rng.IntN(3) == 0 {
		eol, f.Name = "\r\n", f.Name+"-crlf"
	}
	text := strings.Join(lines, eol)
	if rng.IntN(4) != 0 {
		text += eol
	} else {
		f.Name += "-bare"
	}
	if rng.IntN(4) == 0 {
		text, f.Name = "\ufeff"+text, f.Name+"-bom"
	}
	f.Text = []byte(text)
}

// head begins a file: marker, schema line, a comment.
func (f *File) head(marker bool) []string {
	var out []string
	if marker || f.hand.one(2) {
		out = append(out, "---")
	}
	if f.hand.one(2) {
		out = append(out, "# yaml-language-server: $schema=https://schemas.example.org/cilium.json")
	}
	if f.hand.one(4) {
		out = append(out, "", "# Cilium: native routing, dual stack", "#", "#   changed by hand, see the wiki", "")
	}
	return out
}

const release = `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: cilium
  namespace: kube-system
spec:
  interval: 1h
  chartRef:
    kind: OCIRepository
    name: cilium
  upgrade:
    cleanupOnFail: true
    remediation:
      strategy: rollback
  values:`

// untidy is what some write in place of lines above.
var untidy = strings.NewReplacer(
	"  chartRef:\n    kind: OCIRepository\n    name: cilium\n", "  chartRef: { kind: OCIRepository, name: cilium }  # pinned\n\n",
	"rollback\n", "rollback\n\n",
	"    name: cilium\n", "    name: cilium   # four spaces here\n",
	"    operation: copy\n", "    operation: copy\n\n",
	"metadata:\n  name: cilium-values\n", "metadata: {name: cilium-values}\n",
)

const repository = `apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: cilium
spec:
  interval: 12h
  url: oci://quay.io/cilium/charts/cilium
  ref:
    tag: 1.18.6
  layerSelector:
    operation: copy
`

const configMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: cilium-values
data:
  other.txt: |-
    some text
    of two lines
  values.yaml: |`

// manifest gives the lines of one, as the author writes them.
func (f *File) manifest(text string) []string {
	if !f.hand.tidy {
		text = untidy.Replace(text)
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// wrap puts the values into a file of the kind.
func (f *File) wrap(kind int, entries []entry) []string {
	switch kind {
	case 1:
		f.Prefix = []string{"spec", "values"}
		return slices.Concat(f.head(true), f.manifest(release), f.hand.lines(entries, 4))
	case 2:
		f.Prefix, f.Document = []string{"spec", "values"}, 1
		return slices.Concat(f.head(true), f.manifest(repository), []string{"---"}, f.manifest(release), f.hand.lines(entries, 4))
	case 3:
		f.Block = []string{"data", "values.yaml"}
		out := slices.Concat(f.head(false), f.manifest(configMap))
		for _, l := range f.hand.lines(entries, 0) {
			if l != "" {
				l = "    " + l
			}
			out = append(out, l)
		}
		return out
	case 4:
		f.Prefix = []string{"spec", "values"}
		return slices.Concat(f.head(true), f.manifest(release), f.hand.lines(entries, 4), []string{"---"}, f.manifest(repository))
	}
	return slices.Concat(f.head(false), f.hand.lines(entries, 0))
}

// values chooses what the file sets: always what the edits change, and of the
// rest some.
func (f *File) values() []entry {
	h := &f.hand
	q := func(s string) string { return h.quote + s + h.quote }
	metrics := []string{`"dns:query;ignoreAAAA"`, "drop", "tcp", "flow", "icmp", q("port-distribution")}[:2+h.rng.IntN(5)]
	agent := []entry{{"enabled", true}}
	if h.one(3) {
		agent = nil
	}
	f.metrics, f.ranges = len(metrics), agent != nil
	all := []entry{
		{"kubeProxyReplacement", true},
		{"k8sServiceHost", q("10.1.0.1")},
		{"k8sServicePort", 6443},
		{"routingMode", "native"},
		{"autoDirectNodeRoutes", true},
		{"ipv4NativeRoutingCIDR", q("10.0.0.0/8")},
		{"ipam", []entry{{"mode", "kubernetes"}}},
		{"bpf", []entry{{"masquerade", false}, {"datapathMode", "netkit"}, {"distributedLRU", []entry{{"enabled", true}}}}},
		{"hubble", []entry{{"enabled", true}, {"metrics", []entry{{"enabled", metrics}, {"enableOpenMetrics", true}}}, {"relay", []entry{{"enabled", true}, {"rollOutPods", true}}}}},
		{"ipMasqAgent", agent},
		{"mtu", 1450},
		{"operator", []entry{{"replicas", 1}, {"rollOutPods", true}, {"image", []entry{{"override", q("quay.io/cilium/operator:v1.18.6")}}}}},
	}
	some := f.optional(q)
	if !h.tidy || h.one(3) {
		some = append(some, f.awkward()...)
	}
	h.rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	for _, e := range some[:len(some)/2] {
		all = slices.Insert(all, 1+h.rng.IntN(len(all)-1), e)
	}
	return all
}

func (f *File) optional(q func(string) string) []entry {
	return []entry{
		{"cgroup", []entry{{"automount", []entry{{"enabled", false}}}, {"hostRoot", "/sys/fs/cgroup"}}},
		{"securityContext", []entry{{"capabilities", []entry{{"ciliumAgent", []string{"CHOWN", "KILL", "NET_ADMIN", "NET_RAW"}}, {"cleanCiliumState", []string{"NET_ADMIN", "SYS_ADMIN"}}}}}},
		{"loadBalancer", []entry{{"algorithm", "maglev"}, {"mode", q("dsr")}}},
		{"l2announcements", []entry{{"enabled", true}}},
		{"bandwidthManager", []entry{{"enabled", true}, {"bbr", true}}},
		{"gatewayAPI", []entry{{"enabled", false}, {"enableAlpn", true}}},
		{"envoy", []entry{{"enabled", false}}},
		{"cni", []entry{{"exclusive", false}}},
		{"devices", []string{"bond+", q("enp+")}},
		{"cluster", []entry{{"name", "home"}, {"id", 1}}},
		{"prometheus", []entry{{"enabled", true}, {"serviceMonitor", []entry{{"enabled", true}, {"trustCRDsExist", true}}}}},
		{"ipv4", []entry{{"enabled", true}}},
	}
}

// awkward is what serialisers trip over; none of it fits into flow style.
func (f *File) awkward() []entry {
	if f.hand.inline == oneLine || f.hand.inline == manyLines {
		return []entry{{"updateStrategy", []entry{{"type", "RollingUpdate"}}}, {"policyEnforcementMode", `""`}}
	}
	long := strings.Repeat("a long description of this release that no editor has wrapped ", 3)
	return []entry{
		{"extraConfig", "|\nallow-localhost: policy\n\n  deeper: yes\n# not a comment"},
		{"description", ">\nfolded text that\ngoes on\n\n  - with a more\n    indented part\n\nand an end"},
		{"podAnnotations", []entry{{"example.org/long", q2(long)}, {"example.org/plain", strings.TrimSpace(long)}}},
		{"resources", []entry{{"limits", "&limits\nmemory: 1Gi\ncpu: \"1\""}, {"requests", "*limits"}}},
		{"nodeinit", []entry{{"<<", "&init { enabled: true, bootstrapFile: /tmp/x }"}, {"restartPods", false}}},
		{"empty", ""},
		{"tilde", "~"},
		{"octal", "0o644"},
		{"version", `"1.10"`},
	}
}

func q2(s string) string { return `"` + s + `"` }
