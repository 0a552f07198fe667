package guard

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// asked is all that a rule may look at.
type asked struct {
	limits   Limits
	cluster  Cluster
	proposal Proposal
	past     []Past
	rivals   []Rival
	now      time.Time
}

// verdict of one rule. because holds the reasons of a refusal, else what was
// checked; retry is when a refusal ends by itself.
type verdict struct {
	refused bool
	because []string
	retry   time.Time
}

func pass(format string, args ...any) verdict {
	return verdict{because: []string{fmt.Sprintf(format, args...)}}
}

func refuse(because ...string) verdict { return verdict{refused: true, because: because} }

type rule struct {
	name string
	ask  func(asked) verdict
}

// rules are asked from what a human decided to what the cluster does now.
func rules() []rule {
	return []rule{
		{RuleMode, askMode},
		{RuleScope, askScope},
		{RuleRefused, askRefused},
		{RuleSnoozed, askSnoozed},
		{RuleMerged, askMerged},
		{RuleMaxOpen, askMaxOpen},
		{RuleMaxPerDay, askMaxPerDay},
		{RuleUpgrading, askUpgrading},
		{RuleSuspended, askSuspended},
		{RuleNodes, askNodes},
		{RuleRival, askRival},
	}
}

func askMode(a asked) verdict {
	if a.limits.Mode != Propose {
		return refuse(fmt.Sprintf("the mode is %q: nothing is proposed unless it is %s", text(string(a.limits.Mode)), Propose))
	}
	return pass("the mode is %s", Propose)
}

func askScope(a asked) verdict {
	allowed := a.limits.Signatures
	switch {
	case len(allowed) == 0:
		return pass("every signature may be proposed for")
	case !slices.Contains(allowed, a.proposal.Signature):
		return refuse(fmt.Sprintf("%s is not among the signatures that may be proposed for: %s", text(a.proposal.Signature), listed(allowed)))
	}
	return pass("%s is among the signatures that may be proposed for", text(a.proposal.Signature))
}

func askRefused(a asked) verdict {
	var because []string
	lifted := ""
	for _, p := range a.past {
		at, why := refusal(p)
		if why == "" || !a.sameChange(p) || !a.sameFacts(p) {
			continue
		}
		if c, ok := a.replanned(at); ok {
			lifted = fmt.Sprintf("the refusal in %s was lifted: %s said replan, %s", name(p.Number, p.URL), person(c.By), stamp(c.At))
			continue
		}
		facts := "the facts are the same"
		if p.Facts == "" {
			facts = "its record is gone, so the facts count as the same"
		}
		because = append(because, fmt.Sprintf("%s for the same change %s, and %s; comment /remediate replan there to have it proposed again", name(p.Number, p.URL), why, facts))
	}
	switch {
	case len(because) > 0:
		return refuse(because...)
	case lifted != "":
		return pass("%s", lifted)
	}
	return pass("nobody refused this change on these facts")
}

// refusal says when and how a human refused a pull request; why is empty when
// none did.
func refusal(p Past) (at time.Time, why string) {
	if p.State == "closed" && !p.ByUs {
		at, why = ended(p), "was closed by a human, "+stamp(ended(p))
	}
	for _, c := range p.Commands {
		if c.Verb != Reject {
			continue
		}
		reason := "without a reason"
		if c.Arg != "" {
			reason = "with the reason: " + text(c.Arg)
		}
		why = fmt.Sprintf("was rejected by %s, %s, %s", person(c.By), stamp(c.At), reason)
		if c.At.After(at) {
			at = c.At
		}
	}
	return at, why
}

// ended is when a pull request ended, at the earliest.
func ended(p Past) time.Time {
	if p.Ended.IsZero() {
		return p.Opened
	}
	return p.Ended
}

// replanned finds a replan that someone wrote in any pull request of this cause
// after at.
func (a asked) replanned(at time.Time) (Command, bool) {
	for _, p := range a.past {
		if !a.sameCause(p) {
			continue
		}
		for _, c := range p.Commands {
			if c.Verb == Replan && c.At.After(at) {
				return c, true
			}
		}
	}
	return Command{}, false
}

func (a asked) sameCause(p Past) bool {
	return p.Cluster == a.proposal.Cluster && p.Signature == a.proposal.Signature
}

func (a asked) sameChange(p Past) bool { return a.sameCause(p) && p.Change == a.proposal.Change }

func (a asked) sameFacts(p Past) bool { return p.Facts == "" || p.Facts == a.proposal.Facts }

func askSnoozed(a asked) verdict {
	c, until, ok := Snoozed(a.proposal.Cluster, a.past, a.now)
	if !ok {
		return pass("nobody snoozed this cluster")
	}
	v := refuse(fmt.Sprintf("snoozed by %s until %s; comment /remediate replan to end it", person(c.By), stamp(until)))
	v.retry = until
	return v
}

