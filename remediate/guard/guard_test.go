package guard_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/remediate/guard"
)

var now = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

// question is all that Decide is asked, good in every respect.
type question struct {
	limits   guard.Limits
	cluster  guard.Cluster
	proposal guard.Proposal
	past     []guard.Past
	rivals   []guard.Rival
}

func good() question {
	return question{
		limits:   guard.DefaultLimits(),
		cluster:  guard.Cluster{Nodes: 12},
		proposal: guard.Proposal{Cluster: "prod", Signature: "mtu-mismatch", Change: "0a1b2c3d", Facts: "f1"},
	}
}

func (q question) decide() guard.Decision {
	return guard.Decide(q.limits, q.cluster, q.proposal, q.past, q.rivals, now)
}

// same is a pull request of good's change that ended ten days after it was opened.
func same(state string) guard.Past {
	p := guard.Past{
		Number: 7, URL: "https://git.example/o/r/pulls/7", State: state, Opened: ago(20 * day),
		Cluster: "prod", Signature: "mtu-mismatch", Change: "0a1b2c3d", Facts: "f1",
	}
	if state != "open" {
		p.Ended = ago(10 * day)
	}
	return p
}

func said(verb guard.Verb, arg string, at time.Time) guard.Command {
	return guard.Command{Verb: verb, Arg: arg, By: "alice", At: at}
}

func snoozed(d time.Duration, at time.Time) guard.Command {
	return guard.Command{Verb: guard.Snooze, For: d, By: "bob", At: at}
}

func with(p guard.Past, change func(*guard.Past)) guard.Past {
	change(&p)
	return p
}

func commands(p guard.Past, c ...guard.Command) guard.Past {
	p.Commands = c
	return p
}

