package remediate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
)

// A healthy cluster: every pair is tried and well, nothing is confirmed, nothing
// stays behind.
func TestDetectHealthy(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 3)
	before := b.objects(t)
	opts := b.options()
	opts.For = time.Minute // every pair has its turn, on a busy machine too
	var said []string
	opts.Progress = func(format string, _ ...any) { said = append(said, format) }
	var most Status
	opts.Status = func(s Status) {
		most.Ready, most.Want, most.Heard = max(most.Ready, s.Ready), max(most.Want, s.Want), max(most.Heard, s.Heard)
	}
	d, err := Detect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if d.Confirmed() || d.Heard != 3 || d.Probes != 3 || d.Nodes != 3 {
		t.Errorf("confirmed %t, heard %d of %d on %d nodes; findings %v", d.Confirmed(), d.Heard, d.Probes, d.Nodes, d.Result.Findings)
	}
	if most.Ready != 6 || most.Want != 6 || most.Heard != 3 {
		t.Errorf("progress was told as %+v", most)
	}
	for _, g := range d.Grids[:2] {
		for r := range g.Rows {
			for c := range g.Columns {
				// A node's own turns come about every 25 s, and may not have come.
				if m := g.Cells[r][c]; m != report.MarkWell && (r != c || m.Bad()) {
					t.Errorf("%s: from %s to %s is %c", g.Title, g.Rows[r], g.Columns[c], g.Cells[r][c])
				}
			}
		}
	}
	if len(d.Result.Reports) != 3 {
		t.Errorf("%d reports of 3 nodes", len(d.Result.Reports))
	}
	if after := b.objects(t); !slices.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
}

// The incident, with probes that are installed: the matrix tells who is seen as
// whom, and the run leaves the installation alone.
func TestDetectIncidentWithInstalledProbes(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 3)
	b.is(masquerades)
	client, err := deploy.New(b.cfg)
	must(t, err)
	for _, o := range deploy.Objects(deploy.Options{Namespace: probeNamespace}) {
		must(t, client.Apply(t.Context(), o))
	}
	opts := b.options()
	opts.Probes.Namespace = ""
	opts.For = 5 * time.Minute // it ends when the failure is confirmed
	opts.Ask = nil             // nothing is to be asked
	d, err := Detect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	v6, v4 := d.Grids[0], d.Grids[1]
	if v6.Cells[0][1] != report.MarkMasked || v6.Cells[2][0] != report.MarkMasked || v6.Cells[1][1] != report.MarkWell {
		t.Errorf("IPv6: %q", v6.Cells)
	}
	if v4.Bad() {
		t.Errorf("IPv4: %q", v4.Cells)
	}
	if !d.Confirmed() {
		t.Errorf("not confirmed: %+v; pending %+v", d.Result.Findings, d.Result.Pending)
	}
	if _, err := b.kube.AppsV1().DaemonSets(probeNamespace).Get(t.Context(), deploy.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("the installation: %v", err)
	}
}

// However a run ends, nothing of it stays behind.
func TestDetectLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 2)
	before := b.objects(t)
	tests := []struct {
		name string
		// until says when the run is interrupted.
		progress, stage string
		heard           int
	}{
		{name: "while the objects are made", progress: "making the probes in namespace %s"},
		{name: "while the probes start", stage: "waiting for the probes to start"},
		{name: "while they are listened to", stage: "listening to the probes"},
		{name: "once one was heard", stage: "listening to the probes", heard: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opts := b.options()
			opts.Progress = func(format string, _ ...any) {
				if format == tt.progress {
					cancel()
				}
			}
			opts.Status = func(s Status) {
				if s.Stage == tt.stage && s.Heard >= tt.heard {
					cancel()
				}
			}
			if _, err := Detect(ctx, opts); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if after := b.objects(t); !slices.Equal(before, after) {
				t.Errorf("before: %v\nafter: %v", before, after)
			}
		})
	}
}

