package guard_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/remediate/guard"
)

// questions draws from small sets, so that things meet.
func questions() *rapid.Generator[question] {
	return rapid.Custom(func(t *rapid.T) question {
		from := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
		return question{
			limits: guard.Limits{
				Mode:               guard.Mode(from("mode", "Propose", "Propose", "Propose", "Observe", "")),
				Signatures:         rapid.SampledFrom([][]string{nil, nil, {"s1"}, {"s2", "s1"}, {"s3"}}).Draw(t, "scope"),
				MaxOpen:            rapid.IntRange(0, 3).Draw(t, "max open"),
				MaxPerDay:          rapid.IntRange(0, 3).Draw(t, "max per day"),
				MaxNotReadyPercent: rapid.IntRange(0, 100).Draw(t, "percent"),
			},
			cluster: guard.Cluster{
				Upgrading: from("upgrading", "", "", "", "u"), Suspended: from("suspended", "", "", "", "s"),
				Nodes: rapid.IntRange(0, 9).Draw(t, "nodes"), NotReady: rapid.IntRange(0, 3).Draw(t, "not ready"),
			},
			proposal: guard.Proposal{Cluster: "c1", Signature: "s1", Change: "h1", Facts: "f1", Replaces: rapid.IntRange(0, 3).Draw(t, "replaces")},
			past:     rapid.SliceOfN(pasts(), 0, 4).Draw(t, "past"),
			rivals:   rapid.SliceOfN(rapid.Just(guard.Rival{Number: 9}), 0, 1).Draw(t, "rivals"),
		}
	})
}

func instant(t *rapid.T, name string) time.Time {
	return now.Add(-time.Duration(rapid.IntRange(-2, 30).Draw(t, name)) * 4 * time.Hour)
}

func pasts() *rapid.Generator[guard.Past] {
	return rapid.Custom(func(t *rapid.T) guard.Past {
		from := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
		p := guard.Past{
			Number: rapid.IntRange(0, 3).Draw(t, "number"), State: from("state", "open", "closed", "merged"),
			Opened: instant(t, "opened"), Ended: instant(t, "ended"),
			Cluster: from("cluster", "c1", "c1", "c2"), Signature: from("signature", "s1", "s1", "s2"),
			Change: from("change", "h1", "h1", "h2"), Facts: from("facts", "f1", "f1", "f2", ""), ByUs: rapid.Bool().Draw(t, "by us"),
		}
		p.Commands = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) guard.Command {
			return guard.Command{
				Verb: rapid.SampledFrom([]guard.Verb{guard.Replan, guard.Reject, guard.Choose, guard.Snooze, ""}).Draw(t, "verb"),
				For:  time.Duration(rapid.IntRange(0, 20).Draw(t, "for")) * 6 * time.Hour,
				At:   instant(t, "at"),
			}
		}), 0, 3).Draw(t, "commands")
		slices.SortStableFunc(p.Commands, func(a, b guard.Command) int { return a.At.Compare(b.At) })
		return p
	})
}

// holds says which rules object, in the words of the issue and apart from the
// code that is tested.
func holds(q question) map[string]bool {
	h := map[string]bool{
		"mode":      q.limits.Mode != "Propose",
		"scope":     len(q.limits.Signatures) > 0 && !slices.Contains(q.limits.Signatures, q.proposal.Signature),
		"upgrading": q.cluster.Upgrading != "", "suspended": q.cluster.Suspended != "",
		"nodes-not-ready": q.cluster.Nodes > 0 && float64(q.cluster.NotReady)/float64(q.cluster.Nodes)*100 > float64(q.limits.MaxNotReadyPercent)+1e-9,
		"rival":           len(q.rivals) > 0,
	}
	replan := time.Time{}
	for _, p := range q.past {
		for _, c := range p.Commands {
			if c.Verb == guard.Replan && p.Cluster == "c1" && p.Signature == "s1" && c.At.After(replan) {
				replan = c.At
			}
		}
	}
	open, recent := 0, 0
	for _, p := range q.past {
		mine := p.Cluster == "c1" && p.Signature == "s1" && p.Change == "h1"
		if mine && p.Facts != "f2" && p.State == "closed" && !p.ByUs && !replan.After(p.Ended) {
			h["refused"] = true
		}
		if mine && p.State == "merged" && !replan.After(p.Ended) {
			h["merged"] = true
		}
		until := time.Time{}
		for _, c := range p.Commands {
			switch c.Verb {
			case guard.Reject:
				h["refused"] = h["refused"] || mine && p.Facts != "f2" && !replan.After(c.At)
			case guard.Snooze:
				if c.For > 0 {
					until = c.At.Add(c.For)
				}
			case guard.Replan:
				until = time.Time{}
			}
		}
		h["snoozed"] = h["snoozed"] || p.Cluster == "c1" && until.After(now)
		if p.State == "open" && (p.Number == 0 || p.Number != q.proposal.Replaces) {
			open++
		}
		if now.Sub(p.Opened) < 24*time.Hour {
			recent++
		}
	}
	h["max-open"] = q.limits.MaxOpen > 0 && open >= q.limits.MaxOpen
	h["max-per-day"] = q.limits.MaxPerDay > 0 && recent >= q.limits.MaxPerDay
	return h
}

