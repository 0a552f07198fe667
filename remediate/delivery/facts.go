package delivery

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Sources of what is said about a path.
const (
	Observed = "probes"
	Modelled = "model"
)

// Facts are what an assessment rests on. What is absent is unknown.
type Facts struct {
	// Namespace is Flux's.
	Namespace string
	// Pods of the three controllers.
	Pods []Pod
	// Paths from the controllers to source-controller, by pod and family.
	Paths []Path
	// Families in which Service source-controller has an address, which is what
	// an artifact's URL names; empty: not known.
	Families []string
	// SameNode is whether a controller would reach source-controller from its node.
	SameNode map[string]Reach
	// Sources are the GitRepositories and OCIRepositories that hold the commit.
	Sources []snapshot.FluxObject
	// Consumers are Kustomizations by KustomizeController, HelmReleases by HelmController.
	Consumers map[string][]snapshot.FluxObject
	// API is whether a controller reaches the API server, by its app.
	API map[string]Reach
	// BreakGlass: the policy enables it.
	BreakGlass bool
}

// Pod is a pod of one of Flux's controllers. Label is the key of the label that
// says which.
type Pod struct{ App, Name, Node, Label string }

// Path is one fetch over one family.
type Path struct {
	// From and To are names of pods in Flux's namespace.
	From, To string
	Family   string
	Works    Arrival
	Because  string
	// Source is Observed or Modelled.
	Source string
}

func (p Path) is(from, to Pod, family string) bool {
	return p.From == from.Name && p.To == to.Name && p.Family == family
}

// Reach is a fact with its reason.
type Reach struct {
	Works   snapshot.Tri
	Because string
}

// FactsOf reads the facts of a snapshot under a model of what the agents run.
// Flux is looked for in namespace, "flux-system" when empty. What needs more
// than a snapshot, API and BreakGlass, is left to the caller.
func FactsOf(s *snapshot.Snapshot, m *datapath.Model, namespace string) *Facts {
	if namespace == "" {
		namespace = "flux-system"
	}
	f := &Facts{Namespace: namespace, SameNode: map[string]Reach{}, Consumers: map[string][]snapshot.FluxObject{}, API: map[string]Reach{}}
	for i := range s.Pods {
		p := &s.Pods[i]
		if app, label := appOf(p); p.Namespace == namespace && p.Node != "" && slices.Contains(apps(), app) {
			f.Pods = append(f.Pods, Pod{App: app, Name: p.Name, Node: p.Node, Label: label})
		}
	}
	f.objects(s)
	f.service(s)
	for _, p := range signature.FluxPaths(s) {
		if p.To.Namespace == namespace {
			f.walk(s, m, p)
		}
	}
	return f
}

// appOf is the controller that a pod's labels name; Flux sets the first, its
// Helm charts the others.
func appOf(p *snapshot.Pod) (app, label string) {
	for _, key := range []string{"app", "app.kubernetes.io/component", "app.kubernetes.io/name"} {
		if v := p.Labels[key]; v != "" {
			return v, key
		}
	}
	return "", ""
}

func (f *Facts) objects(s *snapshot.Snapshot) {
	for _, o := range s.Flux {
		switch o.Kind {
		case "GitRepository":
			f.Sources = append(f.Sources, o)
		case "Kustomization":
			f.Consumers[KustomizeController] = append(f.Consumers[KustomizeController], o)
		case "HelmRelease":
			f.Consumers[HelmController] = append(f.Consumers[HelmController], o)
		}
	}
}

func (f *Facts) service(s *snapshot.Snapshot) {
	for _, svc := range s.Services {
		if svc.Namespace != f.Namespace || svc.Name != SourceController {
			continue
		}
		for _, a := range svc.ClusterIPs {
			if family := familyOf(a); !slices.Contains(f.Families, family) {
				f.Families = append(f.Families, family)
			}
		}
	}
}

