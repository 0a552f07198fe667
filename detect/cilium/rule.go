package cilium

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Kind says what a rule does to the process.
type Kind string

const (
	// KindAgent: the agent prints the message and exits.
	KindAgent Kind = "agent"
	// KindOperator: the operator prints the message and exits.
	KindOperator Kind = "operator"
	// KindDatapath: the agent stays up, its datapath never initialises.
	KindDatapath Kind = "datapath"
	// KindNotice: the agent starts and does something other than configured.
	KindNotice Kind = "notice"
)

// Rule is one start-up rule or silent change of Cilium.
type Rule struct {
	ID    string
	Title string
	// Message is what the process prints, "…" where a value stands.
	Message string
	Kind    Kind
	// From and Until bound the releases, "1.19" and so on, Until exclusive;
	// empty is open.
	From, Until string
	// Keys of the ConfigMap that decide.
	Keys []string
	// Source is file:line and the version that it was read in.
	Source string
	// Needs names a fact beyond the configuration; without it the answer is unknown.
	Needs string

	stage stage
	check func(*agent) verdict
}

// In says whether the rule is one of a version, "1.18.6". A version outside of what the
// rules know has those of the nearest known one.
func (r Rule) In(version string) bool { return r.in(modelled(version)) }

func (r Rule) in(rel release) bool { return Flag{From: r.From, Until: r.Until}.in(rel) }

// stage orders rules as the agent evaluates them (daemon/cmd/root.go, 1.18.6):
// the first refusal ends the process, so it is the only one printed.
type stage int

const (
	stageFlags    stage = iota // types of the ConfigMap's values
	stagePopulate              // option.Config.Populate
	stageInit                  // initEnv
	stageValidate              // option.Config.Validate
	stageGraph                 // constructors of the object graph
	stageStart                 // start hooks before the daemon's own
	stageDaemon                // newDaemon, or initAndValidateDaemonConfig since 1.19
	stageDevices               // after device detection
	stageLate                  // masquerade, IPAM and loaders at the end
	stageOperator
)

// verdict of a rule: the messages it prints, or why it cannot be decided.
type verdict struct {
	messages []string
	unknown  string
}

// refuse says the message when the condition holds.
func refuse(cond bool, format string, args ...any) verdict {
	if !cond {
		return verdict{}
	}
	return verdict{messages: []string{fmt.Sprintf(format, args...)}}
}

// maxMessage bounds a message in bytes; values of hostile configurations end up in it.
const maxMessage = 2048

// printable cuts a message and replaces what would steer a terminal.
func printable(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, s)
}

// depends is for a condition that a fact of the node decides: No refuses, an
// unknown fact makes the start unknown.
func depends(cond bool, fact snapshot.Tri, unknown, format string, args ...any) verdict {
	switch {
	case !cond || fact == snapshot.Yes:
		return verdict{}
	case fact == snapshot.No:
		return refuse(true, format, args...)
	}
	return verdict{unknown: unknown}
}

// Start says whether agent and operator start with a configuration.
type Start struct {
	// Starts is Unknown when only a fact of the kernel or the node decides.
	Starts snapshot.Tri
	// Refusals in the order in which the process evaluates them: it prints the
	// first of the agent's and exits; the others would follow once that is
	// repaired. Later ones may be consequences of the first.
	Refusals []Refusal
	// Datapath are rules that leave the process up and its datapath
	// uninitialised: nothing is forwarded for new pods. Treat them as refusals.
	Datapath []Refusal
	// Unknown names the facts that decide, one per undecided rule.
	Unknown []string
}

// First is the refusal that is printed; nil without one.
func (s Start) First() *Refusal {
	if len(s.Refusals) == 0 {
		return nil
	}
	return &s.Refusals[0]
}

// CheckStart evaluates the start-up rules of the configuration's version. For
// a version outside of 1.16 to 1.20 the answer is Unknown and no rule is applied;
// without a version it is what 1.18, 1.19 and 1.20 agree on. A rule that reads a
// key of [Config.Unknown] decides nothing. Operator rules count only when the
// configuration states its IPAM mode.
func CheckStart(cfg Config) Start { return checkVersions(cfg, nil) }

// CheckChange is CheckStart for a configuration that replaces one whose agents
// run: a rule that depends on an unknown fact of the node, and none of whose
// keys change, holds as before.
func CheckChange(running, next Config) Start {
	delta := Delta(running, next)
	sameVersion := modelled(running.Version) == modelled(next.Version)
	return checkVersions(next, func(r Rule) bool {
		for _, k := range r.Keys {
			if _, changed := delta[k]; changed {
				return false
			}
		}
		return sameVersion
	})
}

func checkVersions(cfg Config, proven func(Rule) bool) Start {
	rel, ok := parseRelease(cfg.Version)
	switch {
	case ok && !rel.known():
		return Start{Unknown: []string{printable(unmodelled(cfg.Version))}}
	case ok:
		return checkStart(cfg, rel, proven)
	}
	s := checkStart(cfg, release{1, 18, 6}, proven)
	for _, other := range []release{{1, 19, 5}, {1, 20, 2}} {
		s = s.agreeing(checkStart(cfg, other, proven), other)
	}
	if why := unmodelled(cfg.Version); why != "" {
		s.Starts = snapshot.Unknown
		s.Unknown = append(s.Unknown, printable(why))
	}
	return s
}

