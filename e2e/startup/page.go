package startup

import (
	"fmt"
	"slices"
	"strings"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// untried says why no agent is tried with a rule; empty when one is.
func untried(rule agent.Rule) string {
	switch {
	case rule.ID == "V27":
		return "V26 comes before it"
	case rule.ID == "V45":
		return "takes a kernel without ip6tables"
	case rule.ID == "V29" && rule.From == "1.19", rule.ID == "W9":
		return "takes a kernel with WireGuard"
	case rule.ID == "V39", rule.ID == "V40":
		return "takes the machine's own network namespace"
	case rule.ID == "W18":
		return "takes an ip-masq-agent file"
	case slices.Contains([]string{"W13", "W14", "W15", "W16"}, rule.ID):
		return "not decided by the configuration"
	}
	return ""
}

// judged is one case as a version answered it, beside the catalogue.
type judged struct {
	Case
	seen    Outcome
	tried   bool
	want    agent.Start
	notices []agent.Notice
	wrong   string
}

// table is a record with the catalogue's answers, in the order of the cases.
type table struct {
	Machine
	rows []judged
}

func (r Record) table() table {
	t := table{Machine: r.Machine}
	for _, c := range Cases() {
		j := judged{Case: c, want: c.Expect(r.Machine), notices: c.Notices(r.Machine.Cilium)}
		seen, ok := r.Seen[c.Name()]
		j.seen, j.tried = seen, ok && seen.NotTried == ""
		if j.tried {
			j.wrong = seen.Wrong(j.want)
		}
		t.rows = append(t.rows, j)
	}
	return t
}

func tables(all []Record) (out []table) {
	for _, r := range all {
		out = append(out, r.table())
	}
	return out
}

// by says whether the version answered a case by the rule, as the catalogue has it.
func (j judged) by(rule agent.Rule, version string) bool {
	switch {
	case !j.tried || j.wrong != "" || !rule.In(version) || j.want.Starts == snapshot.Unknown:
		return false
	case rule.Kind == agent.KindNotice:
		return j.seen.Starts && slices.ContainsFunc(j.notices, func(n agent.Notice) bool { return n.ID == rule.ID })
	case j.want.First() != nil:
		return answers(*j.want.First(), rule)
	}
	return len(j.want.Datapath) > 0 && answers(j.want.Datapath[0], rule)
}

// answers says whether a refusal is that of a rule: wordings of the same rule differ in
// their keys or releases.
func answers(r agent.Refusal, rule agent.Rule) bool {
	return r.ID == rule.ID && (len(rule.Keys) == 0 || slices.Equal(r.Keys, rule.Keys))
}

// cell is what a version did with a case.
func (j judged) cell() string {
	switch {
	case j.seen.NotTried != "":
		return j.seen.NotTried
	case !j.tried:
		return "not tried"
	case j.wrong != "":
		return "**differs**"
	case j.want.Starts == snapshot.Unknown && !j.seen.Starts:
		return "refused, left open"
	case j.want.Starts == snapshot.Unknown:
		return "starts, left open"
	case j.want.First() != nil:
		return j.want.First().ID
	case len(j.want.Datapath) > 0:
		return "no datapath: " + j.want.Datapath[0].ID
	}
	return "starts"
}

// count is how a table's rows came out.
type count struct{ starts, refused, operator, open, wrong int }

func (t table) count() (n count) {
	for _, j := range t.rows {
		switch {
		case j.seen.NotTried != "":
			n.operator++
		case !j.tried:
			continue
		case j.seen.Starts:
			n.starts++
		default:
			n.refused++
		}
		if j.wrong != "" {
			n.wrong++
		}
		if j.tried && j.want.Starts == snapshot.Unknown {
			n.open++
		}
	}
	return n
}

// Page is docs/fidelity-startup.md.
func Page(all []Record) string {
	t := tables(all)
	var heads, rule string
	for _, v := range t {
		heads += " " + v.Cilium + " |"
		rule += "---|"
	}
	var b strings.Builder
	b.WriteString("# Start-up rules against real agents\n\n" + preface + "\n")
	b.WriteString("| Cilium | kernel | start | are refused | agree | left open | not tried |\n|---|---|---|---|---|---|---|\n")
	for _, v := range t {
		n := v.count()
		kernel := v.Kernel
		if len(v.Lacks) > 0 {
			kernel += " without " + strings.Join(v.Lacks, ", ")
		}
		tried := n.starts + n.refused
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d of %d | %d | %d |\n", v.Cilium, kernel, n.starts, n.refused, tried-n.wrong-n.open, tried, n.open, n.operator)
	}
	b.WriteString("\n" + versions + "\n## Rules\n\n" + rulesIntro + "\n| rule | releases | what it says |" + heads + "\n|---|---|---|" + rule + "\n")
	for _, r := range agent.Rules() {
		b.WriteString(ruleLine(r, t))
	}
	b.WriteString("\n## Configurations\n\n" + casesIntro + "\n| what is changed |" + heads + "\n|---|" + rule + "\n")
	for i, c := range Cases() {
		b.WriteString("| `" + strings.ReplaceAll(c.Name(), "|", `\|`) + "` |")
		for _, v := range t {
			b.WriteString(" " + v.rows[i].cell() + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// operators says whether any was tried.
func (t table) operators() bool {
	return slices.ContainsFunc(t.rows, func(j judged) bool { return j.tried && j.Operator() })
}

// ruleLine is a rule and how many configurations each version answered by it.
func ruleLine(rule agent.Rule, all []table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | %s | %s |", rule.ID, rule.Releases(), strings.ReplaceAll(rule.Title, "|", `\|`))
	for _, v := range all {
		n := 0
		for _, j := range v.rows {
			if j.by(rule, v.Cilium) {
				n++
			}
		}
		switch {
		case !rule.In(v.Cilium):
			b.WriteString(" – |")
		case n == 0 && strings.HasPrefix(rule.ID, "O") && !v.operators():
			b.WriteString(" no operator |")
		case n == 0 && untried(rule) != "":
			b.WriteString(" " + untried(rule) + " |")
		default:
			fmt.Fprintf(&b, " %d |", n)
		}
	}
	b.WriteString("\n")
	return b.String()
}

const preface = `Every rule of the catalogue (` + "`remediate explain`" + `) that says when Cilium's agent does not
start is tried on real agents. Each configuration below is given to an agent of each
version in a network namespace, the way a mounted ConfigMap is. The agent ends, and then
the last words in its log must hold the message that the catalogue quotes; or it says
that its initialisation is complete.

This page is made of what was seen, by ` + "`go test ./e2e/startup -update`" + `. ` + "`make conformance-full`" + `
tries everything again, ` + "`make e2e`" + ` a small core, and ` + "`make test`" + ` holds the catalogue against
what was seen.
`

const versions = `Cilium 1.18 is the oldest minor release that is still maintained, 1.20 the newest. The Go
module proxy lists neither 1.18 nor 1.19 and serves both by number; these are the newest
patch releases that it is known to serve. 1.18.6 is built without the fork of
k8s.io/apimachinery that its go.mod names, and 1.20.2 with GoBGP 4.8.0 in place of a
commit: the proxy serves neither. No start-up rule reads either. The operator of 1.20.2 cannot be
built: it requires sigs.k8s.io/mcs-api/controllers v0.5.2, which the proxy refuses; the rules O
are tried with the two others. No agent of 1.16 or 1.17 is built: for those the rules
follow Cilium's sources.
`

const rulesIntro = `A cell says how many configurations the version answered by the rule. A dash: the version
does not have the rule, which is not applied to it. Rules W are no refusals: the agent
starts, and does something else than configured.
`

const casesIntro = `The base starts: dual stack, native routing, iptables masquerade, kube-proxy replacement.
Each line is a change to it. *Left open* is what a fact of the node decides that nobody
stated.
`
