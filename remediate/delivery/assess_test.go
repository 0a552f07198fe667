package delivery

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// healthy facts: each controller on a node of its own, one family, all works.
func healthy() *Facts {
	f := &Facts{
		Namespace: "flux-system", Families: []string{"IPv6"},
		Pods: []Pod{
			{SourceController, "source", "node-2", "app"}, {KustomizeController, "kustomize", "node-7", "app"}, {HelmController, "helm", "node-6", "app"},
		},
		Sources:   []snapshot.FluxObject{{Kind: "GitRepository", Source: "GitRepository flux-system/flux-system", Ready: snapshot.Yes}},
		Consumers: map[string][]snapshot.FluxObject{},
		SameNode:  map[string]Reach{KustomizeController: {snapshot.Yes, "delivered"}, HelmController: {snapshot.Yes, "delivered"}},
		API:       map[string]Reach{},
	}
	for _, app := range apps() {
		f.API[app] = Reach{snapshot.Yes, app + " renewed its Lease"}
	}
	f.path("kustomize", "IPv6", Yes, Modelled)
	f.path("helm", "IPv6", Yes, Modelled)
	return f
}

func (f *Facts) path(from, family string, works Arrival, source string) {
	f.Paths = append(f.Paths, Path{From: from, To: "source", Family: family, Works: works, Because: "because", Source: source})
}

// cut is the incident: nothing from source-controller crosses nodes.
func cut(f *Facts) {
	for i := range f.Paths {
		f.Paths[i].Works = No
	}
}

const timeout = "failed to download archive: GET http://source-controller.flux-system.svc.cluster.local./x giving up after 10 attempt(s): dial tcp [fd00::1]:80: i/o timeout"

