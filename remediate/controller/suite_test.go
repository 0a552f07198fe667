package controller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// servers are API servers with all definitions, and the service addresses of the
// bundled incident.
var servers = testbed.Pool{
	Flags: []string{"--service-cluster-ip-range=fd00:101:96::/108,10.101.96.0/20", "--advertise-address=fd00:101::10"},
	Prepare: func(t testing.TB, cfg *rest.Config) {
		testbed.InstallCRDs(t, cfg)
		testbed.InstallCRDFiles(t, cfg, crds(t)...)
	},
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code := forges.Main(m)
	if err := servers.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

const (
	flagship   = signature.NativeRoutingCIDRExcludesPods
	valuesFile = "kubernetes/apps/networking/cilium/app/values.yaml"
)

// patience is how long a test waits for what is to come, on a machine that runs
// others besides.
const patience = 2 * time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fakeProbes say what a test has them say.
type fakeProbes struct {
	mu    sync.Mutex
	sight remediate.Sight
	names []string
	base  *verify.Baseline
}

func (f *fakeProbes) say(findings ...v1alpha1.Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sight = remediate.Sight{Wanted: 3, Heard: 3, Judgement: confirm.Judgement{Findings: findings}}
	for _, x := range findings {
		f.sight.Judgement.Records = append(f.sight.Judgement.Records, confirm.Record{Signature: x.Signature, Family: x.Family, Since: time.Now().Add(-10 * time.Second), Confirmed: time.Now()})
	}
}

func (f *fakeProbes) Sight() remediate.Sight {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sight
	if s.Wanted > 0 {
		s.At, s.LastHeard = time.Now(), time.Now()
	}
	return s
}

func (f *fakeProbes) Reports() []v1alpha1.ProbeReport { return nil }
func (f *fakeProbes) Grids() []report.Grid {
	g := report.Square("IPv6 · from pods (rows) to pods (columns)", []string{"node-2", "node-7"})
	g.Cells[0][1], g.Cells[1][0] = report.MarkGuarded, report.MarkWell
	return []report.Grid{g}
}

func (f *fakeProbes) Pairs() remediate.Pairs { return remediate.Pairs{Nodes: 2, Broken: 1} }

func (f *fakeProbes) CountFrom(name string, _ time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = append(f.names, name)
}
func (f *fakeProbes) StopCounting(string) {}
func (f *fakeProbes) Baseline(string) (verify.Baseline, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.base == nil {
		return verify.Baseline{}, false
	}
	return *f.base, true
}
func (f *fakeProbes) Probes(string) verify.Probes { return verify.Probes{Listening: true} }

// Listen, Of and Leave make it a Watching too.
func (f *fakeProbes) Listen(types.NamespacedName, *v1alpha1.ProbesSpec) Probes { return f }
func (f *fakeProbes) Of(types.NamespacedName) Probes                           { return f }
func (f *fakeProbes) Leave(types.NamespacedName)                               {}

// incidentFinding is what probes confirm in the bundled incident.
func incidentFinding() v1alpha1.Finding {
	return v1alpha1.Finding{Signature: flagship, Family: "IPv6", Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidenceConfirmed,
		Summary: "pods leave with their node's address", Evidence: []v1alpha1.Evidence{{Kind: "probe", Text: "guarded lost, open reached", Source: "probe on node-7"}}}
}

// follows gives a test's states in the place of looks at a cluster.
type follows struct {
	mu    sync.Mutex
	state verify.State
}

func (f *follows) is(s verify.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = s
}

func (f *follows) Look(context.Context, remediate.Followed, verify.Probes) (verify.Input, error) {
	return verify.Input{}, nil
}

func (f *follows) judge(verify.Input) verify.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// stateOf is a look at a change that came so far.
func stateOf(stage verify.Stage, verdict verify.Verdict, summary string) verify.State {
	s := verify.State{Stage: stage, Verdict: verdict, Summary: summary}
	for _, x := range []verify.Stage{verify.StageMerged, verify.StageReconciled, verify.StageRolledOut, verify.StageVerified} {
		s.Steps = append(s.Steps, verify.Step{Stage: x, Done: 1})
	}
	return s
}

// bed is a cluster with the bundled incident, and its repository on a forge.
type bed struct {
	testing.TB
	cfg    *rest.Config
	c      client.Client
	forge  *forges.GiteaRepo
	probes *fakeProbes
	follow *follows
	// glass takes the place of break-glass; nil leaves it as it is.
	glass BreakingGlass
	poked int
	log   logged
	// planned counts plans.
	mu      sync.Mutex
	planned int
}

func crds(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) != 2 {
		t.Fatalf("definitions %q, %v", files, err)
	}
	return files
}

