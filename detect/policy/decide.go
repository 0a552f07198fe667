package policy

import "fmt"

// Ingress says whether the packet may enter the subject from the peer; port is
// the subject's.
func (s *Set) Ingress(subject Subject, from Peer, port Port) Decision {
	return s.decide(subject, from, port, true)
}

// Egress says whether the packet may leave the subject to the peer; port is the
// peer's.
func (s *Set) Egress(subject Subject, to Peer, port Port) Decision {
	return s.decide(subject, to, port, false)
}

func (s *Set) decide(subject Subject, peer Peer, port Port, ingress bool) Decision {
	if s.opts.Enforcement == "never" {
		return Decision{Verdict: Allow, Reason: "policy enforcement is switched off (enable-policy=never)"}
	}
	info := s.subject(subject)
	if info.exempt {
		return Decision{Verdict: Allow, Reason: `the pod's label "host" makes Cilium take it for a node and enforce nothing (pkg/policy/repository.go:356, 1.18.6)`}
	}
	always := s.opts.Enforcement == "always" || info.initial
	rules := info.direction(ingress)
	if len(rules) == 0 && !always {
		return Decision{Verdict: Allow, Reason: "no policy selects the pod for " + direction(ingress)}
	}
	p := s.peer(peer)
	t := tally{ingress: ingress, host: p.host, name: p.name}
	if always {
		t.byDefault, t.enforced = yes, true
	}
	for i := range rules {
		t.requires = t.requires || rules[i].side.requires
		t.requiresDeny = t.requiresDeny || rules[i].side.requiresDeny
	}
	for i := range rules {
		t.rule(&rules[i], p, port)
	}
	d := t.decision()
	if s.opts.AuditMode && d.Verdict != Allow && t.proxy == no {
		d = Decision{Verdict: Allow, Enforced: d.Enforced, By: d.By, Audited: d.Verdict == Deny, Reason: "audit mode lets it pass; otherwise: " + d.Reason}
	}
	return d
}

func direction(ingress bool) string {
	if ingress {
		return "ingress"
	}
	return "egress"
}

// tally collects what the rules say. Order does not matter: any deny beats any
// allow (pkg/policy/mapstate.go:332-345, 1.18.6).
type tally struct {
	ingress, host, enforced bool
	requires, requiresDeny  bool
	name                    string

	deny, allow, proxy, byDefault match
	denyBy, allowBy, defaultBy    string
	// doubt is the first reason for a maybe, and doubtBy whose it is.
	doubt, doubtBy string
}

func (t *tally) rule(s *selected, p *peerInfo, port Port) {
	if s.m == yes && (s.side.present || s.rule.problem != "") {
		t.enforced = true
	}
	if s.rule.problem != "" {
		t.deny = max(t.deny, maybe)
		t.doubts(s.rule, s.rule.problem)
		return
	}
	if s.m == maybe {
		t.doubts(s.rule, "whether it selects the pod depends on labels that are not known")
	}
	if s.side.defaultDeny {
		if s.m > t.byDefault || t.defaultBy == "" {
			t.defaultBy = s.rule.source
		}
		t.byDefault = max(t.byDefault, s.m)
	}
	for i := range s.side.entries {
		e := &s.side.entries[i]
		if m := min(s.m, e.portsMatch(port), e.peersMatch(p)); m != no {
			t.entry(s.rule, e, m)
		}
	}
}

func (t *tally) entry(r *rule, e *entry, m match) {
	if e.byEndpoints && ((e.deny && t.requiresDeny) || (!e.deny && t.requires)) {
		m = maybe
		t.doubts(r, "fromRequires and toRequires are not modelled")
	}
	if m == maybe {
		t.doubts(r, e.doubt())
	}
	switch {
	case e.deny:
		if m > t.deny {
			t.deny, t.denyBy = m, r.source
		}
	case e.auth != "":
		t.through(r, e.auth)
	case e.proxy != "" && !(t.ingress && t.host):
		t.through(r, e.proxy)
	case m > t.allow:
		t.allow, t.allowBy = m, r.source
	}
}

func (e *entry) doubt() string {
	if e.peers.open != "" {
		return e.peers.open
	}
	for i := range e.ports {
		if e.ports[i].named != "" {
			return fmt.Sprintf("the number of the named port %q is not known", e.ports[i].named)
		}
	}
	return "whether a rule matches depends on labels, addresses or an ICMP type that are not known"
}

func (t *tally) through(r *rule, what string) {
	t.proxy = yes
	t.doubts(r, "layers 3 and 4 admit it; whether it passes is up to "+what)
}

func (t *tally) doubts(r *rule, why string) {
	if t.doubt == "" {
		t.doubt, t.doubtBy = why, r.source
	}
}

func (t *tally) decision() Decision {
	switch {
	case t.deny == yes:
		d := t.say(Deny, t.denyBy, fmt.Sprintf("a deny rule for %s covers %s", direction(t.ingress), t.name))
		d.Explicit = true
		return d
	case t.deny == maybe, t.proxy != no:
		return t.say(Unknown, t.doubtBy, t.doubt)
	case t.allow == yes:
		return t.say(Allow, t.allowBy, fmt.Sprintf("a rule for %s admits %s", direction(t.ingress), t.name))
	case t.ingress && t.host:
		return t.say(Allow, "", "a pod's own node always gets in (allow-localhost, daemon/cmd/daemon.go:499, 1.18.6)")
	case t.byDefault == no:
		return t.say(Allow, "", "the policies that select the pod deny nothing by default")
	case t.allow == maybe, t.byDefault == maybe:
		return t.say(Unknown, t.doubtBy, t.doubt)
	}
	return t.say(Deny, t.defaultBy, fmt.Sprintf("no rule for %s admits %s", direction(t.ingress), t.name))
}

func (t *tally) say(v Verdict, by, reason string) Decision {
	return Decision{Verdict: v, Enforced: t.enforced, Reason: reason, By: by}
}