// agreeing is what two releases agree on.
func (s Start) agreeing(other Start, rel release) Start {
	if other.Starts != s.Starts {
		s.Starts = snapshot.Unknown
		s.Unknown = append(s.Unknown, fmt.Sprintf("the Cilium version: %d.%d differs from 1.18 here", rel[0], rel[1]))
	}
	s.Refusals = common(s.Refusals, other.Refusals)
	s.Datapath = common(s.Datapath, other.Datapath)
	return s
}

// common are the refusals of a whose rule is among b's too.
func common(a, b []Refusal) []Refusal {
	return slices.DeleteFunc(slices.Clone(a), func(r Refusal) bool {
		return !slices.ContainsFunc(b, func(o Refusal) bool { return o.ID == r.ID })
	})
}

func checkStart(cfg Config, rel release, proven func(Rule) bool) Start {
	a := newAgent(cfg)
	a.rel = rel
	var s Start
	undecided := map[string][]string{}
	for _, r := range ordered() {
		if !r.in(rel) || r.check == nil || r.Kind == KindNotice {
			continue
		}
		v, unknown := a.unknownTo(r.check)
		holds := proven != nil && proven(r)
		switch {
		case len(unknown) == 0:
			s.add(r, v)
		case !holds:
			for _, k := range unknown {
				undecided[k] = append(undecided[k], r.ID)
			}
		}
		if v.unknown != "" && !holds {
			s.Unknown = append(s.Unknown, r.ID+": "+printable(v.unknown))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(undecided)) {
		s.Unknown = append(s.Unknown, printable(fmt.Sprintf("%s (rules %s): %s", k, strings.Join(slices.Compact(undecided[k]), ", "), cfg.Unknown[k])))
	}
	switch {
	case len(s.Refusals) > 0:
		s.Starts = snapshot.No
	case len(s.Unknown) == 0:
		s.Starts = snapshot.Yes
	}
	return s
}

// add notes what a rule says.
func (s *Start) add(r Rule, v verdict) {
	for _, m := range v.messages {
		f := Refusal{ID: r.ID, Message: printable(m), Keys: r.Keys, Operator: r.Kind == KindOperator, Source: r.Source}
		if r.Kind == KindDatapath {
			s.Datapath = append(s.Datapath, f)
		} else {
			s.Refusals = append(s.Refusals, f)
		}
	}
}

// ordered are all rules in order of evaluation. Nobody changes them.
var ordered = sync.OnceValue(func() []Rule {
	var out []Rule
	for _, group := range [][]Rule{
		flagRules, populateRules, initRules, validateRules, graphRules,
		startRules, balancerRules, masqueradeRules, operatorRules, noticeRules,
	} {
		out = append(out, group...)
	}
	for i := range out {
		out[i].Keys = withAliases(out[i].Keys)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].stage < out[j].stage })
	return out
})

// withAliases adds the keys that are read wherever another one is: older names,
// and what turns the same thing on.
func withAliases(keys []string) []string {
	aliases := map[string][]string{
		"bpf-lb-mode":            {"bpf-lb-mode-annotation", "node-port-mode"},
		"bpf-lb-acceleration":    {"node-port-acceleration"},
		"kube-proxy-replacement": {"enable-node-port"},
		"enable-egress-gateway":  {"enable-ipv4-egress-gateway"},
		"enable-ipv4-masquerade": {"enable-ipv4"},
		"enable-ipv6-masquerade": {"enable-ipv6"},
		"underlay-protocol":      {"enable-ipv4", "enable-ipv6"},
	}
	out := slices.Clone(keys)
	for _, k := range keys {
		for _, alias := range aliases[k] {
			if !slices.Contains(out, alias) {
				out = append(out, alias)
			}
		}
	}
	return out
}

// Rules is the catalogue: V1… of the agent, O1… of the operator, W1… silent
// changes, sorted by id and release. An id appears once per wording.
func Rules() []Rule {
	out := slices.Clone(ordered())
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.ID != b.ID {
			return idLess(a.ID, b.ID)
		}
		return a.From < b.From
	})
	return out
}

// RuleByID finds every wording of a rule.
func RuleByID(id string) []Rule {
	var out []Rule
	for _, r := range Rules() {
		if strings.EqualFold(r.ID, id) {
			out = append(out, r)
		}
	}
	return out
}

// idLess sorts V before O before W, and V9 before V10.
func idLess(a, b string) bool {
	const letters = "VOW"
	if a[0] != b[0] {
		return strings.IndexByte(letters, a[0]) < strings.IndexByte(letters, b[0])
	}
	x, _ := strconv.Atoi(a[1:])
	y, _ := strconv.Atoi(b[1:])
	return x < y
}

// Delta are the keys whose values differ, with both sides; a missing side is nil.
func Delta(a, b Config) map[string][2]*string {
	out := map[string][2]*string{}
	for k, v := range a.Values {
		if w, ok := b.Values[k]; !ok {
			out[k] = [2]*string{&v, nil}
		} else if v != w {
			out[k] = [2]*string{&v, &w}
		}
	}
	for k, w := range b.Values {
		if _, ok := a.Values[k]; !ok {
			out[k] = [2]*string{nil, &w}
		}
	}
	return out
}