// cluster is an API server with all definitions.
func cluster(t testing.TB) (*rest.Config, client.Client) {
	t.Helper()
	cfg := servers.APIServer(t)
	cfg.QPS = -1
	scheme, err := NewScheme()
	must(t, err)
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	must(t, err)
	return cfg, c
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{TB: t, probes: &fakeProbes{}, follow: &follows{}}
	b.cfg, b.c = cluster(t)
	b.forge = forges.Gitea(t)
	repository, facts, err := examples.Lay(examples.Default, t.TempDir())
	must(t, err)
	testbed.Load(t, b.cfg, facts, "ProbeReport")
	b.forge.Push(t, "main", filesOf(t, repository))
	must(t, client.IgnoreAlreadyExists(b.c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "remediate-system"}})))
	must(t, b.c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "remediate-system", Name: "git"}, Data: b.forge.Secret()}))
	return b
}

// filesOf reads a checkout.
func filesOf(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	}))
	return out
}

// policy makes one for the incident's release.
func (b *bed) policy(mode v1alpha1.Mode, change ...func(*v1alpha1.RemediationPolicySpec)) *v1alpha1.RemediationPolicy {
	b.Helper()
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "remediate-system", Name: "cilium"}}
	p.Spec = v1alpha1.RemediationPolicySpec{
		Mode: mode, ReleaseRef: v1alpha1.ReleaseReference{Name: "cilium", Namespace: "kube-system"}, Cluster: "home",
		Git:      &v1alpha1.GitSpec{URL: b.forge.CloneURL(), Branch: "main", SecretRef: &meta.LocalObjectReference{Name: "git"}},
		Forge:    &v1alpha1.ForgeSpec{Type: v1alpha1.ForgeGitea},
		Interval: &metav1.Duration{Duration: 10 * time.Second},
		Verify:   &v1alpha1.VerifySpec{Hold: &metav1.Duration{Duration: 5 * time.Second}},
	}
	for _, c := range change {
		c(&p.Spec)
	}
	must(b, b.c.Create(b.Context(), p))
	return p
}

// start runs a manager until the returned function is called.
func (b *bed) start(change ...func(*Options)) (stop func()) {
	b.Helper()
	o := Options{MetricsAddr: "0", HealthAddr: "0", Namespace: "remediate-system", WatchAllNamespaces: true, Concurrent: 2, Storage: b.TempDir()}
	o.RateLimiter.MinRetryDelay, o.RateLimiter.MaxRetryDelay = 100*time.Millisecond, time.Second
	for _, c := range change {
		c(&o)
	}
	o.Logger = testr.NewWithInterface(&b.log, testr.Options{})
	mgr, err := New(b.cfg, o, "test", Parts{Watching: b.probes, Reconciler: b.outfit})
	must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("manager: %v", err)
		}
	})
	b.Cleanup(stop)
	return stop
}

// logged keeps what a manager says of errors: it may do so after the test's end.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (*logged) Helper() {}
func (l *logged) Log(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := fmt.Sprint(args...); strings.Contains(text, "panic") || strings.Contains(text, "error=") || strings.Contains(text, "err=") {
		l.lines = append(l.lines, text)
	}
}

func (l *logged) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[max(0, len(l.lines)-5):]
}

// outfit plans with the chart at hand and follows what the test says.
func (b *bed) outfit(r *RemediationReconciler) {
	chart := testbed.ChartDir(b)
	r.Plan = func(ctx context.Context, o remediate.Options) (*remediate.Result, error) {
		b.mu.Lock()
		b.planned++
		b.mu.Unlock()
		o.Chart = chart
		return remediate.Plan(ctx, o)
	}
	r.Change = func(ctx context.Context, o remediate.Options, commit string) (*remediate.Change, error) {
		o.Chart = chart
		return remediate.ChangeAt(ctx, o, commit)
	}
	r.Follow, r.Judge, r.BreakGlass = b.follow, b.follow.judge, b.glass
}

// poke asks for a look at everything.
func (b *bed) poke() {
	b.Helper()
	b.poked++
	mark := func(o client.Object) {
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, meta.ReconcileRequestAnnotation, b.poked))
		must(b, client.IgnoreNotFound(b.c.Patch(b.Context(), o, patch)))
	}
	mark(&v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "remediate-system", Name: "cilium"}})
	for _, o := range b.remediations() {
		mark(&o)
	}
}