func familyOf(a netip.Addr) string {
	if a.Unmap().Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// walk adds what probes saw and what the model says of one controller's fetches.
func (f *Facts) walk(s *snapshot.Snapshot, m *datapath.Model, p signature.FluxPath) {
	app, _ := appOf(p.From)
	for _, family := range []string{"IPv4", "IPv6"} {
		if seen, ok := observed(s, f.Namespace, p, family); ok {
			f.Paths = append(f.Paths, seen)
		}
		r, ok := p.Trace(m, family)
		if !ok {
			continue
		}
		f.Paths = append(f.Paths, Path{From: p.From.Name, To: p.To.Name, Family: family, Works: arrival(r.Delivered), Because: "by the model, " + outcome(r), Source: Modelled})
		if !f.uses(family) {
			continue
		}
		if r, ok := p.TraceOn(m, family, p.To.Node); ok && f.SameNode[app].Works != snapshot.Yes {
			f.SameNode[app] = Reach{Works: r.Delivered, Because: "on one node, " + outcome(r)}
		}
	}
}

func (f *Facts) uses(family string) bool {
	return len(f.Families) == 0 || slices.Contains(f.Families, family)
}

func outcome(r datapath.Result) string {
	if r.Reason != "" {
		return r.Reason
	}
	return r.Outcome()
}

func arrival(t snapshot.Tri) Arrival {
	switch t {
	case snapshot.Yes:
		return Yes
	case snapshot.No:
		return No
	}
	return Unknown
}

// observed is what probes between the same two nodes met, at targets as guarded
// as Flux's namespace is.
func observed(s *snapshot.Snapshot, namespace string, p signature.FluxPath, family string) (Path, bool) {
	out := Path{From: p.From.Name, To: p.To.Name, Family: family, Source: Observed}
	target, known := guardOf(s, namespace)
	if !known {
		return out, false
	}
	ok, lost := lately(s.Probes, func(o *v1alpha1.Observation) bool {
		return !o.Unreliable && !o.HostNetwork && o.Via == "PodIP" && o.Family == family && o.Target == target &&
			(o.Protocol == "TCP" || o.Protocol == "HTTP") && o.From.Node == p.From.Node && o.To.Node == p.To.Node
	})
	out.Because = fmt.Sprintf("probes between these nodes, to a %s target: %d of %d answered", target, ok, ok+lost)
	switch {
	case ok+lost == 0:
		return out, false
	case lost == 0:
		out.Works = Yes
	case ok == 0:
		out.Works = No
	default:
		out.Works = Partly
	}
	return out, true
}

// fresh is how much older than the newest observation of a path another may be: each
// pair of nodes has its turns in less, but a flow that is seldom tried, such as one of
// full-size packets, may have been seen last before the fault.
const fresh = time.Minute

// lately counts the exchanges of a path that were answered and that were not.
func lately(all []snapshot.ProbeObservation, is func(*v1alpha1.Observation) bool) (ok, lost int) {
	type tried struct {
		at      time.Time
		outcome string
	}
	var path []tried
	var newest time.Time
	for i := range all {
		if o := &all[i].Observation; is(o) {
			at, _ := time.Parse(time.RFC3339Nano, o.At) // those without a time are as good as each other
			path = append(path, tried{at, o.Outcome})
			if at.After(newest) {
				newest = at
			}
		}
	}
	for _, t := range path {
		switch {
		case newest.Sub(t.at) > fresh:
		case t.outcome == v1alpha1.OutcomeOK:
			ok++
		case t.outcome == v1alpha1.OutcomeTimeout, t.outcome == v1alpha1.OutcomeUnreachable:
			lost++
		}
	}
	return ok, lost
}

// guardOf says which kind of probes' target Flux's pods are like: those that a
// policy of their namespace selects are guarded.
func guardOf(s *snapshot.Snapshot, namespace string) (target string, known bool) {
	if !s.Read("NetworkPolicy") {
		return "", false
	}
	if slices.ContainsFunc(s.Policies, func(p snapshot.Policy) bool { return p.Namespace == namespace && p.Kubernetes != nil }) {
		return "guarded", true
	}
	return "open", true
}

// fetchFailed: the message of an object whose artifact did not come.
func fetchFailed(message string) bool {
	m := strings.ToLower(message)
	return timedOut(m) && (strings.Contains(m, SourceController) || strings.Contains(m, "failed to download archive") || strings.Contains(m, "artifact"))
}

func timedOut(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "i/o timeout") || strings.Contains(m, "deadline exceeded") || strings.Contains(m, "timed out") || strings.Contains(m, "no route to host")
}

// clip is one line of at most n bytes without control characters.
func clip(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