func TestAssess(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Facts)
		want   Arrival
		way    Way
		// legs: Git, kustomize, helm, API.
		legs     string
		coLocate Arrival
		move     string
		why      string
	}{
		{"healthy", func(*Facts) {}, Yes, Wait, "yes yes yes yes", No, "", "Flux brings it by itself"},
		{"the incident", cut, No, Instruct, "yes no no yes", Yes, "kustomize-controller helm-controller", "kustomize-controller on node-7 from source-controller on node-2 over IPv6 is cut"},
		{"the incident with break-glass enabled: co-locating is enough", func(f *Facts) { cut(f); f.BreakGlass = true }, No, Instruct, "yes no no yes", Yes, "kustomize-controller helm-controller", ""},
		{"all on one node", func(f *Facts) {
			for i := range f.Pods {
				f.Pods[i].Node = "node-2"
			}
		}, Yes, Wait, "yes yes yes yes", No, "", ""},
		{"all on one node, and cut all the same", func(f *Facts) {
			cut(f)
			for i := range f.Pods {
				f.Pods[i].Node = "node-2"
			}
			f.BreakGlass = true
		}, No, BreakGlass, "yes no no yes", No, "", "approve it"},
		{"only one controller on another node", func(f *Facts) { f.Pods[1].Node = "node-2"; f.Paths[1].Works = No }, No, Instruct, "yes yes no yes", Yes, "helm-controller", ""},
		{"one family cut, and the Service has both", func(f *Facts) {
			cut(f)
			f.Families = []string{"IPv6", "IPv4"}
			f.path("kustomize", "IPv4", Yes, Modelled)
			f.path("helm", "IPv4", Yes, Modelled)
		}, Yes, Wait, "yes yes yes yes", No, "", ""},
		{"one family cut, and the Service has that one", func(f *Facts) {
			cut(f)
			f.path("kustomize", "IPv4", Yes, Modelled)
			f.path("helm", "IPv4", Yes, Modelled)
		}, No, Instruct, "yes no no yes", Yes, "kustomize-controller helm-controller", ""},
		{"one family cut, and the Service is not known", func(f *Facts) {
			cut(f)
			f.Families = nil
			f.path("kustomize", "IPv4", Yes, Modelled)
			f.path("helm", "IPv4", Yes, Modelled)
		}, Unknown, Wait, "yes unknown unknown yes", Yes, "kustomize-controller helm-controller", "which family Service source-controller has is not known"},
		{"both families cut, and the Service is not known", func(f *Facts) {
			f.Families = nil
			f.path("kustomize", "IPv4", No, Modelled)
			f.path("helm", "IPv4", No, Modelled)
			cut(f)
		}, No, Instruct, "yes no no yes", Yes, "kustomize-controller helm-controller", ""},
		{"probes see what the model does not", func(f *Facts) { f.path("kustomize", "IPv6", No, Observed) }, No, Instruct, "yes no yes yes", Yes, "kustomize-controller", ""},
		{"probes see that it works, whatever the model and old messages say", func(f *Facts) {
			cut(f)
			f.path("kustomize", "IPv6", Yes, Observed)
			f.path("helm", "IPv6", Yes, Observed)
			f.Consumers[KustomizeController] = []snapshot.FluxObject{{Ready: snapshot.No, Message: timeout}}
		}, Yes, Wait, "yes yes yes yes", No, "", ""},
		{"part of the packets", func(f *Facts) { f.path("helm", "IPv6", Partly, Observed) }, Partly, Wait, "yes yes partly yes", Yes, "helm-controller", "only partly broken"},
		{"replicas that differ", func(f *Facts) {
			f.Pods = append(f.Pods, Pod{KustomizeController, "kustomize-2", "node-9", "app"})
			f.path("kustomize-2", "IPv6", No, Modelled)
		}, Partly, Wait, "yes partly yes yes", Yes, "kustomize-controller", ""},
		{"no model, no probes", func(f *Facts) { f.Paths = nil }, Unknown, Wait, "yes unknown unknown yes", Yes, "kustomize-controller helm-controller", "was not observed, and the model cannot say"},
		{"no model, no probes, and Flux says that it timed out", func(f *Facts) {
			f.Paths = nil
			f.Consumers[KustomizeController] = []snapshot.FluxObject{{Ready: snapshot.No, Message: timeout, Source: "Kustomization a/b"}}
			f.Consumers[HelmController] = []snapshot.FluxObject{{Ready: snapshot.No, Message: "install retries exhausted: timed out waiting for the condition"}}
		}, No, Instruct, "yes no unknown yes", Yes, "kustomize-controller helm-controller", "says that fetching from source-controller timed out"},
		{"no pods of Flux", func(f *Facts) { f.Pods = nil }, Unknown, Wait, "yes unknown unknown yes", Unknown, "", "no pod of source-controller"},
		{"no pod of helm-controller", func(f *Facts) { f.Pods = f.Pods[:2] }, Unknown, Wait, "yes yes unknown yes", No, "", "no pod of helm-controller"},
		{"several source-controllers", func(f *Facts) { cut(f); f.Pods = append(f.Pods, Pod{SourceController, "source-2", "node-4", "app"}) },
			Unknown, Wait, "yes unknown unknown yes", Unknown, "", ""},
		{"the Git remote is out of reach", func(f *Facts) {
			cut(f)
			f.Sources[0].Ready, f.Sources[0].Message = snapshot.No, "failed to checkout: unable to clone: dial tcp 192.0.2.1:443: i/o timeout"
			f.BreakGlass = true
		}, No, BreakGlass, "no no no yes", No, "", "cannot reach its remote"},
		{"the GitRepository fails otherwise", func(f *Facts) { f.Sources[0].Ready, f.Sources[0].Message = snapshot.No, "authentication required" }, No, Instruct, "no yes yes yes", No, "", "fails, though not"},
		{"the GitRepository is suspended", func(f *Facts) { f.Sources[0].Suspended = true }, No, Instruct, "no yes yes yes", No, "", "suspended"},
		{"no GitRepository", func(f *Facts) { f.Sources = nil }, Unknown, Wait, "unknown yes yes yes", No, "", ""},
		{"the API server is out of reach", func(f *Facts) { f.API[HelmController] = Reach{snapshot.No, "not renewed"} }, No, Instruct, "yes yes yes no", No, "", ""},
		{"leases not seen", func(f *Facts) { f.API = nil }, Unknown, Wait, "yes yes yes unknown", No, "", "was not seen"},
		{"on one node it would not work either", func(f *Facts) { cut(f); f.SameNode[HelmController] = Reach{snapshot.No, "denied by a policy"} },
			No, Instruct, "yes no no yes", No, "kustomize-controller helm-controller", ""},
		{"whether it works on one node is not known", func(f *Facts) { cut(f); f.SameNode, f.BreakGlass = nil, true }, No, BreakGlass, "yes no no yes", Unknown, "kustomize-controller helm-controller", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := healthy()
			tt.change(f)
			a := Assess(f)
			var legs []string
			for _, l := range a.Legs {
				legs = append(legs, string(l.Works))
				if l.Because == "" {
					t.Errorf("%s gives no reason", l.Name)
				}
			}
			if got := strings.Join(legs, " "); a.Arrives != tt.want || a.Way != tt.way || got != tt.legs {
				t.Errorf("got %s, %s, %s; want %s, %s, %s\n%+v", a.Arrives, a.Way, got, tt.want, tt.way, tt.legs, a.Legs)
			}
			if got := strings.Join(a.Move, " "); a.CoLocate != tt.coLocate || got != tt.move {
				t.Errorf("co-locate %s, move %q (%s); want %s, %q", a.CoLocate, got, a.CoLocateWhy, tt.coLocate, tt.move)
			}
			if !strings.Contains(a.Why, tt.why) {
				t.Errorf("why %q, want %q in it", a.Why, tt.why)
			}
		})
	}
}

// Nothing known: nothing claimed, nothing done.
func TestAssessNothing(t *testing.T) {
	a := Assess(&Facts{})
	if a.Arrives != Unknown || a.Way != Wait || a.CoLocate != Unknown {
		t.Errorf("%+v", a)
	}
}

func TestReached(t *testing.T) {
	now := time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)
	lease := func(age time.Duration, seconds int32) coordinationv1.Lease {
		at := metav1.NewMicroTime(now.Add(-age))
		return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: LeaseOf(HelmController)}, Spec: coordinationv1.LeaseSpec{RenewTime: &at, LeaseDurationSeconds: &seconds}}
	}
	tests := []struct {
		name  string
		lease coordinationv1.Lease
		want  snapshot.Tri
	}{
		{"just now", lease(4*time.Second, 35), snapshot.Yes},
		{"from the future", lease(-time.Hour, 35), snapshot.Yes},
		{"in between", lease(2*time.Minute, 35), snapshot.Unknown},
		{"long ago", lease(time.Hour, 35), snapshot.No},
		{"a long lease", lease(2*time.Minute, 600), snapshot.Yes},
		{"nonsense for a duration", lease(time.Hour, -1), snapshot.No},
		{"never renewed", coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: LeaseOf(HelmController)}}, snapshot.Unknown},
		{"another's", coordinationv1.Lease{}, snapshot.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Reached([]coordinationv1.Lease{tt.lease}, now)[HelmController]; got.Works != tt.want {
				t.Errorf("%+v, want %s", got, tt.want)
			}
		})
	}
}
