package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// verified judges by what probes saw since every agent runs the change. Before
// that, and without probes, nothing is judged.
func (j *judge) verified() {
	j.flows()
	switch {
	case !j.done(StageMerged) || !j.done(StageReconciled) || !j.done(StageRolledOut):
		j.wait(StageVerified, snapshot.No, "", "every agent has to run the change first")
		if j.overGrace && j.done(StageReconciled) {
			j.regressed(j.steps[StageReconciled])
		}
		return
	case !j.in.Probes.Listening:
		j.wait(StageVerified, snapshot.Unknown, "", "no probes are listened to, so nobody sees what pods experience")
		return
	}
	since := j.activeSince()
	if left := since.Add(j.in.Hold).Sub(j.in.Now); left > 0 {
		j.wait(StageVerified, snapshot.No, "", "flows have to be seen for %s more", lasted(left))
	}
	if j.in.Probes.From.After(since) {
		since = j.in.Probes.From
	}
	for _, p := range j.in.Planned.Causes {
		j.cause(p, since)
	}
	j.senders(since)
	j.seenAnew()
	j.stillFails(since)
	j.unbroken(since)
	j.newlyConfirmed(since)
	j.beside()
	j.regressed(j.steps[StageVerified])
}

// activeSince is when every agent was first seen to run the change.
func (j *judge) activeSince() time.Time {
	return latestOr(j.in.Before.RolledOut, j.in.Now)
}

// masks: being masqueraded is part of the failure.
func (j *judge) masks() bool { return j.in.Planned.EndsMasquerade }

// failing are the classes that the change is to cure: those that failed before in
// the causes' families, and of them those between nodes where there are any.
// Where nothing was seen to fail that is tried again, they are all that are tried
// between nodes; of one node, all that are tried.
func (j *judge) failing() []Class {
	failed := j.failed()
	if anyByTurns(failed) {
		return failed
	}
	for _, c := range j.in.Probes.classes() {
		if j.promised(c) && j.tells(c) && !slices.Contains(failed, c) {
			failed = append(failed, c)
		}
	}
	return failed
}

// failed are those of the baseline, without what was hardly ever tried where there
// are others: it may not be tried again for long.
func (j *judge) failed() []Class {
	if often := j.failedOf(brokenLeast); len(often) > 0 {
		return often
	}
	return j.failedOf(1)
}

// failedOf are those that were tried so often at least.
func (j *judge) failedOf(least int) []Class {
	if j.in.Baseline == nil {
		return nil
	}
	var across, others []Class
	for _, c := range j.in.Baseline.Classes {
		switch {
		case c.tried() < least, c.well(j.masksFor(c.Class)), !j.promised(c.Class):
		case c.across():
			across = append(across, c.Class)
		default:
			others = append(others, c.Class)
		}
	}
	if len(across) > 0 {
		return across
	}
	return others
}

// alone: the cluster has one node, so that no flow goes from one to another.
func (j *judge) alone() bool { return len(j.in.Nodes) == 1 && len(j.sendersWanted()) == 1 }

// tells: a flow of the class is among those that a change is judged by.
func (j *judge) tells(c Class) bool { return c.across() || j.alone() }

// between names the flows that tell.
func (j *judge) between() string {
	if j.alone() {
		return "on the only node"
	}
	return "between nodes"
}

// across: the flow goes from one node to another, or may.
func (c Class) across() bool { return !c.SameNode && (c.Via == podIP || c.Via == clusterIP) }

const clusterIP = "ClusterIP"

// masksFor: only a flow by a pod's own address shows whose source is seen.
func (j *judge) masksFor(c Class) bool { return j.masks() && c.Via == podIP }

// concerns says whether a family is one of the causes'.
func (j *judge) concerns(family string) bool {
	if len(j.in.Planned.Causes) == 0 {
		return true
	}
	return slices.ContainsFunc(j.in.Planned.Causes, func(c Cause) bool { return c.Family == "" || c.Family == family })
}

// promised says whether a class that failed is one that the change was to cure: one
// of its causes' families, and for a masquerade one that shows its source. Whatever
// else fails is told beside the verdict.
func (j *judge) promised(c Class) bool {
	return j.concerns(c.Family) && (!j.masks() || c.Via == podIP)
}

// cause: as long as observations made since confirm it, it is not cured; when they
// do so for the hold time, the change has no effect.
func (j *judge) cause(c Cause, since time.Time) {
	for _, f := range j.in.Probes.Confirmed {
		if !c.covers(f.Cause) || !f.Last.After(since) {
			continue
		}
		j.wait(StageVerified, snapshot.No, "", "%s is still confirmed, by what was seen %s", name(f.Signature), stamp(f.Last))
		if !f.Last.Before(since.Add(j.in.Hold)) {
			j.still = append(j.still, fmt.Sprintf("%s is confirmed by what probes saw %s after that%s", name(f.Signature), lasted(f.Last.Sub(since)), said(f.Summary)))
		}
		return
	}
}

// senders: the cure takes effect at the sending node, so each of them has to be
// heard, and to reach others in every kind of flow that failed, and once at least in
// every family that worked.
//
// Not every protocol has to be tried anew from each: one that was tried stands for
// those that failed with it on the same way, in the same family, to the same kind of
// target, from the same node (see [judge.stands]).
func (j *judge) senders(since time.Time) {
	failing, families := kinds(j.failing()), j.families()
	if len(failing) == 0 {
		j.wait(StageVerified, snapshot.Unknown, "", "no flows %s were tried yet", j.between())
	}
	why := map[string][]string{}
	tri := map[string]snapshot.Tri{}
	for _, n := range j.sendersWanted() {
		if t, reason := j.sends(n, failing, families, since); t != snapshot.Yes {
			why[reason] = append(why[reason], n.Node)
			tri[reason] = t
		}
	}
	reasons := make([]string, 0, len(why))
	for r := range why {
		reasons = append(reasons, r)
	}
	slices.Sort(reasons)
	for _, r := range reasons[:min(len(reasons), maxListed)] {
		j.wait(StageVerified, tri[r], "", "%s: %s", some(why[r]), r)
	}
	if len(reasons) > maxListed {
		j.wait(StageVerified, snapshot.Unknown, "", "and %d more reasons on other nodes", len(reasons)-maxListed)
	}
}