// A second interrupt ends the removal, and says how to finish it.
func TestDetectAbandoned(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 1)
	abandon := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	opts := b.options()
	opts.Abandon = func() <-chan struct{} { return abandon }
	opts.Progress = func(format string, _ ...any) {
		if strings.HasPrefix(format, "interrupt again") {
			close(abandon)
			time.Sleep(100 * time.Millisecond) // the removal must not be over at once
		}
	}
	opts.Status = func(Status) { cancel() }
	_, err := Detect(ctx, opts)
	var hint interface{ Hint() string }
	if err == nil || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "kubectl delete namespace "+probeNamespace) {
		t.Errorf("got %v", err)
	}
}

// What a killed run left is offered for removal, and taken away when wanted.
func TestDetectLeftovers(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 1)
	before := b.objects(t)
	client, err := deploy.New(b.cfg)
	must(t, err)
	begun := time.Now().Add(-time.Hour).UTC()
	left := deploy.Options{Namespace: "left-behind", Run: "77aa77aa", Started: begun, By: "somebody@laptop"}
	must(t, client.Create(t.Context(), left))
	opts := b.options()
	opts.Probes.Namespace = ""
	var asked []Question
	answer := map[bool]bool{true: false, false: false}
	opts.Ask = func(_ context.Context, q Question) (bool, error) {
		asked = append(asked, q)
		return answer[q.Removes], nil
	}
	if _, err := Detect(t.Context(), opts); !errors.Is(err, ErrNothingChecked) {
		t.Errorf("nobody wanted probes, and got %v", err)
	}
	if len(asked) != 2 || !asked[0].Removes || !strings.Contains(asked[0].Text, "an earlier run left probes in namespace left-behind, begun by somebody@laptop 1h0m") || asked[1].Removes {
		t.Errorf("asked %+v", asked)
	}
	if slices.Equal(before, b.objects(t)) {
		t.Error("removed although nobody wanted it")
	}
	answer[true] = true
	if _, err := Detect(t.Context(), opts); !errors.Is(err, ErrNothingChecked) {
		t.Errorf("got %v", err)
	}
	if after := b.objects(t); !slices.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
}

// What stands in the way is named, and nothing is made in vain or left.
func TestDetectErrors(t *testing.T) {
	t.Parallel()
	b := newProbed(t, 1)
	before := b.objects(t)
	tests := []struct {
		name    string
		change  func(*DetectOptions)
		want    string
		hint    string
		nothing bool
	}{
		{"nobody to ask", func(o *DetectOptions) { o.Ask = nil }, "nobody can be asked", "--yes", false},
		{"no", func(o *DetectOptions) { o.Ask = func(context.Context, Question) (bool, error) { return false, nil } }, "no probes were to be made", "--without-probes", true},
		{"no rights", func(o *DetectOptions) { o.Cluster = b.reader(t) }, "these credentials may not", "remediate-detect", false},
		{"probes that do not start", func(o *DetectOptions) {
			b.refuse = kubelet.PullError{Image: "example.com/probe:1"}
			o.Probes.StartWithin = 3 * time.Second
		}, "0 of 2 probes run after 3s; 2 pods, such as probes/remediate-probe-", "--image", true},
		{"a snapshot with probes", func(o *DetectOptions) { o.Cluster, o.Snapshot = nil, t.TempDir() }, "a snapshot has no probes", "--without-probes", false},
		{"nothing to look at", func(o *DetectOptions) { o.Cluster = nil }, "there is no cluster", "--context", false},
		{"an empty snapshot", func(o *DetectOptions) { o.Cluster, o.Snapshot, o.Probes.None = nil, t.TempDir(), true }, "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := b.options()
			tt.change(&opts)
			_, err := Detect(t.Context(), opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrNothingChecked) != tt.nothing && tt.want != "" {
				t.Errorf("got %v", err)
			}
			var hint interface{ Hint() string }
			if tt.hint != "" && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), tt.hint)) {
				t.Errorf("%v: the hint does not name %s", err, tt.hint)
			}
			if after := b.objects(t); !slices.Equal(before, after) {
				t.Errorf("before: %v\nafter: %v", before, after)
			}
		})
	}
}

