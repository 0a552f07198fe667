package delivery

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Arrival says whether something comes through. The zero value is unknown.
type Arrival string

// Partly: some of it comes through, so that Flux, which tries again and again,
// will get there in time.
const (
	Yes     Arrival = "yes"
	Partly  Arrival = "partly"
	No      Arrival = "no"
	Unknown Arrival = "unknown"
)

// Way is what to do about a merged commit.
type Way string

// Ways, in the order in which they are to be considered.
const (
	// Wait: Flux brings the commit, or it is not known that it does not.
	Wait Way = "wait"
	// Instruct: a person has to act; see [Instructions].
	Instruct Way = "instructions"
	// BreakGlass: the controller may act once a person approves.
	BreakGlass Way = "breakGlass"
)

// Names of Flux's controllers as the label "app" of their pods has them.
const (
	SourceController    = "source-controller"
	KustomizeController = "kustomize-controller"
	HelmController      = "helm-controller"
)

// Names of legs.
const (
	LegGit       = "Git remote to source-controller"
	LegKustomize = "source-controller to kustomize-controller"
	LegHelm      = "source-controller to helm-controller"
	LegAPI       = "Flux's controllers to the API server"
)

// Leg is one part of a commit's way.
type Leg struct {
	Name     string   `json:"name"`
	Works    Arrival  `json:"works"`
	Because  string   `json:"because"`
	Evidence []string `json:"evidence,omitempty"`
}

// Assessment is the answer with its reasons.
type Assessment struct {
	Arrives Arrival `json:"arrives"`
	// Legs are all four, in the order of the commit's way.
	Legs []Leg  `json:"legs"`
	Way  Way    `json:"way"`
	Why  string `json:"why"`
	// CoLocate says whether the broken legs work once the controllers run on
	// source-controller's node, and CoLocateWhy what that rests on.
	CoLocate    Arrival `json:"coLocate"`
	CoLocateWhy string  `json:"coLocateWhy,omitempty"`
	// Move are the Deployments, in Namespace, that are to run beside
	// source-controller, which runs on Node.
	Move      []string `json:"move,omitempty"`
	Namespace string   `json:"namespace,omitempty"`
	Node      string   `json:"node,omitempty"`
	// Label is the key of the label that marks source-controller's pod.
	Label string `json:"-"`
}

// Assess judges every leg, and then the whole: no where a leg is cut, unknown
// where none is known to be cut and one is not known.
func Assess(f *Facts) Assessment {
	a := Assessment{Namespace: f.Namespace}
	a.Legs = []Leg{
		f.git(),
		f.artifact(KustomizeController, LegKustomize),
		f.artifact(HelmController, LegHelm),
		f.api(),
	}
	a.Arrives = whole(a.Legs)
	f.coLocate(&a)
	a.Way, a.Why = f.way(&a)
	return a
}

func whole(legs []Leg) Arrival {
	has := func(w Arrival) bool { return slices.ContainsFunc(legs, func(l Leg) bool { return l.Works == w }) }
	for _, w := range []Arrival{No, Unknown, Partly} {
		if has(w) {
			return w
		}
	}
	return Yes
}

// way decides what to do. Break-glass is never more than an offer: a person
// approves it for each commit.
func (f *Facts) way(a *Assessment) (Way, string) {
	cut := strings.Join(named(a.Legs, No), "; ")
	switch a.Arrives {
	case Yes:
		return Wait, "every leg of the commit's way works: Flux brings it by itself"
	case Partly:
		return Wait, "the way is only partly broken and Flux tries again at every interval: wait; " + strings.Join(named(a.Legs, Partly), "; ")
	case Unknown:
		return Wait, "nothing shows that the commit does not arrive, and not all of its way is known: wait, and use the instructions if the GitRepository or the Kustomization does not move within their intervals; not known: " +
			strings.Join(append(named(a.Legs, Unknown), named(a.Legs, Partly)...), "; ")
	}
	if f.BreakGlass && a.CoLocate != Yes {
		return BreakGlass, "the commit does not arrive by itself: " + cut + ". Break-glass is enabled: approve it for the merged commit, or follow the instructions"
	}
	return Instruct, "the commit does not arrive by itself: " + cut
}

func named(legs []Leg, works Arrival) []string {
	var out []string
	for _, l := range legs {
		if l.Works == works {
			out = append(out, l.Name+" ("+l.Because+")")
		}
	}
	return out
}

// git: source-controller says with every attempt whether it reached the remote.
func (f *Facts) git() Leg {
	l := Leg{Name: LegGit, Works: Unknown, Because: "no GitRepository is in view"}
	for _, o := range f.Sources {
		l.Evidence = append(l.Evidence, said(o))
		switch {
		case o.Suspended:
			return l.is(No, fmt.Sprintf("%s is suspended, so it fetches nothing until it is resumed", o.Source))
		case o.Ready == snapshot.No && timedOut(o.Message):
			return l.is(No, fmt.Sprintf("%s cannot reach its remote", o.Source))
		case o.Ready == snapshot.No:
			return l.is(No, fmt.Sprintf("%s fails, though not for want of an answer", o.Source))
		case o.Ready == snapshot.Yes:
			l = l.is(Yes, fmt.Sprintf("%s is Ready: its last fetch worked", o.Source))
		default:
			l = l.is(Unknown, fmt.Sprintf("%s does not say whether it is Ready", o.Source))
		}
	}
	return l
}

func (l Leg) is(works Arrival, because string) Leg {
	l.Works, l.Because = works, because
	return l
}

// api: a controller that renews its lease reaches the API server.
func (f *Facts) api() Leg {
	l := Leg{Name: LegAPI, Works: Yes, Because: "each controller renews its lease"}
	for _, app := range apps() {
		switch r := f.API[app]; r.Works {
		case snapshot.No:
			l.Evidence = append(l.Evidence, r.Because)
			return l.is(No, app+" does not reach the API server")
		case snapshot.Yes:
			l.Evidence = append(l.Evidence, r.Because)
		default:
			l = l.is(Unknown, "whether "+app+" reaches the API server was not seen")
		}
	}
	return l
}

func apps() []string { return []string{SourceController, KustomizeController, HelmController} }

func said(o snapshot.FluxObject) string {
	const most = 300
	text := fmt.Sprintf("%s: Ready is %s", o.Source, o.Ready)
	if o.Message != "" {
		text += ": " + clip(o.Message, most)
	}
	return text
}