func (b *bed) remediations() []v1alpha1.Remediation {
	b.Helper()
	var all v1alpha1.RemediationList
	must(b, b.c.List(b.Context(), &all))
	return all.Items
}

// until waits for a Remediation that is as wanted.
func (b *bed) until(what string, is func(*v1alpha1.Remediation) bool) *v1alpha1.Remediation {
	b.Helper()
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		for _, o := range b.remediations() {
			if is(&o) {
				return &o
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, o := range b.remediations() {
		b.Logf("%s: %s", o.Name, describe(&o))
	}
	var policies v1alpha1.RemediationPolicyList
	must(b, b.c.List(b.Context(), &policies))
	for _, p := range policies.Items {
		b.Logf("policy %s: %+v", p.Name, p.Status.Conditions)
	}
	b.Fatalf("no Remediation that is %s; logged: %s", what, strings.Join(b.log.last(), "\n"))
	return nil
}

func describe(o *v1alpha1.Remediation) string {
	text := fmt.Sprintf("phase %s verdict %s commit %s", o.Status.Phase, o.Status.Verdict, o.Status.Commit)
	for _, c := range o.Status.Conditions {
		text += fmt.Sprintf("\n  %s %s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	if d := o.Status.Delivery; d != nil {
		text += fmt.Sprintf("\n  arrives %s: %s", d.WillArrive, d.Why)
	}
	for _, h := range o.Status.History {
		text += fmt.Sprintf("\n  - %s: %s", h.Step, h.Text)
	}
	return text
}

func inPhase(p v1alpha1.Phase) func(*v1alpha1.Remediation) bool {
	return func(o *v1alpha1.Remediation) bool { return o.Status.Phase == p }
}

func withVerdict(v v1alpha1.Verdict) func(*v1alpha1.Remediation) bool {
	return func(o *v1alpha1.Remediation) bool { return o.Status.Verdict == v }
}

// live sets a key of the cluster's cilium-config, as Flux does.
func (b *bed) live(key, value string) {
	b.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: ciliumConfig}}
	must(b, b.c.Patch(b.Context(), cm, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"data":{%q:%q}}`, key, value))))
}

// renewAgents makes every agent's pod anew, as a rollout does.
func (b *bed) renewAgents() {
	b.Helper()
	var pods corev1.PodList
	must(b, b.c.List(b.Context(), &pods, client.InNamespace("kube-system"), client.MatchingLabels{"k8s-app": "cilium"}))
	now := metav1.NewTime(time.Now().Add(2 * time.Second))
	for i := range pods.Items {
		p := &pods.Items[i]
		status := p.Status.DeepCopy()
		must(b, b.c.Delete(b.Context(), p, client.GracePeriodSeconds(0)))
		p.ObjectMeta = metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name + "-2", Labels: p.Labels}
		must(b, b.c.Create(b.Context(), p))
		status.StartTime = &now
		for n := range status.InitContainerStatuses {
			if ended := status.InitContainerStatuses[n].State.Terminated; ended != nil {
				ended.FinishedAt = now
			}
		}
		p.Status = *status
		must(b, b.c.Status().Update(b.Context(), p))
	}
}

// ready waits for the policy's Ready condition to be as wanted.
func (b *bed) ready(p *v1alpha1.RemediationPolicy, status metav1.ConditionStatus) {
	b.Helper()
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		must(b, b.c.Get(b.Context(), client.ObjectKeyFromObject(p), p))
		if c := conditions.Get(p, meta.ReadyCondition); c != nil && c.Status == status {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Fatalf("policy is not Ready=%s: %+v", status, p.Status.Conditions)
}

// prs waits for so many pull requests.
func (b *bed) prs(n int) []forges.PR {
	b.Helper()
	all := b.forge.PRs(b)
	if len(all) != n {
		b.Fatalf("%d pull requests, want %d: %+v", len(all), n, all)
	}
	return all
}

// events lists the reasons of the events about the HelmRelease: of the present one,
// since a manager that has ended may still send of the last one.
func (b *bed) events() []string {
	b.Helper()
	var release helmv2.HelmRelease
	must(b, b.c.Get(b.Context(), types.NamespacedName{Namespace: "kube-system", Name: "cilium"}, &release))
	var all corev1.EventList
	must(b, b.c.List(b.Context(), &all, client.InNamespace("kube-system")))
	var out []string
	for _, e := range all.Items {
		if e.InvolvedObject.UID == release.UID && e.Source.Component == Name {
			out = append(out, e.Reason)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func contains(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}