// reader is the access of somebody who may read and nothing else.
func (b *probed) reader(t *testing.T) *rest.Config {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"", "apps"}, Resources: []string{"nodes", "pods", "services", "daemonsets", "namespaces"}, Verbs: []string{"get", "list", "watch"}},
	}}
	_, err := b.kube.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	must(t, err)
	_, err = b.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "reader"}},
	}, metav1.CreateOptions{})
	must(t, err)
	cfg := rest.CopyConfig(b.cfg)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "reader", Groups: []string{"system:authenticated"}}
	client, err := deploy.New(cfg)
	must(t, err)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err = client.Find(t.Context(), ""); err == nil || time.Now().After(end) {
			break
		}
	}
	must(t, err)
	return cfg
}

func TestMarks(t *testing.T) {
	obs := func(outcome string, change func(*v1alpha1.Observation)) v1alpha1.Observation {
		o := v1alpha1.Observation{
			From: v1alpha1.Endpoint{Node: "a", IP: "10.0.0.1"}, To: v1alpha1.Endpoint{Node: "b"}, Via: mesh.ViaPodIP,
			Family: "IPv4", Protocol: "TCP", Target: v1alpha1.TargetOpen, Outcome: outcome,
		}
		if change != nil {
			change(&o)
		}
		return o
	}
	ok, lost := obs(v1alpha1.OutcomeOK, nil), obs(v1alpha1.OutcomeTimeout, nil)
	guarded := obs(v1alpha1.OutcomeTimeout, func(o *v1alpha1.Observation) { o.Target = v1alpha1.TargetGuarded })
	full := obs(v1alpha1.OutcomeTimeout, func(o *v1alpha1.Observation) { o.Bytes = 1500 })
	masked := obs(v1alpha1.OutcomeOK, func(o *v1alpha1.Observation) { o.SourceSeen = "192.0.2.1" })
	own := obs(v1alpha1.OutcomeOK, func(o *v1alpha1.Observation) { o.SourceSeen = "10.0.0.1" })
	refused := obs(v1alpha1.OutcomeRefused, nil)
	unsure := obs(v1alpha1.OutcomeNotChecked, nil)
	starved := obs(v1alpha1.OutcomeTimeout, func(o *v1alpha1.Observation) { o.Unreliable = true })
	kubelet := obs(v1alpha1.OutcomeRefused, func(o *v1alpha1.Observation) { o.Via = mesh.ViaNodeIP })
	tests := []struct {
		name    string
		covered bool
		seen    []v1alpha1.Observation
		want    report.Mark
	}{
		{"nothing", false, nil, report.MarkUnknown},
		{"the ring was there, and nothing was told", true, nil, report.MarkWell},
		{"own address", false, []v1alpha1.Observation{own}, report.MarkWell},
		{"masqueraded and guarded lost", true, []v1alpha1.Observation{masked, guarded}, report.MarkMasked},
		{"guarded lost alone", true, []v1alpha1.Observation{ok, guarded}, report.MarkGuarded},
		{"all lost", true, []v1alpha1.Observation{lost, guarded, full}, report.MarkLost},
		{"one of two", true, []v1alpha1.Observation{lost, ok}, report.MarkSome},
		{"full size", true, []v1alpha1.Observation{ok, full}, report.MarkFull},
		{"refused", true, []v1alpha1.Observation{refused, ok}, report.MarkRefused},
		{"could not be checked", false, []v1alpha1.Observation{unsure}, report.MarkNotChecked},
		{"the prober was starved", false, []v1alpha1.Observation{starved}, report.MarkNotChecked},
		{"a node that refuses was reached", false, []v1alpha1.Observation{kubelet}, report.MarkWell},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s seen
			for _, o := range tt.seen {
				s.add(o)
			}
			if got := s.mark(tt.covered); got != tt.want {
				t.Errorf("got %c, want %c", got, tt.want)
			}
		})
	}
}

func TestRunningProbes(t *testing.T) {
	pod := func(target string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{deploy.LabelTarget: target}}, Status: corev1.PodStatus{Phase: phase}}
	}
	f := deploy.Facts{Pods: []*corev1.Pod{
		pod(v1alpha1.TargetOpen, corev1.PodRunning), pod(v1alpha1.TargetOpen, corev1.PodPending),
		pod(v1alpha1.TargetGuarded, corev1.PodRunning), pod(deploy.TargetHost, corev1.PodRunning),
	}}
	if n := runningProbes(f); n != 1 {
		t.Errorf("%d probes are to be heard, want 1", n)
	}
}