func TestDecide(t *testing.T) {
	tests := []struct {
		name string
		set  func(*question)
		rule string // "" allows
		says []string
	}{
		{"all is well", func(*question) {}, "", []string{"the mode is Propose", "0 of our pull requests open, of at most 1", "0 of 12 nodes are not ready"}},

		{"observe", func(q *question) { q.limits.Mode = guard.Observe }, "mode", []string{`"Observe"`}},
		{"no mode", func(q *question) { q.limits.Mode = "" }, "mode", []string{`""`}},
		{"a mode that is not known", func(q *question) { q.limits.Mode = "Commit" }, "mode", []string{`"Commit"`}},

		{"in scope", func(q *question) { q.limits.Signatures = []string{"a", "mtu-mismatch"} }, "", []string{"mtu-mismatch is among"}},
		{"out of scope", func(q *question) { q.limits.Signatures = []string{"a", "b"} }, "scope", []string{"mtu-mismatch is not among", "a, b"}},

		{"closed by a human", func(q *question) { q.past = []guard.Past{same("closed")} }, "refused",
			[]string{"pull request 7 (https://git.example/o/r/pulls/7)", "closed by a human, 2026-02-02 10:00 UTC", "/remediate replan"}},
		{"closed by us", func(q *question) { q.past = []guard.Past{with(same("closed"), func(p *guard.Past) { p.ByUs = true })} }, "", nil},
		{"closed, other facts", func(q *question) { q.past = []guard.Past{with(same("closed"), func(p *guard.Past) { p.Facts = "f0" })} }, "", []string{"nobody refused this change"}},
		{"closed, facts lost", func(q *question) { q.past = []guard.Past{with(same("closed"), func(p *guard.Past) { p.Facts = "" })} }, "refused", []string{"its record is gone"}},
		{"closed, other change", func(q *question) {
			q.past = []guard.Past{with(same("closed"), func(p *guard.Past) { p.Change = "ffffffff" })}
		}, "", nil},
		{"closed, other cluster", func(q *question) {
			q.past = []guard.Past{with(same("closed"), func(p *guard.Past) { p.Cluster = "dev" })}
		}, "", nil},
		{"closed, other signature", func(q *question) {
			q.past = []guard.Past{with(same("closed"), func(p *guard.Past) { p.Signature = "other" })}
		}, "", nil},
		{"rejected, closed by us", func(q *question) {
			q.past = []guard.Past{with(commands(same("closed"), said(guard.Reject, "we use MTU 9000", ago(11*day))), func(p *guard.Past) { p.ByUs = true })}
		}, "refused", []string{"rejected by alice, 2026-02-01 10:00 UTC, with the reason: we use MTU 9000"}},
		{"rejected, not closed yet", func(q *question) {
			q.limits.MaxOpen = 0
			q.past = []guard.Past{commands(same("open"), said(guard.Reject, "", ago(hour)))}
		}, "refused", []string{"without a reason"}},
		{"replan after closing", func(q *question) {
			q.past = []guard.Past{commands(same("closed"), said(guard.Replan, "", ago(9*day)))}
		}, "", []string{"the refusal in pull request 7", "lifted: alice said replan, 2026-02-03 10:00 UTC"}},
		{"replan before closing", func(q *question) {
			q.past = []guard.Past{commands(same("closed"), said(guard.Replan, "", ago(11*day)))}
		}, "refused", nil},
		{"replan at closing", func(q *question) {
			q.past = []guard.Past{commands(same("closed"), said(guard.Replan, "", ago(10*day)))}
		}, "refused", nil},
		{"replan before a reject", func(q *question) {
			q.past = []guard.Past{commands(same("closed"), said(guard.Replan, "", ago(5*day)), said(guard.Reject, "no", ago(4*day)))}
		}, "refused", nil},
		{"replan in another pull request of the cause", func(q *question) {
			other := with(commands(same("closed"), said(guard.Replan, "", ago(day))), func(p *guard.Past) { p.Number, p.Change, p.ByUs = 8, "ffffffff", true })
			q.past = []guard.Past{same("closed"), other}
		}, "", nil},
		{"replan in a pull request of another cause", func(q *question) {
			other := with(commands(same("closed"), said(guard.Replan, "", ago(day))), func(p *guard.Past) { p.Number, p.Signature, p.ByUs = 8, "other", true })
			q.past = []guard.Past{same("closed"), other}
		}, "refused", nil},
		{"one refusal lifted, a later one not", func(q *question) {
			later := with(same("closed"), func(p *guard.Past) { p.Number, p.Ended = 9, ago(2*day) })
			q.past = []guard.Past{commands(same("closed"), said(guard.Replan, "", ago(5*day))), later}
		}, "refused", []string{"pull request 9"}},
		{"a pull request that never says when it ended", func(q *question) {
			q.past = []guard.Past{with(same("closed"), func(p *guard.Past) { p.Ended, p.Opened = time.Time{}, time.Time{} })}
		}, "refused", []string{"at a time that is not known"}},

		{"snoozed", func(q *question) {
			q.past = []guard.Past{commands(with(same("closed"), byUs), snoozed(7*day, ago(day)))}
		}, "snoozed",
			[]string{"snoozed by bob until 2026-02-18 10:00 UTC"}},
		{"snoozed in another cause of the cluster", func(q *question) {
			q.past = []guard.Past{commands(with(same("merged"), func(p *guard.Past) { p.Signature = "other" }), snoozed(7*day, ago(day)))}
		}, "snoozed", nil},
		{"snoozed in another cluster", func(q *question) {
			q.past = []guard.Past{commands(with(same("merged"), func(p *guard.Past) { p.Cluster = "dev" }), snoozed(7*day, ago(day)))}
		}, "", nil},
		{"the snooze ends now", func(q *question) { q.past = []guard.Past{commands(with(same("closed"), byUs), snoozed(day, ago(day)))} }, "", nil},
		{"a replan ends a snooze", func(q *question) {
			q.past = []guard.Past{commands(with(same("closed"), byUs), snoozed(7*day, ago(day)), said(guard.Replan, "", ago(hour)))}
		}, "", nil},
		{"a snooze after a replan", func(q *question) {
			q.past = []guard.Past{commands(with(same("closed"), byUs), said(guard.Replan, "", ago(day)), snoozed(7*day, ago(hour)))}
		}, "snoozed", nil},
		{"a later snooze is shorter", func(q *question) {
			q.past = []guard.Past{commands(with(same("closed"), byUs), snoozed(7*day, ago(day)), snoozed(time.Minute, ago(hour)))}
		}, "", nil},
		{"snoozed for ever", func(q *question) {
			q.past = []guard.Past{commands(with(same("closed"), byUs), snoozed(1000*day, ago(91*day)))}
		}, "", nil},
		{"a snooze without a time", func(q *question) { q.past = []guard.Past{commands(with(same("closed"), byUs), snoozed(0, ago(0)))} }, "", nil},

		{"merged", func(q *question) { q.past = []guard.Past{same("merged")} }, "merged", []string{"pull request 7", "was merged, 2026-02-02 10:00 UTC"}},
		{"merged, other facts", func(q *question) { q.past = []guard.Past{with(same("merged"), func(p *guard.Past) { p.Facts = "f0" })} }, "merged", nil},
		{"merged, other change", func(q *question) {
			q.past = []guard.Past{with(same("merged"), func(p *guard.Past) { p.Change = "ffffffff" })}
		}, "", nil},
		{"merged, then replan", func(q *question) { q.past = []guard.Past{commands(same("merged"), said(guard.Replan, "", ago(day)))} }, "", nil},
		{"merged after a replan", func(q *question) {
			q.past = []guard.Past{commands(same("merged"), said(guard.Replan, "", ago(15*day)))}
		}, "merged", nil},

		{"one open", func(q *question) { q.past = []guard.Past{with(same("open"), otherCause)} }, "max-open", []string{"1 of our pull requests open, of at most 1: pull request 7"}},
		{"one open in another cluster", func(q *question) {
			q.past = []guard.Past{with(same("open"), func(p *guard.Past) { p.Cluster = "dev" })}
		}, "max-open", nil},
		{"one open, two may be", func(q *question) { q.limits.MaxOpen = 2; q.past = []guard.Past{same("open")} }, "", nil},
		{"one open, no limit", func(q *question) { q.limits.MaxOpen = 0; q.past = []guard.Past{same("open")} }, "", []string{"1 of our pull requests open, without a limit"}},
		{"the open one is replaced", func(q *question) { q.proposal.Replaces = 7; q.past = []guard.Past{same("open")} }, "", nil},
		{"another one is replaced", func(q *question) { q.proposal.Replaces = 8; q.past = []guard.Past{same("open")} }, "max-open", nil},
		{"an open one without a number", func(q *question) { q.past = []guard.Past{with(same("open"), func(p *guard.Past) { p.Number = 0 })} }, "max-open", nil},
		{"a limit below none", func(q *question) { q.limits.MaxOpen = -1 }, "max-open", nil},

		{"five today", func(q *question) { q.past = today(5) }, "max-per-day", []string{"5 of our pull requests were opened in the last 24 hours, of at most 5"}},
		{"four today", func(q *question) { q.past = today(4) }, "", []string{"4 opened in 24 hours, of at most 5"}},
		{"five today, no limit", func(q *question) { q.limits.MaxPerDay = 0; q.past = today(5) }, "", nil},
		{"the fifth was a day ago", func(q *question) { q.past = today(5); q.past[4].Opened = ago(day) }, "", nil},
		{"one from the future", func(q *question) { q.past = today(5); q.past[4].Opened = now.Add(hour) }, "max-per-day", nil},
		{"the replaced one counts", func(q *question) { q.past = today(5); q.proposal.Replaces = q.past[0].Number }, "max-per-day", nil},

		{"upgrading", func(q *question) { q.cluster.Upgrading = "DaemonSet kube-system/cilium: 3 of 12 agents updated" }, "upgrading", []string{"3 of 12 agents updated"}},
		{"suspended", func(q *question) { q.cluster.Suspended = "HelmRelease kube-system/cilium" }, "suspended", []string{"HelmRelease kube-system/cilium is suspended"}},
		{"unknown facts freeze nothing", func(q *question) {
			q.cluster = guard.Cluster{Unknown: []string{"whether Cilium rolls out", "whether Flux objects are suspended"}}
		}, "", []string{"how many nodes are ready is not known", "not known of the cluster: whether Cilium rolls out, whether Flux objects are suspended"}},

		{"a fifth is not ready", func(q *question) { q.cluster.Nodes, q.cluster.NotReady = 10, 2 }, "", []string{"2 of 10 nodes are not ready, at most 20 % may be"}},
		{"more than a fifth", func(q *question) { q.cluster.Nodes, q.cluster.NotReady = 100, 21 }, "nodes-not-ready", []string{"21 of 100 nodes are not ready, more than 20 %"}},
		{"none may be, and none is", func(q *question) { q.limits.MaxNotReadyPercent = 0 }, "", nil},
		{"none may be, and one is", func(q *question) { q.limits.MaxNotReadyPercent, q.cluster.NotReady = 0, 1 }, "nodes-not-ready", nil},
		{"all may be, and all are", func(q *question) { q.limits.MaxNotReadyPercent, q.cluster.NotReady = 100, 12 }, "", nil},

		{"a rival", func(q *question) {
			q.rivals = []guard.Rival{{Number: 3, URL: "https://git.example/3", Keys: []string{"MTU", "routingMode"}}, {Number: 4, Keys: []string{"MTU"}}}
		}, "rival", []string{"pull request 3 (https://git.example/3), a human's, changes the same keys: MTU, routingMode", "pull request 4, a human's"}},
		{"a rival whose keys are not known", func(q *question) { q.rivals = []guard.Rival{{Number: 3}} }, "rival", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := good()
			tt.set(&q)
			d := q.decide()
			if d.Rule != tt.rule || d.Allowed != (tt.rule == "") {
				t.Fatalf("allowed %v by rule %q, want rule %q: %q", d.Allowed, d.Rule, tt.rule, d.Because)
			}
			if len(d.Because) == 0 {
				t.Error("it does not say why")
			}
			for _, s := range tt.says {
				if !strings.Contains(strings.Join(d.Because, "\n"), s) {
					t.Errorf("it does not say %q: %q", s, d.Because)
				}
			}
		})
	}
}

