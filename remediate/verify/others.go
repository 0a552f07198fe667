package verify

import (
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// unbroken: what worked before has to be seen to work. A class that was not tried
// again yet is stood for by those of its kin that worked as well, and an open target
// by a guarded one: who reaches that reaches all.
func (j *judge) unbroken(since time.Time) {
	worked := j.worked()
	if len(worked) == 0 {
		j.allWorks(since)
		return
	}
	var often []Class
	for _, b := range worked {
		if b.tried() >= brokenLeast || j.in.Probes.total(b.Class).tried() > 0 {
			often = append(often, b.Class)
		}
	}
	for _, group := range kinds(often) {
		t, reason, checked := j.stands(group, j.in.Probes.total)
		if t == snapshot.Unknown && checked && j.stricter(group[0], often) {
			continue
		}
		if t == snapshot.No || t == snapshot.Unknown && checked {
			j.wait(StageVerified, t, "", "what worked before: %s", reason)
		}
	}
}

// stricter: guarded targets on the same way work, as they did before.
func (j *judge) stricter(c Class, worked []Class) bool {
	guards := c.kin()
	guards.target = guarded
	alike := slices.DeleteFunc(slices.Clone(worked), func(w Class) bool { return w.kin() != guards })
	if c.Target == guarded || len(alike) == 0 {
		return false
	}
	t, _, _ := j.stands(alike, j.in.Probes.total)
	return t == snapshot.Yes
}

// inTurn is how long a probe takes to try all that it tries: two passes over its
// peers in 14 s, and sixteen checks of its own, eight of them in that time.
const inTurn = 30 * time.Second

// allWorks: where it is not known what worked before, nothing is known to be
// unbroken unless all that is tried works.
func (j *judge) allWorks(since time.Time) {
	if left := since.Add(inTurn).Sub(j.in.Now); left > 0 {
		j.wait(StageVerified, snapshot.No, "", "it is not known what worked before the change, so all that probes try has to be seen: for %s more", lasted(left))
	}
	for _, c := range j.in.Probes.classes() {
		n := j.in.Probes.total(c)
		if t, reason := j.works(c, n); n.tried() > 0 && t != snapshot.Yes {
			j.wait(StageVerified, t, "", "it is not known whether it worked before the change: %s", reason)
		}
	}
}

// newlyConfirmed: a critical finding that was not there before keeps a change from
// being called fine, whatever flows it is about.
func (j *judge) newlyConfirmed(since time.Time) {
	for _, f := range j.in.Probes.Confirmed {
		if f.Critical && f.Last.After(since) && !j.expected(f.Cause) {
			j.wait(StageVerified, snapshot.No, "", "%s is confirmed, and was not before the change%s", name(f.Signature), said(f.Summary))
		}
	}
}

// expected: it was confirmed before, or is what the change is to cure.
func (j *judge) expected(f Cause) bool {
	return j.in.Baseline.confirmed(f) || slices.ContainsFunc(j.in.Planned.Causes, func(c Cause) bool { return c.covers(f) })
}

// beside tells what failed before, fails still, and was not to be cured: it decides
// nothing.
func (j *judge) beside() {
	if j.in.Baseline == nil {
		return
	}
	failing := j.failing()
	for _, b := range j.in.Baseline.Classes {
		n := j.in.Probes.total(b.Class)
		if t, _ := j.works(b.Class, n); t != snapshot.No || b.well(j.masksFor(b.Class)) || slices.Contains(failing, b.Class) {
			continue
		}
		j.unrelated = append(j.unrelated, b.Class.String())
		j.evidence("probe", "", "%s failed before the change (%s) and does still (%s); the change was not to cure it", b.Class, b.Count, n)
	}
}

// regressed: a class of flows that worked before fails now, and that is confirmed:
// by a finding that was not there before and holds, or by most exchanges of two
// senders for the hold time.
func (j *judge) regressed(from *Step) {
	if !j.in.Probes.Listening {
		return
	}
	since := j.activeSince()
	if from.Stage == StageReconciled {
		since = j.graceFrom().Add(j.in.Grace)
	}
	for _, b := range j.worked() {
		if text := j.breaks(b.Class, since); text != "" {
			j.broke = append(j.broke, text)
		}
	}
}

// breaks says how a class that worked before is confirmed to fail.
func (j *judge) breaks(c Class, since time.Time) string {
	bad, tried := j.lastingFrom(c, since)
	if len(bad) >= 2 || len(bad) == 1 && tried == 1 {
		return fmt.Sprintf("%s worked before and fails from %s: %s", c, some(bad), j.in.Probes.total(c))
	}
	if len(bad) == 0 {
		return ""
	}
	for _, f := range j.in.Probes.Confirmed {
		if j.isNew(f, since) && (f.Family == "" || f.Family == c.Family) {
			return fmt.Sprintf("%s worked before and fails from %s, and %s is confirmed since%s", c, some(bad), name(f.Signature), said(f.Summary))
		}
	}
	return ""
}

// isNew: it was not confirmed before, and has been for the hold time.
func (j *judge) isNew(f Confirmed, since time.Time) bool {
	return !j.expected(f.Cause) && f.Since.After(j.in.Baseline.To) && f.Last.Sub(f.Since) >= j.in.Hold && !f.Last.Before(since.Add(j.in.Hold))
}

// flows puts the classes before and after side by side, those to be cured first.
func (j *judge) flows() {
	classes := j.failing()
	for _, c := range j.in.Probes.classes() {
		if !slices.Contains(classes, c) {
			classes = append(classes, c)
		}
	}
	if b := j.in.Baseline; b != nil {
		for _, c := range b.Classes {
			if !slices.Contains(classes, c.Class) {
				classes = append(classes, c.Class)
			}
		}
	}
	for _, c := range classes[:min(len(classes), maxClasses)] {
		n := j.in.Probes.total(c)
		works, _ := j.works(c, n)
		j.out.Flows = append(j.out.Flows, FlowState{Class: c, Before: j.in.Baseline.count(c), After: n, Works: works})
	}
}
