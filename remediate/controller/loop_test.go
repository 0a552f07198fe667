package controller

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	eventv1 "github.com/fluxcd/pkg/apis/event/v1beta1"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// change patches the policy's spec.
func (b *bed) change(p *v1alpha1.RemediationPolicy, spec string) {
	b.Helper()
	must(b, b.c.Patch(b.Context(), p, client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`))))
}

// A freeze holds the pull request back, not the plan; when it is over the pull
// request opens, and a later one leaves what is open alone.
func TestFreezeHoldsBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	now := time.Now()
	freeze := v1alpha1.Freeze{From: &metav1.Time{Time: now.Add(-time.Hour)}, To: &metav1.Time{Time: now.Add(time.Hour)}, Reason: "holidays"}
	p := b.policy(v1alpha1.ModePropose, func(s *v1alpha1.RemediationPolicySpec) { s.Freezes = []v1alpha1.Freeze{freeze} })
	b.probes.say(incidentFinding())
	b.start()
	o := b.until("held", inPhase(v1alpha1.PhaseHeld))
	contains(t, describe(o), "frozen until", "holidays")
	if o.Status.Plan == nil || o.Status.Plan.Candidate == "" {
		t.Errorf("the plan is not published: %+v", o.Status.Plan)
	}
	b.prs(0)
	if branches := b.forge.Branches(t); len(branches) != 1 {
		t.Errorf("branches %v", branches)
	}
	b.change(p, `{"freezes":null}`)
	b.poke()
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	b.prs(1)
	frozen, err := json.Marshal([]v1alpha1.Freeze{freeze})
	must(t, err)
	b.change(p, `{"freezes":`+string(frozen)+`}`)
	b.forge.MergePR(t, 1)
	b.poke()
	b.until("merged", inPhase(v1alpha1.PhaseMerged))
	if slices.Contains(b.events(), "Held") != true {
		t.Errorf("events %q lack Held", b.events())
	}
}

// plainOn brings a bed to the branch that was pushed to a server without pull
// requests.
func plainOn(t *testing.T) (b *bed, branch string) {
	t.Helper()
	b = newBed(t)
	b.policy(v1alpha1.ModePropose, func(s *v1alpha1.RemediationPolicySpec) { s.Forge = &v1alpha1.ForgeSpec{Type: v1alpha1.ForgePlain} })
	b.probes.say(incidentFinding())
	b.follow.is(stateOf(verify.StageMerged, verify.Pending, "no verdict yet"))
	b.start()
	o := b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	b.prs(0)
	branch = o.Status.PullRequest.Branch
	if o.Status.PullRequest.Number != 0 || b.forge.Branches(t)[branch] == "" {
		t.Fatalf("pull request %+v, branches %v", o.Status.PullRequest, b.forge.Branches(t))
	}
	contains(t, describe(o), "branch "+branch+" waits for people to merge it")
	return b, branch
}

// On a server without pull requests the branch is pushed, and followed once people
// merge it: with a merge, or by taking over what it changes.
func TestPlainBranch(t *testing.T) {
	t.Parallel()
	for name, merge := range map[string]func(t *testing.T, b *bed, branch string) string{
		"merged": func(t *testing.T, b *bed, branch string) string {
			return b.forge.MergePR(t, b.forge.OpenPR(t, branch, "by hand"))
		},
		"taken over": func(t *testing.T, b *bed, branch string) string {
			return b.forge.Push(t, "main", map[string][]byte{valuesFile: []byte(b.forge.Show(t, branch, valuesFile))})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, branch := plainOn(t)
			tip := b.forge.Branches(t)[branch]
			b.poke()
			b.until("looked at again", func(o *v1alpha1.Remediation) bool { return o.Status.LastHandledReconcileAt == "1" })
			if got := b.forge.Branches(t)[branch]; got != tip {
				t.Errorf("the branch was pushed again: %s, was %s", got, tip)
			}
			commit := merge(t, b, branch)
			b.poke()
			o := b.until("merged", inPhase(v1alpha1.PhaseMerged))
			if o.Status.Commit != commit {
				t.Errorf("commit %s, want %s", o.Status.Commit, commit)
			}
			b.probes.say()
			b.follow.is(stateOf(verify.StageVerified, verify.Verified, "Verified: what failed works"))
			b.poke()
			o = b.until("verified", withVerdict(v1alpha1.VerdictVerified))
			if len(o.Status.Attempts) != 1 || o.Status.Attempts[0].Verdict != v1alpha1.VerdictVerified {
				t.Errorf("attempts %+v", o.Status.Attempts)
			}
		})
	}
}

// notifications is a notification-controller that keeps what it is sent.
type notifications struct {
	*httptest.Server
	mu  sync.Mutex
	all []eventv1.Event
}

func newNotifications(t testing.TB) *notifications {
	t.Helper()
	n := &notifications{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e eventv1.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.Method != http.MethodPost || r.URL.Path != "/" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		n.mu.Lock()
		n.all = append(n.all, e)
		n.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *notifications) with(reason string) []eventv1.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []eventv1.Event
	for _, e := range n.all {
		if e.Reason == reason {
			out = append(out, e)
		}
	}
	return out
}

// eventually waits for something that follows by itself.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: %s", what)
		}
	}
}

// Flux's notification-controller is told of the HelmRelease, with the commit and the
// pull request in the keys that it sets commit status and comments by.
func TestNotifications(t *testing.T) {
	t.Parallel()
	n := newNotifications(t)
	b := newBed(t)
	b.policy(v1alpha1.ModePropose)
	b.probes.say(incidentFinding())
	b.follow.is(stateOf(verify.StageReconciled, verify.MergedNotActive, "MergedNotActive: no node of 3 runs it"))
	b.start(func(o *Options) { o.EventsAddr = n.URL + "/" })
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	commit := b.forge.MergePR(t, 1)
	b.poke()
	o := b.until("not active", withVerdict(v1alpha1.VerdictMergedNotActive))
	eventually(t, "the verdict at notification-controller", func() bool { return len(n.with("MergedNotActive")) > 0 })
	for _, reason := range []string{"Confirmed", "Planned", "Proposed", "Merged", "MergedNotActive"} {
		if got := n.with(reason); len(got) != 1 {
			t.Errorf("%s was told %d times", reason, len(got))
		}
	}
	e := n.with("MergedNotActive")[0]
	if x := e.InvolvedObject; x.Kind != "HelmRelease" || x.Namespace != "kube-system" || x.Name != "cilium" || x.APIVersion != "helm.toolkit.fluxcd.io/v2" || x.UID == "" {
		t.Errorf("about %+v", x)
	}
	if e.Severity != eventv1.EventSeverityError || e.ReportingController != Name {
		t.Errorf("severity %s, from %s", e.Severity, e.ReportingController)
	}
	want := map[string]string{eventv1.MetaCommitKey: commit, eventv1.MetaChangeRequestKey: "1",
		v1alpha1.Group + "/remediation": o.Namespace + "/" + o.Name, v1alpha1.LabelSignature: flagship}
	for key, value := range want {
		if !strings.Contains(key, "/") {
			key = eventv1.Group + "/" + key
		}
		if e.Metadata[key] != value {
			t.Errorf("%s is %q, want %q", key, e.Metadata[key], value)
		}
	}
	if !slices.Contains(b.events(), "MergedNotActive") {
		t.Errorf("Kubernetes events %q", b.events())
	}
}

// A notification-controller that cannot be reached delays nothing: Kubernetes events
// say the same.
func TestNotificationControllerIsDown(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	var once sync.Once
	down := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the end of the connection is noticed behind it
		once.Do(func() { close(asked) })
		<-r.Context().Done()
	}))
	defer down.Close()
	b := newBed(t)
	b.policy(v1alpha1.ModePropose)
	b.probes.say(incidentFinding())
	stop := b.start(func(o *Options) { o.EventsAddr = down.URL + "/" })
	<-asked
	b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	for _, reason := range []string{"Confirmed", "Planned", "Proposed"} {
		eventually(t, "the event "+reason, func() bool { return slices.Contains(b.events(), reason) })
	}
	stop()
}

// A repository that nobody can plan for stalls the Remediation, with what to change;
// it is not cloned again until somebody commits, and planned for then.
func TestUnfitRepositoryStalls(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	good := b.forge.Show(t, "main", valuesFile)
	b.forge.Push(t, "main", map[string][]byte{valuesFile: []byte("ipv6:\n  enabled: true\n enabled: {{ no YAML }}\n")})
	b.policy(v1alpha1.ModePropose)
	b.probes.say(incidentFinding())
	b.start()
	stalls := func(o *v1alpha1.Remediation) bool { return conditions.IsStalled(o) }
	o := b.until("stalled", stalls)
	if conditions.IsReconciling(o) || conditions.GetReason(o, meta.StalledCondition) != v1alpha1.PlanFailedReason {
		t.Errorf("%s", describe(o))
	}
	contains(t, describe(o), "until a commit changes it", valuesFile)
	for n := range 3 {
		b.poke()
		b.until("looked at again", func(o *v1alpha1.Remediation) bool {
			return o.Status.LastHandledReconcileAt == strconv.Itoa(n+1) && stalls(o)
		})
	}
	b.mu.Lock()
	planned := b.planned
	b.mu.Unlock()
	if planned != 1 {
		t.Errorf("planned %d times for one commit", planned)
	}
	b.forge.Push(t, "main", map[string][]byte{valuesFile: []byte(good)})
	b.poke()
	o = b.until("proposed", inPhase(v1alpha1.PhaseProposed))
	if conditions.IsStalled(o) {
		t.Errorf("%s", describe(o))
	}
}

// What hangs on the network is tried again; what stands in the repository is not.
func TestPlanFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		stalled bool
	}{
		"the checkout":            {wrapped(t, "{{ no YAML }}"), true},
		"too slow":                {context.DeadlineExceeded, false},
		"the cluster is silent":   {errors.New("connection refused"), false},
		"Git cannot be reached":   {&repo.PushError{Kind: repo.PushUnavailable, Op: "clone"}, false},
		"a fault that has a name": {stalled("R", "change it"), true},
	} {
		if got := asFault(planFault(tt.err)); got.stalled != tt.stalled {
			t.Errorf("%s: stalled %t, %v", name, got.stalled, got)
		}
	}
}

// wrapped is the error of a plan for values of that text.
func wrapped(t *testing.T, values string) error {
	t.Helper()
	dir, _, err := examples.Lay(examples.Default, t.TempDir())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, valuesFile), []byte(values), 0o600))
	_, err = remediate.Plan(t.Context(), remediate.Options{Repo: dir, Offline: true, Chart: testbed.ChartDir(t)})
	if err == nil {
		t.Fatal("it was planned for")
	}
	return err
}