func byUs(p *guard.Past) { p.ByUs = true }

func otherCause(p *guard.Past) { p.Signature = "other" }

// today are n pull requests, opened one hour after the other, that we closed.
func today(n int) []guard.Past {
	var out []guard.Past
	for i := range n {
		opened := ago(time.Duration(i+1) * hour)
		out = append(out, with(same("closed"), func(p *guard.Past) { p.Number, p.Opened, p.ByUs = i+1, opened, true }))
	}
	return out
}

// A refusal that is only logged, and lets the change through all the same, is a
// bug that others had.
func TestDecideNamesEveryRule(t *testing.T) {
	q := good()
	q.limits = guard.Limits{Mode: guard.Observe, Signatures: []string{"a"}, MaxOpen: 1, MaxPerDay: 1}
	q.cluster = guard.Cluster{Upgrading: "u", Suspended: "s", Nodes: 1, NotReady: 1}
	q.past = []guard.Past{
		same("closed"), same("merged"),
		with(commands(same("open"), snoozed(day, ago(hour))), func(p *guard.Past) { p.Opened = ago(hour) }),
	}
	q.rivals = []guard.Rival{{Number: 1, Keys: []string{"MTU"}}}
	d := q.decide()
	if d.Allowed || d.Rule != guard.RuleMode || len(d.Because) != 11 {
		t.Fatalf("allowed %v by %q for %d reasons: %q", d.Allowed, d.Rule, len(d.Because), d.Because)
	}
	// Each rule in turn is the first one when those before it have no objection.
	for i, step := range []struct {
		rule   string
		settle func()
	}{
		{"mode", func() { q.limits.Mode = guard.Propose }},
		{"scope", func() { q.limits.Signatures = nil }},
		{"refused", func() { q.past = q.past[1:] }},
		{"snoozed", func() { q.past[1].Commands = nil }},
		{"merged", func() { q.past = q.past[1:] }},
		{"max-open", func() { q.limits.MaxOpen = 0 }},
		{"max-per-day", func() { q.limits.MaxPerDay = 0 }},
		{"upgrading", func() { q.cluster.Upgrading = "" }},
		{"suspended", func() { q.cluster.Suspended = "" }},
		{"nodes-not-ready", func() { q.limits.MaxNotReadyPercent = 100 }},
		{"rival", func() { q.rivals = nil }},
	} {
		d := q.decide()
		if d.Allowed || d.Rule != step.rule || len(d.Because) != 11-i {
			t.Errorf("allowed %v by %q for %d reasons, want %s and %d: %q", d.Allowed, d.Rule, len(d.Because), step.rule, 11-i, d.Because)
		}
		step.settle()
	}
	if d := q.decide(); !d.Allowed {
		t.Errorf("nothing is left to object, and still: %q", d.Because)
	}
}

