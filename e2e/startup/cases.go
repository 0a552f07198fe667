package startup

import (
	"maps"
	"path"
	"slices"
	"strings"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/startcases"
)

// Case is one configuration to start agents with, of every release.
type Case struct {
	// Rule refuses it in Version; it is empty when the configuration starts there.
	Rule, Version string
	// Change is laid over the base of package startcases, Arg is an argument of the
	// command line.
	Change startcases.Change
	Arg    string
}

// Name is what is other than in the base; no two cases have the same.
func (c Case) Name() string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(c.Change)) {
		switch value := c.Change[key]; {
		case value == "-":
			parts = append(parts, "no "+key)
		case value == "" || strings.ContainsAny(value, " \t\n,"):
			parts = append(parts, key+"="+quote(value))
		default:
			parts = append(parts, key+"="+value)
		}
	}
	if c.Arg != "" {
		parts = append(parts, c.Arg)
	}
	if len(parts) == 0 {
		return "the base"
	}
	return strings.Join(parts, " ")
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }

// Cases are all there are, each once.
func Cases() (out []Case) {
	seen := map[string]bool{}
	add := func(c Case) {
		if name := c.Name(); !seen[name] {
			seen[name] = true
			out = append(out, c)
		}
	}
	for _, c := range slices.Concat(startcases.Agent(), startcases.ByFacts(), startcases.Operator()) {
		add(Case{Rule: c.Rule, Version: c.Version, Change: c.Change})
	}
	for _, arg := range []string{"--no-such-flag", "--kube-proxy-replacement=strict"} {
		add(Case{Rule: "V50", Version: "1.20.2", Arg: arg})
	}
	for _, c := range startcases.Accepted() {
		add(Case{Version: c.Version, Change: c.Change})
	}
	return out
}

// Core are the cases of every run: the base, and a refusal of each stage of a start.
func Core() (out []Case) {
	rules := []string{"", "V49", "V50", "V3", "V9", "V1", "V53", "V26", "V52", "V63", "V13", "V64"}
	for _, c := range Cases() {
		if i := slices.Index(rules, c.Rule); i >= 0 {
			rules = slices.Delete(rules, i, i+1)
			out = append(out, c)
		}
	}
	return out
}

const masqAgentKey = "ip-masq-agent-config-path"

// Values are the whole configuration, but for what only says where files lie.
func (c Case) Values() map[string]string {
	values := startcases.Values(c.Change)
	if _, there := values["devices"]; !there {
		values["devices"] = "eth0"
	}
	return values
}

// Operator says whether an operator is started with it, which reads the same ConfigMap,
// and no agent.
func (c Case) Operator() bool {
	return strings.HasPrefix(c.Rule, "O") || c.Rule == "" && c.Change["ipam"] == "cluster-pool"
}

// NeedsOperator says that an agent waits for one to hand out addresses, so that its start has no
// end unless a rule refuses it.
func (c Case) NeedsOperator() bool { return !c.Operator() && c.Values()["ipam"] != "kubernetes" }

// Expect is the catalogue's answer for a version on a machine.
func (c Case) Expect(m Machine) agent.Start {
	cfg := agent.Config{Version: m.Cilium, Values: c.Values(), Node: m.Facts()}
	cfg.Node.IPsecKey = snapshot.TriOf(cfg.Values["ipsec-key-file"] == startcases.IPsecKeyFile)
	folder := path.Dir(cfg.Values[masqAgentKey])
	cfg.Node.MasqAgentFolder = snapshot.TriOf(cfg.Values[masqAgentKey] == "" || folder == path.Dir(startcases.IPsecKeyFile))
	refusal, refused := agent.CheckArg(m.Cilium, c.Arg)
	if key, value, ok := strings.Cut(strings.TrimPrefix(c.Arg, "--"), "="); ok {
		cfg.Values[key] = value // the command line wins over the ConfigMap
	}
	start := agent.CheckStart(cfg)
	start.Refusals = slices.DeleteFunc(slices.Clone(start.Refusals), func(r agent.Refusal) bool { return r.Operator != c.Operator() })
	if len(start.Refusals) == 0 && start.Starts == snapshot.No {
		start.Starts = snapshot.Yes // the other process refuses it
	}
	if c.Arg != "" && refused {
		start.Starts = snapshot.No
		start.Refusals = append([]agent.Refusal{refusal}, start.Refusals...)
	}
	return start
}

// Notices are the silent changes that the catalogue names for the configuration.
func (c Case) Notices(version string) []agent.Notice {
	_, notices := agent.Effective(agent.Config{Version: version, Values: c.Values()})
	return notices
}
