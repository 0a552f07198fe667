package conformance

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// truthRow is one measured flow; nil columns were not measured.
type truthRow struct {
	Set    string
	ID     string
	Policy string
	Flow   struct {
		From, To, Family, Protocol string
		Size                       *int
	}
	Result             *string
	SourceSeen         *string
	IdentityAtReceiver *string
	Verdict            *string
	DropReason         *string
	MasqueradedBy      *string
}

// TestTruthFlows holds the datapath model against what the real agent did.
func TestTruthFlows(t *testing.T) {
	rows := readLines[truthRow](t, truthFlows)
	labs := newLabs(t, rows)
	var count tally
	for _, row := range rows {
		wrong, unknown := labs.compare(row)
		switch {
		case len(wrong) > 0:
			count.disagreed++
			t.Errorf("%s: %s", row.ID, strings.Join(wrong, "; "))
		case len(unknown) > 0:
			count.unknown++
			t.Logf("%s: unknown: %s", row.ID, strings.Join(unknown, "; "))
		default:
			count.agreed++
		}
	}
	t.Logf("flows: %s", count)
	if count.rows() == 0 {
		t.Error("no rows were read")
	}
	if len(truthFlows.given) == 0 && count.unknown > 0 {
		t.Errorf("%d rows of the own table are unknown, want none", count.unknown)
	}
}

// compare judges one row: the columns that disagree, and what is not known.
func (l *labs) compare(row truthRow) (wrong, unknown []string) {
	m, err := l.model(row)
	if err != nil {
		return nil, []string{err.Error()}
	}
	flow, err := l.flow(row)
	if err != nil {
		return nil, []string{err.Error()}
	}
	c := &columns{}
	r := m.Trace(flow)
	if flow.To.Kind != datapath.EndOutside && row.Result != nil {
		c.check("result", reached(*row.Result), delivered(r), r.Reason)
	}
	if row.SourceSeen != nil {
		want, _, _ := strings.Cut(*row.SourceSeen, ":")
		c.check("sourceSeen", want, source(r.Source), r.MasqueradeWhy)
	}
	c.checkIf("identityAtReceiver", row.IdentityAtReceiver, r.Identity, r.Reason)
	c.checkIf("verdict", row.Verdict, verdict(r), r.Verdict.Reason)
	c.checkIf("dropReason", row.DropReason, r.DropReason, r.Reason)
	c.checkIf("masqueradedBy", row.MasqueradedBy, masqueraded(r), r.MasqueradeWhy)
	return c.wrong, c.unknown
}

// columns collects what does not agree.
type columns struct{ wrong, unknown []string }

func (c *columns) checkIf(column string, want *string, got, why string) {
	if want != nil {
		c.check(column, *want, got, why)
	}
}

func (c *columns) check(column, want, got, why string) {
	switch got {
	case want:
	case "":
		c.unknown = append(c.unknown, fmt.Sprintf("%s: want %s (%s)", column, want, why))
	default:
		c.wrong = append(c.wrong, fmt.Sprintf("%s: want %s, got %s (%s)", column, want, got, why))
	}
}

func reached(result string) string {
	if result == "ok" {
		return "reached"
	}
	return "not reached"
}

func delivered(r datapath.Result) string {
	switch r.Delivered {
	case snapshot.Yes:
		return "reached"
	case snapshot.No:
		return "not reached"
	}
	return ""
}

func source(kind datapath.SourceKind) string {
	if kind == datapath.SourceRouter {
		return "other"
	}
	return string(kind)
}

// verdict is the event at the destination, or at the sender where it ended
// there or where the destination has none.
func verdict(r datapath.Result) string {
	d := r.Verdict
	if r.Egress.Verdict == policy.Deny || !d.Enforced {
		d = r.Egress
	}
	switch {
	case d.Verdict == policy.Unknown:
		return ""
	case !d.Enforced:
		return "no event"
	}
	return d.Verdict.String()
}

func masqueraded(r datapath.Result) string {
	if r.MasqueradeBy == cilium.MasqueradeOff {
		return "none"
	}
	return string(r.MasqueradeBy)
}