func TestRetry(t *testing.T) {
	snooze := commands(with(same("closed"), byUs), snoozed(7*day, ago(day)))
	tests := []struct {
		name string
		set  func(*question)
		want time.Time
	}{
		{"allowed", func(*question) {}, time.Time{}},
		{"a snooze ends", func(q *question) { q.past = []guard.Past{snooze} }, now.Add(6 * day)},
		{"the oldest of the day goes", func(q *question) { q.past = today(5) }, now.Add(19 * hour)},
		{"two too many", func(q *question) { q.past = today(7) }, now.Add(19 * hour)},
		{"the later of two", func(q *question) { q.past = append(today(5), snooze) }, now.Add(6 * day)},
		{"one that a human ends", func(q *question) { q.past = []guard.Past{snooze}; q.limits.Mode = guard.Observe }, time.Time{}},
		{"one that a human ends, asked later", func(q *question) { q.past = []guard.Past{snooze}; q.cluster.Suspended = "s" }, time.Time{}},
		{"a limit below none", func(q *question) { q.past = today(2); q.limits.MaxPerDay = -1 }, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := good()
			tt.set(&q)
			d := q.decide()
			if !d.Retry.Equal(tt.want) {
				t.Fatalf("retry at %v, want %v: %q", d.Retry, tt.want, d.Because)
			}
			if tt.want.IsZero() {
				return
			}
			if d := guard.Decide(q.limits, q.cluster, q.proposal, q.past, q.rivals, tt.want.Add(-time.Second)); d.Allowed {
				t.Error("it is allowed a second before")
			}
			if d := guard.Decide(q.limits, q.cluster, q.proposal, q.past, q.rivals, tt.want); !d.Allowed {
				t.Errorf("it is not allowed then: %q", d.Because)
			}
		})
	}
}

