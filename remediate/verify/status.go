package verify

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// The parts of a class stand between slashes in a status: "PodIP/IPv6/TCP/guarded",
// with "/same-node" behind.
const (
	classSep = "/"
	sameNode = "same-node"
)

// Key is the class as a status has it; see [ClassOfKey].
func (c Class) Key() string {
	parts := []string{c.Via, c.Family, c.Protocol, c.Target}
	if c.SameNode {
		parts = append(parts, sameNode)
	}
	return strings.Join(parts, classSep)
}

// ClassOfKey reads what [Class.Key] wrote; ok is false for anything else.
func ClassOfKey(key string) (c Class, ok bool) {
	parts := strings.Split(key, classSep)
	if len(parts) == 5 && parts[4] == sameNode {
		c.SameNode = true
		parts = parts[:4]
	}
	if len(parts) != 4 {
		return Class{}, false
	}
	c.Via, c.Family, c.Protocol, c.Target = parts[0], parts[1], parts[2], parts[3]
	return c, true
}

// Status is the baseline as a Remediation keeps it. Of more classes than fit,
// those of which something fails are kept first.
func (b Baseline) Status() *v1alpha1.Baseline {
	const most = 32
	b = b.Bounded()
	out := &v1alpha1.Baseline{At: metav1.NewTime(b.To), BrokenPairs: int32(min(b.BrokenPairs, 1<<30))}
	slices.SortStableFunc(b.Classes, func(x, y ClassCount) int { return rank(x) - rank(y) })
	for _, c := range b.Classes[:min(len(b.Classes), most)] {
		out.Flows = append(out.Flows, v1alpha1.FlowClass{Class: c.Key(), OK: number(c.OK), Lost: number(c.Lost), Masked: number(c.Masked), Unknown: number(c.NotChecked)})
	}
	for _, p := range b.Broken {
		class := Class{Via: podIP, Family: p.Family, Target: p.Target}
		out.Broken = append(out.Broken, v1alpha1.BrokenPair{From: p.From, To: p.To, Class: class.Key()})
	}
	for _, c := range b.Confirmed {
		if !slices.Contains(out.Confirmed, c.Signature) && len(out.Confirmed) < 10 {
			out.Confirmed = append(out.Confirmed, c.Signature)
		}
	}
	return out
}

func rank(c ClassCount) int {
	switch {
	case c.Lost+c.masked() > 0:
		return 0
	case c.tried() > 0:
		return 1
	}
	return 2
}

func number(n int) int32 { return int32(max(0, min(n, 1<<30))) }

// BaselineOf reads the baseline of a status; nil gives nil.
func BaselineOf(s *v1alpha1.Baseline) *Baseline {
	if s == nil {
		return nil
	}
	b := &Baseline{To: s.At.Time, BrokenPairs: int(s.BrokenPairs)}
	for _, f := range s.Flows {
		if c, ok := ClassOfKey(f.Class); ok {
			b.Classes = append(b.Classes, ClassCount{c, Count{OK: int(f.OK), Masked: int(f.Masked), Lost: int(f.Lost), NotChecked: int(f.Unknown)}})
		}
	}
	for _, p := range s.Broken {
		c, _ := ClassOfKey(p.Class)
		b.Broken = append(b.Broken, Pair{From: p.From, To: p.To, Family: c.Family, Target: c.Target})
	}
	for _, id := range s.Confirmed {
		b.Confirmed = append(b.Confirmed, Cause{Signature: id})
	}
	bounded := b.Bounded()
	return &bounded
}

// cutValue is the length from which a value in a status may have been cut.
const cutValue = 250

// PlannedOf is what a Remediation's status says of its plan. Values that may have
// been cut there are left out; [remediate.ChangeAt] has all.
func PlannedOf(p *v1alpha1.PlanStatus, causes ...Cause) Planned {
	out := Planned{Causes: causes}
	if p == nil {
		return out
	}
	out.Config, out.ValuesDigest, out.Restart = map[string]*string{}, p.ValuesDigest, p.Restart
	out.HotReload = len(p.Restart) == 0 && len(p.ConfigDelta) > 0
	for _, k := range p.ConfigDelta {
		switch {
		case k.Removed:
			out.Config[k.Key] = nil
		case len(k.Value) < cutValue:
			v := k.Value
			out.Config[k.Key] = &v
		}
	}
	return out
}

// NodesStatus sums the nodes up for a Remediation; nil as long as nothing is known of
// them.
func (s State) NodesStatus() *v1alpha1.NodesStatus {
	if len(s.Nodes) == 0 {
		return nil
	}
	const most = 20
	out := &v1alpha1.NodesStatus{Wanted: number(len(s.Nodes))}
	for _, n := range s.Nodes {
		switch n.Active {
		case snapshot.Yes:
			out.Active++
			continue
		case snapshot.Unknown:
			out.Unknown++
		}
		if len(out.Waiting) < most {
			out.Waiting = append(out.Waiting, v1alpha1.WaitingNode{Node: n.Node, Reason: clip(n.Reason, maxText), Unknown: n.Active == snapshot.Unknown})
		}
	}
	return out
}

// String is the follow-up in one line: why, and the commands.
func (f *FollowUp) String() string {
	if f == nil {
		return ""
	}
	text := f.Why
	if len(f.Commands) > 0 {
		text += ". Run: " + strings.Join(f.Commands, " && ")
	}
	if len(f.Values) > 0 {
		text += ". Or set in the release's values: " + strings.Join(f.settings(), ", ")
	}
	return text
}

// settings are the values in the order of their paths.
func (f *FollowUp) settings() []string {
	var out []string
	for path := range f.Values {
		out = append(out, path+": true")
	}
	slices.Sort(out)
	return out
}
