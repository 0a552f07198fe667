package delivery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// artifact judges a controller's fetches from source-controller.
func (f *Facts) artifact(app, name string) Leg {
	l := Leg{Name: name, Works: Unknown}
	if why := f.incomplete(app); why != "" {
		return f.heard(app, l.is(Unknown, why))
	}
	var each []Arrival
	var texts []string
	for _, p := range f.pods(app) {
		for _, s := range f.pods(SourceController) {
			works, because := f.fetch(p, s, &l)
			each = append(each, works)
			texts = append(texts, because)
		}
	}
	works := worst(each)
	l = l.is(works, strings.Join(slices.Compact(texts), "; "))
	if works == Yes {
		return l
	}
	return f.heard(app, l)
}

// incomplete says what is missing for a judgement, or nothing.
func (f *Facts) incomplete(app string) string {
	switch {
	case len(f.pods(SourceController)) == 0:
		return "no pod of source-controller is in view in namespace " + f.Namespace
	case len(f.pods(app)) == 0:
		return "no pod of " + app + " is in view in namespace " + f.Namespace
	}
	return ""
}

// heard adds what the controller's own objects say. That fetching timed out
// tells, unless probes have seen the way work since; Ready tells little: it may
// have been said before the fault began.
func (f *Facts) heard(app string, l Leg) Leg {
	for _, o := range f.Consumers[app] {
		if o.Ready != snapshot.No || !fetchFailed(o.Message) {
			continue
		}
		l.Evidence = append(l.Evidence, said(o))
		if l.Works == Unknown {
			l = l.is(No, app+" says that fetching from source-controller timed out")
		}
	}
	return l
}

// fetch judges one controller's pod and one of source-controller's. The
// artifact's address is that of a Service: where it has both families the client
// tries one after the other, so that one of them suffices.
func (f *Facts) fetch(from, to Pod, l *Leg) (Arrival, string) {
	if len(f.Families) == 0 {
		return f.anyFamily(from, to, l)
	}
	var works []Arrival
	var because []string
	for _, family := range f.Families {
		w, b := f.over(from, to, family, l)
		works = append(works, w)
		because = append(because, b)
		if w == Yes {
			return Yes, b
		}
	}
	return best(works), strings.Join(because, "; ")
}

// anyFamily: the Service's families are not known, so only what holds for all
// of the pods' families is.
func (f *Facts) anyFamily(from, to Pod, l *Leg) (Arrival, string) {
	var works []Arrival
	var because []string
	for _, family := range []string{"IPv4", "IPv6"} {
		if !f.has(from, to, family) {
			continue
		}
		w, b := f.over(from, to, family, l)
		works, because = append(works, w), append(because, b)
	}
	switch {
	case len(works) == 0:
		return Unknown, fmt.Sprintf("nothing is known of the path from %s on %s to source-controller on %s", from.Name, from.Node, to.Node)
	case slices.Index(works, works[0]) == 0 && len(slices.Compact(slices.Clone(works))) == 1:
		return works[0], strings.Join(because, "; ")
	}
	return Unknown, "which family Service source-controller has is not known, and it decides: " + strings.Join(because, "; ")
}

// over judges one family: what probes saw between the same two nodes counts
// before what the model says.
func (f *Facts) over(from, to Pod, family string, l *Leg) (Arrival, string) {
	where := fmt.Sprintf("%s on %s from source-controller on %s over %s", from.App, from.Node, to.Node, family)
	for _, src := range []string{Observed, Modelled} {
		i := slices.IndexFunc(f.Paths, func(p Path) bool { return p.Source == src && p.is(from, to, family) })
		if i < 0 || f.Paths[i].Works == Unknown || f.Paths[i].Works == "" {
			continue
		}
		p := f.Paths[i]
		text := where + ": " + p.Because
		if !slices.Contains(l.Evidence, text) {
			l.Evidence = append(l.Evidence, text)
		}
		switch p.Works {
		case Yes:
			return Yes, where + " works"
		case Partly:
			return Partly, where + " works some of the time: " + p.Because
		}
		return No, where + " is cut"
	}
	return Unknown, where + " was not observed, and the model cannot say"
}

func (f *Facts) has(from, to Pod, family string) bool {
	return slices.ContainsFunc(f.Paths, func(p Path) bool { return p.is(from, to, family) })
}

func (f *Facts) pods(app string) []Pod {
	var out []Pod
	for _, p := range f.Pods {
		if p.App == app {
			out = append(out, p)
		}
	}
	return out
}

// worst of several pods, of which only the leader works and nobody knows which
// that is: pods that differ make it partly.
func worst(each []Arrival) Arrival {
	switch {
	case slices.Contains(each, Unknown):
		return Unknown
	case slices.Contains(each, Partly), slices.Contains(each, Yes) && slices.Contains(each, No):
		return Partly
	case slices.Contains(each, No):
		return No
	}
	return Yes
}

func best(each []Arrival) Arrival {
	for _, w := range []Arrival{Yes, Partly, Unknown} {
		if slices.Contains(each, w) {
			return w
		}
	}
	return No
}

// coLocate says whether moving the cut-off controllers to source-controller's
// node lets the commit in.
func (f *Facts) coLocate(a *Assessment) {
	a.CoLocate = Unknown
	to := f.pods(SourceController)
	switch {
	case a.Legs[0].Works == No:
		a.CoLocate, a.CoLocateWhy = No, "source-controller itself does not get the commit: "+a.Legs[0].Because
		return
	case len(to) == 0:
		a.CoLocateWhy = "no pod of source-controller is in view"
		return
	case len(to) > 1:
		a.CoLocateWhy = "source-controller has several pods, so there is no one node to move to"
		return
	}
	a.Node, a.Label = to[0].Node, to[0].Label
	for i, app := range []string{KustomizeController, HelmController} {
		if a.Legs[i+1].Works != Yes && slices.ContainsFunc(f.pods(app), func(p Pod) bool { return p.Node != a.Node }) {
			a.Move = append(a.Move, app)
		}
	}
	f.sameNode(a)
}

func (f *Facts) sameNode(a *Assessment) {
	if len(a.Move) == 0 {
		a.CoLocate, a.CoLocateWhy = No, "the controllers run on source-controller's node already, or are not cut off from it"
		return
	}
	a.CoLocate, a.CoLocateWhy = Yes, fmt.Sprintf("traffic between pods of one node is not masqueraded: a controller on %s reaches source-controller", a.Node)
	for _, app := range a.Move {
		r, ok := f.SameNode[app]
		switch {
		case !ok || r.Works == snapshot.Unknown:
			a.CoLocate, a.CoLocateWhy = Unknown, "whether "+app+" reaches source-controller from "+a.Node+" is not known"
		case r.Works == snapshot.No:
			a.CoLocate, a.CoLocateWhy = No, r.Because
			return
		}
	}
}