func TestSnoozedOfSeveralPullRequests(t *testing.T) {
	past := []guard.Past{
		commands(same("open"), snoozed(7*day, ago(3*day))),
		commands(same("open"), snoozed(hour, ago(0))),
	}
	c, until, ok := guard.Snoozed("prod", past, now)
	if !ok || !until.Equal(now.Add(4*day)) || c.For != 7*day {
		t.Errorf("snoozed %v until %v by %+v", ok, until, c)
	}
	if _, until, ok := guard.Snoozed("dev", past, now); ok || !until.IsZero() {
		t.Errorf("another cluster is snoozed until %v", until)
	}
}

func TestDecideIsPrintable(t *testing.T) {
	bad := "\x1b[2J\nx\u202e\x00" + strings.Repeat("W", 5000)
	q := good()
	q.limits = guard.Limits{Mode: guard.Mode(bad), Signatures: slices.Repeat([]string{bad}, 100)}
	q.cluster = guard.Cluster{Upgrading: bad, Suspended: bad, Unknown: []string{bad}}
	q.past = []guard.Past{with(same("closed"), func(p *guard.Past) {
		p.URL = bad
		p.Commands = []guard.Command{{Verb: guard.Reject, Arg: bad, By: bad}}
	})}
	q.rivals = []guard.Rival{{URL: bad, Keys: slices.Repeat([]string{bad}, 100)}}
	d := q.decide()
	allowed := good()
	allowed.cluster.Unknown = []string{bad}
	for _, s := range append(d.Because, allowed.decide().Because...) {
		if strings.ContainsAny(s, "\x1b\n\x00") || strings.ContainsRune(s, '\u202e') {
			t.Errorf("unprintable: %.200q", s)
		}
		if len(s) > 4000 {
			t.Errorf("a reason of %d bytes", len(s))
		}
	}
}

func TestDecideLeavesItsInputAlone(t *testing.T) {
	q, want := good(), good()
	q.past, want.past = today(7), today(7)
	slices.Reverse(q.past)
	slices.Reverse(want.past)
	q.decide()
	if diff := cmp.Diff(want.past, q.past); diff != "" {
		t.Error(diff)
	}
}