// Snoozed finds the snooze that holds for a cluster at now, and when it ends. In
// each pull request the last snooze counts, unless a replan came after it; of
// several pull requests the one that lasts longest.
func Snoozed(cluster string, past []Past, now time.Time) (c Command, until time.Time, ok bool) {
	for _, p := range past {
		if p.Cluster != cluster {
			continue
		}
		last, ends := lastSnooze(p.Commands)
		if ends.After(now) && ends.After(until) {
			c, until, ok = last, ends, true
		}
	}
	return c, until, ok
}

func lastSnooze(commands []Command) (last Command, until time.Time) {
	for _, c := range commands {
		switch {
		case c.At.Before(last.At):
		case c.Verb == Snooze && c.For > 0:
			last, until = c, c.At.Add(min(c.For, MaxSnooze))
		case c.Verb == Replan:
			last, until = c, time.Time{}
		}
	}
	return last, until
}

func askMerged(a asked) verdict {
	var because []string
	for _, p := range a.past {
		if p.State != "merged" || !a.sameChange(p) {
			continue
		}
		if _, ok := a.replanned(ended(p)); !ok {
			because = append(because, fmt.Sprintf("%s with the same change was merged, %s, and is being verified; comment /remediate replan there to have it proposed again", name(p.Number, p.URL), stamp(ended(p))))
		}
	}
	if len(because) > 0 {
		return refuse(because...)
	}
	return pass("this change was not merged before")
}

func askMaxOpen(a asked) verdict {
	var open []string
	for _, p := range a.past {
		if p.State == "open" && (p.Number == 0 || p.Number != a.proposal.Replaces) {
			open = append(open, name(p.Number, p.URL))
		}
	}
	most := a.limits.MaxOpen
	switch {
	case most == 0:
		return pass("%d of our pull requests open, without a limit", len(open))
	case len(open) >= most:
		return refuse(fmt.Sprintf("%d of our pull requests open, of at most %d: %s", len(open), most, listed(open)))
	}
	return pass("%d of our pull requests open, of at most %d", len(open), most)
}

func askMaxPerDay(a asked) verdict {
	const day = 24 * time.Hour
	var opened []time.Time
	for _, p := range a.past {
		if p.Opened.After(a.now.Add(-day)) {
			opened = append(opened, p.Opened)
		}
	}
	most := a.limits.MaxPerDay
	switch {
	case most == 0:
		return pass("%d opened in 24 hours, without a limit", len(opened))
	case len(opened) < most:
		return pass("%d opened in 24 hours, of at most %d", len(opened), most)
	}
	v := refuse(fmt.Sprintf("%d of our pull requests were opened in the last 24 hours, of at most %d", len(opened), most))
	if most > 0 {
		slices.SortFunc(opened, time.Time.Compare)
		v.retry = opened[len(opened)-most].Add(day)
	}
	return v
}

func askUpgrading(a asked) verdict {
	if s := a.cluster.Upgrading; s != "" {
		return refuse("Cilium is rolled out right now: " + text(s) + "; wait until it ends")
	}
	return pass("no rollout of Cilium is seen")
}

func askSuspended(a asked) verdict {
	if s := a.cluster.Suspended; s != "" {
		return refuse(text(s) + " is suspended, so that Flux would not apply the change; resume it, or leave it to the person who suspended it")
	}
	return pass("nothing is seen to be suspended")
}

func askNodes(a asked) verdict {
	n, bad, most := a.cluster.Nodes, a.cluster.NotReady, a.limits.MaxNotReadyPercent
	if n <= 0 {
		return pass("how many nodes are ready is not known")
	}
	if 100*int64(bad) > int64(most)*int64(n) {
		return refuse(fmt.Sprintf("%d of %d nodes are not ready, more than %d %%: something larger is wrong", bad, n, most))
	}
	return pass("%d of %d nodes are not ready, at most %d %% may be", bad, n, most)
}

func askRival(a asked) verdict {
	var because []string
	for _, r := range a.rivals {
		because = append(because, fmt.Sprintf("%s, a human's, changes the same keys: %s; merge or close it first", name(r.Number, r.URL), listed(r.Keys)))
	}
	if len(because) > 0 {
		return refuse(because...)
	}
	return pass("no open pull request of a human changes the same keys")
}

func name(number int, url string) string {
	if url == "" {
		return fmt.Sprintf("pull request %d", number)
	}
	return fmt.Sprintf("pull request %d (%s)", number, text(url))
}

func person(login string) string {
	if s := printable(login, 100); s != "" {
		return s
	}
	return "someone"
}

func text(s string) string { return printable(s, maxArg) }

// listed joins at most eight items.
func listed(items []string) string {
	const most = 8
	var out []string
	for _, s := range items[:min(most, len(items))] {
		out = append(out, text(s))
	}
	if rest := len(items) - len(out); rest > 0 {
		out = append(out, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(out, ", ")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "at a time that is not known"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