// TestTruthTableIsWhole guards against a table that lost rows or columns.
func TestTruthTableIsWhole(t *testing.T) {
	if len(truthFlows.given) > 0 {
		t.Log("another table was given; its size is its own affair")
		return
	}
	rows := readLines[truthRow](t, truthFlows)
	if len(rows) != 2963 {
		t.Errorf("%d rows, want 2963", len(rows))
	}
	seen := map[string]int{}
	for _, row := range rows {
		for name, column := range map[string]*string{
			"result": row.Result, "source": row.SourceSeen, "identity": row.IdentityAtReceiver,
			"verdict": row.Verdict, "drop": row.DropReason, "masquerade": row.MasqueradedBy,
		} {
			if column != nil {
				seen[name]++
			}
		}
	}
	var got []string
	for name, n := range seen {
		got = append(got, fmt.Sprintf("%s %d", name, n))
	}
	sort.Strings(got)
	want := "drop 867 identity 2493 masquerade 2850 result 2963 source 2844 verdict 1527"
	if strings.Join(got, " ") != want {
		t.Errorf("measured columns: %s, want %s", strings.Join(got, " "), want)
	}
}

// TestTruthCanDisagree changes measured columns one by one and expects each
// change to be noticed, and an unknown set or policy to be counted as unknown.
func TestTruthCanDisagree(t *testing.T) {
	rows := readLines[truthRow](t, &fileList{defaults: truthFlows.defaults})
	labs := newLabs(t, rows)
	row := rows[slices.IndexFunc(rows, func(r truthRow) bool {
		return r.DropReason != nil && r.SourceSeen != nil && r.IdentityAtReceiver != nil && r.MasqueradedBy != nil
	})]
	text := func(s string) *string { return &s }
	for name, change := range map[string]func(*truthRow){
		"result":     func(r *truthRow) { r.Result = text("ok") },
		"source":     func(r *truthRow) { r.SourceSeen = text("other:fd00::1") },
		"identity":   func(r *truthRow) { r.IdentityAtReceiver = text("world") },
		"verdict":    func(r *truthRow) { r.Verdict = text("allow") },
		"drop":       func(r *truthRow) { r.DropReason = text("Invalid source ip") },
		"masquerade": func(r *truthRow) { r.MasqueradedBy = text("nobody") },
	} {
		changed := row
		change(&changed)
		if wrong, unknown := labs.compare(changed); len(wrong) != 1 || len(unknown) != 0 {
			t.Errorf("%s changed: disagreements %q, unknown %q, want one disagreement", name, wrong, unknown)
		}
	}
	for name, change := range map[string]func(*truthRow){
		"set":    func(r *truthRow) { r.Set = "no such set" },
		"policy": func(r *truthRow) { r.Policy = "no such policy" },
		"end":    func(r *truthRow) { r.Flow.To = "a toaster" },
	} {
		changed := row
		change(&changed)
		if wrong, unknown := labs.compare(changed); len(wrong) != 0 || len(unknown) != 1 {
			t.Errorf("%s changed: disagreements %q, unknown %q, want one unknown", name, wrong, unknown)
		}
	}
}

// TestTruthNames: renaming a set changes nothing, for nothing is read from names.
func TestTruthNames(t *testing.T) {
	rows := readLines[truthRow](t, &fileList{defaults: truthFlows.defaults})
	labs := newLabs(t, rows)
	renamed := map[string]truthSet{}
	for name, set := range labs.sets {
		renamed["x"+name] = set
	}
	labs.sets = renamed
	for i := range rows {
		if e, ok := labs.external[rows[i].Set]; ok {
			labs.external["x"+rows[i].Set] = e
		}
		rows[i].Set, rows[i].ID = "x"+rows[i].Set, "row"
		if wrong, unknown := labs.compare(rows[i]); len(wrong)+len(unknown) > 0 {
			t.Fatalf("row %d: %q %q", i, wrong, unknown)
		}
	}
}