func TestNothingSlipsThrough(t *testing.T) {
	order := []string{"mode", "scope", "refused", "snoozed", "merged", "max-open", "max-per-day", "upgrading", "suspended", "nodes-not-ready", "rival"}
	allowed := 0
	rapid.Check(t, func(r *rapid.T) {
		q := questions().Draw(r, "question")
		d := q.decide()
		want := ""
		h := holds(q)
		if i := slices.IndexFunc(order, func(rule string) bool { return h[rule] }); i >= 0 {
			want = order[i]
		}
		if d.Allowed != (want == "") || d.Rule != want {
			r.Fatalf("allowed %v by rule %q, want %q: %q", d.Allowed, d.Rule, want, d.Because)
		}
		if len(d.Because) == 0 {
			r.Fatal("it does not say why")
		}
		if !d.Retry.IsZero() && !d.Retry.After(now) {
			r.Fatalf("retry at %v, which has passed", d.Retry)
		}
		if diff := cmp.Diff(d, q.decide()); diff != "" {
			r.Fatalf("asked twice:\n%s", diff)
		}
		if d.Allowed {
			allowed++
		}
	})
	if allowed == 0 {
		t.Error("nothing was ever allowed: the test asks too little")
	}
}

// Whatever else is so, one objection more never lets a proposal through.
func TestObjectionsAdd(t *testing.T) {
	objections := map[string]func(*question){
		"mode":            func(q *question) { q.limits.Mode = guard.Observe },
		"scope":           func(q *question) { q.limits.Signatures = []string{"none"} },
		"refused":         func(q *question) { q.past = append(q.past, refusedNow()) },
		"snoozed":         func(q *question) { q.past = append(q.past, snoozedNow()) },
		"merged":          func(q *question) { q.past = append(q.past, mergedNow()) },
		"upgrading":       func(q *question) { q.cluster.Upgrading = "u" },
		"suspended":       func(q *question) { q.cluster.Suspended = "s" },
		"nodes-not-ready": func(q *question) { q.cluster.Nodes, q.cluster.NotReady, q.limits.MaxNotReadyPercent = 3, 3, 50 },
		"rival":           func(q *question) { q.rivals = append(q.rivals, guard.Rival{Number: 9}) },
	}
	rapid.Check(t, func(r *rapid.T) {
		q := questions().Draw(r, "question")
		name := rapid.SampledFrom(slices.Sorted(func(yield func(string) bool) {
			for n := range objections {
				if !yield(n) {
					return
				}
			}
		})).Draw(r, "objection")
		before := q.decide()
		objections[name](&q)
		after := q.decide()
		if after.Allowed || after.Rule == "" {
			r.Fatalf("allowed in spite of %s: %q", name, after.Because)
		}
		if !before.Allowed && len(after.Because) < len(before.Because) {
			r.Fatalf("%s hides reasons: %q, before %q", name, after.Because, before.Because)
		}
	})
}

func later(state string) guard.Past {
	return guard.Past{Number: 5, State: state, Opened: now, Ended: now.Add(30 * day), Cluster: "c1", Signature: "s1", Change: "h1", Facts: "f1"}
}

func refusedNow() guard.Past { return later("closed") }
func mergedNow() guard.Past  { return later("merged") }
func snoozedNow() guard.Past { return commands(later("open"), snoozed(hour, now)) }
