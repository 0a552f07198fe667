package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate/delivery"
	"github.com/remediate-dev/remediate/remediate/delivery/breakglass"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// fakeGlass notes what it is asked to bring in.
type fakeGlass struct {
	mu sync.Mutex
	// fails is what Do answers first, waits what Close says until it is empty.
	fails error
	waits string

	tasks  []breakglass.Task
	closed []string
	values map[string]any
}

func (g *fakeGlass) Do(_ context.Context, t breakglass.Task) (*breakglass.Outcome, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tasks = append(g.tasks, t); g.fails != nil {
		return nil, g.fails
	}
	return &breakglass.Outcome{Revision: 7}, nil
}

func (g *fakeGlass) Close(_ context.Context, _ types.NamespacedName, commit string, values map[string]any) (*breakglass.Agreement, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.values = append(g.closed, commit), values
	if g.waits != "" {
		return &breakglass.Agreement{Waits: []string{g.waits}}, nil
	}
	return &breakglass.Agreement{Closed: true}, nil
}

func (g *fakeGlass) set(fails error, waits string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fails, g.waits = fails, waits
}

func (g *fakeGlass) done() (tasks []breakglass.Task, closed int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tasks, len(g.closed)
}

// mergedOn brings a bed, where Flux is cut off, to the merged commit that waits for
// an approval.
func mergedOn(t *testing.T, g *fakeGlass) (b *bed, commit string) {
	t.Helper()
	b = newBed(t)
	b.glass = g
	b.policy(v1alpha1.ModePropose, func(s *v1alpha1.RemediationPolicySpec) { s.BreakGlass = &v1alpha1.BreakGlassSpec{Enabled: true} })
	b.probes.say(incidentFinding())
	s := stateOf(verify.StageMerged, verify.Pending, "no verdict yet")
	for n := range s.Steps[1:] {
		s.Steps[n+1].Done = snapshot.No
	}
	b.follow.is(s)
	b.start()
	o := b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	if o.Status.Delivery == nil || o.Status.Delivery.WillArrive != "no" {
		t.Fatalf("Flux is cut off, and it says %+v", o.Status.Delivery)
	}
	commit = b.forge.MergePR(t, 1)
	b.poke()
	b.glassSays("waits for approval")
	return b, commit
}

func (b *bed) glassSays(text string) *v1alpha1.Remediation {
	b.Helper()
	return b.until("break-glass: "+text, func(o *v1alpha1.Remediation) bool {
		return o.Status.BreakGlass != nil && strings.Contains(o.Status.BreakGlass.Message, text)
	})
}

// approve annotates the Remediation.
func (b *bed) approve(value string) {
	b.Helper()
	o := b.remediations()[0]
	must(b, b.c.Patch(b.Context(), &o, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationApproveBreakGlass, value))))
}

// A merged commit that Flux cannot fetch is brought in after a person's approval of
// that commit, once; and the incident does not end before Flux has the release back.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	g := &fakeGlass{waits: "the Kustomization has not applied the commit"}
	b, commit := mergedOn(t, g)
	o := b.remediations()[0]
	contains(t, o.Status.BreakGlass.Message, v1alpha1.AnnotationApproveBreakGlass+"="+commit)
	contains(t, o.Status.Delivery.How, commit)

	b.approve(strings.Repeat("0", 40) + " mallory")
	b.glassSays("the approval is for")
	if tasks, _ := g.done(); len(tasks) > 0 {
		t.Fatalf("done without an approval: %+v", tasks)
	}

	b.approve(commit + " jane")
	done := b.glassSays("until Flux has the HelmRelease back: the Kustomization has not applied the commit")
	if s := done.Status.BreakGlass; s.ApprovedBy != "jane" || s.Commit != commit || s.Done == nil {
		t.Errorf("%+v", s)
	}
	tasks, _ := g.done()
	if len(tasks) != 1 || tasks[0].Commit != commit || tasks[0].Target.String() != "kube-system/cilium" || tasks[0].Chart == "" {
		t.Fatalf("%+v", tasks)
	}
	if got := tasks[0].Values["ipv6NativeRoutingCIDR"]; got != "fd00:101::/38" {
		t.Errorf("brought in %v", got)
	}

	// Somebody else's commit on top neither stops the way back, nor is it brought in.
	b.forge.Push(t, "main", map[string][]byte{"README.md": []byte("unrelated\n")})
	b.probes.say()
	b.follow.is(stateOf(verify.StageVerified, verify.Verified, "Verified: what failed works"))
	b.poke()
	_, before := g.done()
	eventually(t, "another try to give it back", func() bool { _, now := g.done(); return now > before+1 })
	if o := b.remediations()[0]; o.IsEnded() {
		t.Errorf("it ended while Flux had not got the release back: %s", describe(&o))
	}
	g.set(nil, "")
	o = *b.until("verified", withVerdict(v1alpha1.VerdictVerified))
	if s := o.Status.BreakGlass; s.Agrees == nil || !*s.Agrees {
		t.Errorf("%+v", s)
	}
	if tasks, _ := g.done(); len(tasks) != 1 {
		t.Errorf("brought in %d times", len(tasks))
	}
	if got := g.values["ipv6NativeRoutingCIDR"]; got != "fd00:101::/38" {
		t.Errorf("given back with %v", got)
	}
}

// What break-glass cannot do is said, is not tried over and over, and keeps nobody
// from following the change: Flux may bring it in after all.
func TestBreakGlassFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fails error
		moved bool
		says  string
	}{
		"refused":    {fails: fmt.Errorf("%w: the chart is another one", delivery.ErrRefused), says: "the chart is another one"},
		"no rights":  {fails: errors.New("may not impersonate remediate-break-glass"), says: "may not impersonate"},
		"moved base": {moved: true, says: "the branch has moved on"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &fakeGlass{fails: tt.fails}
			b, commit := mergedOn(t, g)
			if tt.moved {
				b.forge.Push(t, "main", map[string][]byte{"README.md": []byte("unrelated\n")})
			}
			b.approve(commit + " jane")
			b.glassSays(tt.says)
			for range 3 {
				b.poke()
				time.Sleep(200 * time.Millisecond)
			}
			if tasks, _ := g.done(); len(tasks) > 1 || tt.moved && len(tasks) > 0 {
				t.Errorf("tried %d times", len(tasks))
			}
			b.probes.say()
			b.follow.is(stateOf(verify.StageVerified, verify.Verified, "Verified: what failed works"))
			b.poke()
			b.until("verified", withVerdict(v1alpha1.VerdictVerified))
		})
	}
}

// A Remediation that was deleted after the merge asks for the approval again.
func TestBreakGlassIsOfferedAgain(t *testing.T) {
	t.Parallel()
	b, _ := mergedOn(t, &fakeGlass{})
	first := b.remediations()[0]
	must(t, b.c.Delete(t.Context(), &first))
	b.poke()
	again := b.until("offered again", func(o *v1alpha1.Remediation) bool {
		return o.UID != first.UID && o.Status.BreakGlass != nil && o.Status.BreakGlass.Requested != nil
	})
	contains(t, again.Status.Delivery.How, first.Status.Commit)
}
