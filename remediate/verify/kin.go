package verify

import (
	"slices"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// kin is what classes have in common that may stand for one another: they go the
// same way in the same family to the same kind of target, on the same node or not,
// and differ in their protocol alone.
type kin struct {
	via, family, target string
	sameNode            bool
}

func (c Class) kin() kin { return kin{c.Via, c.Family, c.Target, c.SameNode} }

// kinds puts classes of one kin together, in the order of the first of each.
func kinds(classes []Class) [][]Class {
	var out [][]Class
	at := map[kin]int{}
	for _, c := range classes {
		i, ok := at[c.kin()]
		if !ok {
			i = len(out)
			at[c.kin()] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

// Protocols of a probe's exchanges.
const (
	tcp     = "TCP"
	udp     = "UDP"
	guarded = "guarded"
)

// byTurns says whether probes try a class by turns. The others they try to look into
// a failure and at no other time (mesh.Plan.Differential), so that what works again
// may never be seen of them.
func (c Class) byTurns() bool {
	switch {
	case c.Via == podIP && c.SameNode && c.Target != guarded:
		return c.Protocol == tcp
	case c.Via == podIP && (c.SameNode || c.Target == guarded), c.Via == clusterIP:
		return c.Protocol == tcp || c.Protocol == udp
	}
	return true
}

func anyByTurns(classes []Class) bool { return slices.ContainsFunc(classes, Class.byTurns) }

// stands judges classes of one kin that were alike before the change: what was tried
// has to work, and one of them has to have been tried, for the others too. Checked is
// false when none of them can be tried.
func (j *judge) stands(group []Class, count func(Class) Count) (t snapshot.Tri, reason string, checked bool) {
	tried, open := false, ""
	for _, c := range group {
		n := count(c)
		switch {
		case n.tried() > 0:
			tried = true
			if t, reason := j.works(c, n); t != snapshot.Yes {
				return t, reason, true
			}
		case n.NotChecked == 0 && c.byTurns() && open == "":
			open = c.String() + " was not tried yet"
		}
	}
	switch {
	case tried:
		return snapshot.Yes, "", true
	case open != "":
		return snapshot.Unknown, open, true
	}
	return snapshot.Unknown, group[0].String() + " could not be tried", false
}
