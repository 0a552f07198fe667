package matrix

import (
	"fmt"

	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/policy"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Outcome is what became of a flow, or is said to become. An empty column was not
// observed, or is left open.
type Outcome struct {
	// Result is "reached" or "not reached".
	Result string `json:"result,omitempty"`
	// Source is whose address the receiver saw: pod, node, router, outside.
	Source string `json:"source,omitempty"`
	// Identity that the receiver's node took the sender for: "pod" for its own, or a
	// reserved name.
	Identity string `json:"identity,omitempty"`
	// Verdict of the receiver's policies and Egress of the sender's: allow, deny, audit,
	// or "no event".
	Verdict string `json:"verdict,omitempty"`
	Egress  string `json:"egress,omitempty"`
	Drop    string `json:"drop,omitempty"`
	// Masquerade is iptables, bpf or off.
	Masquerade string `json:"masquerade,omitempty"`
}

// The values of Outcome.Result, and those that stand for nothing.
const (
	Reached    = "reached"
	NotReached = "not reached"
	noEvent    = "no event"
	noDrop     = "none"
)

// Predicted is what the model says of a flow.
func Predicted(r datapath.Result) Outcome {
	o := Outcome{
		Result: map[snapshot.Tri]string{snapshot.Yes: Reached, snapshot.No: NotReached}[r.Delivered],
		Source: string(r.Source), Identity: r.Identity, Drop: r.DropReason, Masquerade: string(r.MasqueradeBy),
		Verdict: decision(r.Verdict), Egress: decision(r.Egress),
	}
	if r.Delivered == snapshot.Yes {
		o.Drop = noDrop
	}
	return o
}

// decision: what no policy selects has no event.
func decision(d policy.Decision) string {
	switch {
	case d.Verdict == policy.Unknown:
		return ""
	case d.Audited:
		return "audit"
	case !d.Enforced:
		return noEvent
	}
	return d.Verdict.String()
}

// column of an outcome.
type column struct {
	name  string
	value func(*Outcome) *string
}

func columns() []column {
	return []column{
		{"result", func(o *Outcome) *string { return &o.Result }},
		{"source", func(o *Outcome) *string { return &o.Source }},
		{"identity", func(o *Outcome) *string { return &o.Identity }},
		{"verdict", func(o *Outcome) *string { return &o.Verdict }},
		{"egress verdict", func(o *Outcome) *string { return &o.Egress }},
		{"drop", func(o *Outcome) *string { return &o.Drop }},
		{"masquerading", func(o *Outcome) *string { return &o.Masquerade }},
	}
}

// Diff says in which columns a prediction differs from what was seen, and which it
// leaves open. A column that was not observed is not compared.
func Diff(seen, predicted Outcome) (wrong, open []string) {
	for _, c := range columns() {
		saw, said := *c.value(&seen), *c.value(&predicted)
		switch {
		case saw == "" || saw == said:
		case said == "":
			open = append(open, fmt.Sprintf("%s: %s was seen", c.name, saw))
		default:
			wrong = append(wrong, fmt.Sprintf("%s: %s was seen, %s predicted", c.name, saw, said))
		}
	}
	return wrong, open
}

// Changed says in which columns two observations of one flow differ; one that either
// lacks is not compared.
func Changed(before, now Outcome) (out []string) {
	for _, c := range columns() {
		was, is := *c.value(&before), *c.value(&now)
		if was != "" && is != "" && was != is {
			out = append(out, fmt.Sprintf("%s: %s now, %s before", c.name, is, was))
		}
	}
	return out
}