// sendersWanted are the nodes with an agent, with what was heard of their probes,
// and probes of other nodes.
func (j *judge) sendersWanted() []Sender {
	out := slices.Clone(j.in.Probes.Senders)
	seen := make(map[string]bool, len(out))
	for _, s := range out {
		seen[name(s.Node)] = true
	}
	for _, n := range j.out.Nodes {
		if !seen[n.Node] {
			out = append(out, Sender{Node: n.Node})
		}
	}
	slices.SortFunc(out, func(a, b Sender) int { return strings.Compare(a.Node, b.Node) })
	return out
}

// families are the classes between pods that worked before, by family.
func (j *judge) families() [][]Class {
	var out [][]Class
	for _, family := range []string{"IPv4", "IPv6"} {
		var group []Class
		for _, b := range j.worked() {
			if b.Family == family && b.Via == podIP && j.tells(b.Class) {
				group = append(group, b.Class)
			}
		}
		if len(group) > 0 {
			out = append(out, group)
		}
	}
	return out
}

// worked are the classes of the baseline of which nothing failed.
func (j *judge) worked() []ClassCount {
	if j.in.Baseline == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(j.in.Baseline.Classes), func(b ClassCount) bool { return !b.well(j.masksFor(b.Class)) })
}

// sends says whether all that failed before works from a node, heard at the end of
// the hold time, and something of each family that worked.
func (j *judge) sends(s Sender, failing, families [][]Class, since time.Time) (snapshot.Tri, string) {
	switch {
	case s.Heard.IsZero():
		return snapshot.Unknown, "nothing was heard of its probe" + said(s.Silent)
	case s.Silent != "":
		return snapshot.Unknown, "its probe is silent" + said(s.Silent)
	case s.Heard.Before(since.Add(j.in.Hold)):
		return snapshot.Unknown, "its probe has not spoken at the end of the hold time yet"
	}
	some := false
	for _, group := range failing {
		t, reason, checked := j.stands(group, s.count)
		if checked && t != snapshot.Yes {
			return t, reason
		}
		some = some || checked
	}
	if !some && len(failing) > 0 {
		return snapshot.Unknown, "its probe could check nothing of what failed"
	}
	for _, group := range families {
		if !s.reaches(group) {
			return snapshot.Unknown, group[0].Family + " " + j.between() + ", which worked before, was not seen to work yet"
		}
	}
	return snapshot.Yes, ""
}

// reaches: one exchange of the classes was answered, or none can be made.
func (s Sender) reaches(group []Class) bool {
	cannot := true
	for _, c := range group {
		n := s.count(c)
		if n.OK+n.Masked > 0 {
			return true
		}
		cannot = cannot && n.Lost == 0 && (n.NotChecked > 0 || !c.byTurns())
	}
	return cannot
}

// seenAnew: nothing of what failed before is taken as cured that nobody tried since,
// however seldom it was tried before.
func (j *judge) seenAnew() {
	for _, group := range kinds(j.failedOf(1)) {
		if !anyByTurns(group) {
			continue
		}
		if t, reason, _ := j.stands(group, j.in.Probes.total); t != snapshot.Yes {
			j.wait(StageVerified, t, "", "what failed before: %s", reason)
		}
	}
}

// works: answered, with no more lost than noise, or nothing wrong for the hold
// time.
func (j *judge) works(c Class, n Count) (snapshot.Tri, string) {
	masks := j.masksFor(c)
	quiet := n.LastBad.IsZero() || !j.in.Now.Before(n.LastBad.Add(j.in.Hold)) && n.LastOK.After(n.LastBad)
	switch {
	case n.tried() == 0:
		return snapshot.Unknown, c.String() + " was not tried yet"
	case masks && n.Masked > 0 && !quiet:
		return snapshot.No, c.String() + " is still masqueraded"
	case n.OK == 0 && (masks || n.Masked == 0):
		return snapshot.No, c.String() + " is not answered"
	case !quiet && !n.well(masks):
		return snapshot.No, c.String() + " still fails"
	}
	return snapshot.Yes, ""
}

// stillFails: what was to be cured goes wrong from two senders at least, or from
// all there are, most of the time and for the hold time.
func (j *judge) stillFails(since time.Time) {
	for _, c := range j.failed() {
		if bad, tried := j.lastingFrom(c, since); len(bad) > 0 && len(bad) >= min(2, tried) {
			j.still = append(j.still, fmt.Sprintf("%s still fails from %s: %s", c, some(bad), j.in.Probes.total(c)))
		}
	}
}

// lastingFrom are the senders from which a class is broken, and how many tried it.
func (j *judge) lastingFrom(c Class, since time.Time) (bad []string, tried int) {
	for _, s := range j.in.Probes.Senders {
		n := s.count(c)
		if n.tried() > 0 {
			tried++
		}
		if j.lasting(c, n, since) {
			bad = append(bad, s.Node)
		}
	}
	return bad, tried
}

// lasting: broken from the beginning of the hold time to its end.
func (j *judge) lasting(c Class, n Count, since time.Time) bool {
	return n.broken(j.masksFor(c)) && !n.LastBad.Before(since.Add(j.in.Hold)) && n.LastBad.Sub(n.FirstBad) >= j.in.Hold/2
}
