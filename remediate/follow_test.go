package remediate

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate/verify"
)

// fleet is a cluster with Flux's objects and Cilium's, as they are after a change
// was applied; what controllers would do, tests do.
type fleet struct {
	*testing.T
	cfg    *rest.Config
	client client.Client
	commit string
}

const fluxObjects = `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: flux-system, namespace: flux-system}
spec: {interval: 1m, url: "https://git.example.com/org/fleet"}
status:
  artifact: {revision: "main@sha1:COMMIT", path: a, url: "http://x/a", digest: "sha256:00", lastUpdateTime: "2026-02-12T10:00:00Z"}
  conditions: [{type: Ready, status: "True", reason: Succeeded, message: stored, lastTransitionTime: "2026-02-12T10:00:00Z"}]
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cilium, namespace: flux-system}
spec: {interval: 1m, prune: true, path: ./, sourceRef: {kind: GitRepository, name: flux-system}}
status:
  lastAppliedRevision: "main@sha1:COMMIT"
  conditions: [{type: Ready, status: "True", reason: Succeeded, message: applied, lastTransitionTime: "2026-02-12T10:00:00Z"}]
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: cilium
  namespace: kube-system
  labels: {kustomize.toolkit.fluxcd.io/name: cilium, kustomize.toolkit.fluxcd.io/namespace: flux-system}
spec: {interval: 1m, chart: {spec: {chart: cilium, sourceRef: {kind: HelmRepository, name: cilium}}}}
status:
  observedGeneration: 1
  conditions: [{type: Ready, status: "True", reason: UpgradeSucceeded, message: upgraded, lastTransitionTime: "2026-02-12T10:00:00Z"}]
  history:
  - {name: cilium, namespace: kube-system, version: 1, status: superseded, chartName: cilium, chartVersion: 1.18.6, digest: "sha256:aa", configDigest: "sha256:old", firstDeployed: "2026-01-12T10:00:00Z", lastDeployed: "2026-01-12T10:00:00Z"}
  - {name: cilium, namespace: kube-system, version: 2, status: deployed, chartName: cilium, chartVersion: 1.18.6, digest: "sha256:bb", configDigest: "DIGEST", firstDeployed: "2026-01-12T10:00:00Z", lastDeployed: "2026-02-12T10:00:30Z"}
`

// newFleet makes the cluster: agents that run, and then the change.
func newFleet(t *testing.T, commit, digest string) *fleet {
	t.Helper()
	f := &fleet{T: t, cfg: servers.APIServer(t), commit: commit}
	f.client = followClient(t, f.cfg)
	for i := range 3 {
		f.node(fmt.Sprintf("node-%d", i+1))
	}
	f.fill(digest, 3)
	return f
}

func followClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	c, err := FollowClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fill makes all but the nodes.
func (f *fleet) fill(digest string, nodes int) {
	t := f.T
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "flux-system"}})
	text := strings.NewReplacer("COMMIT", f.commit, "DIGEST", digest).Replace(fluxObjects)
	for _, doc := range strings.Split(text, "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatal(err)
		}
		status := u.Object["status"]
		f.create(u)
		u.Object["status"] = status
		f.status(u)
	}
	f.daemonSet(int32(nodes))
	for i := range nodes {
		f.agent(fmt.Sprintf("node-%d", i+1))
	}
	f.configure("fd00:101::/48")
	f.settle()
	f.configure(widened)
	f.later()
}

// settle waits until the agents are as old as a kubelet may be slow.
func (f *fleet) settle() { time.Sleep(17 * time.Second) }

func (f *fleet) create(o client.Object) {
	f.Helper()
	if err := f.client.Create(context.Background(), o); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) status(o client.Object) {
	f.Helper()
	if err := f.client.Status().Update(context.Background(), o); err != nil {
		f.Fatal(err)
	}
}

// later is in another second: the API server's times have no fractions.
func (f *fleet) later() { time.Sleep(1100 * time.Millisecond) }

func (f *fleet) configure(value string) {
	f.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "cilium-config", Namespace: "kube-system"}}
	err := f.client.Get(context.Background(), client.ObjectKeyFromObject(cm), cm)
	cm.Data = map[string]string{nativeKey: value, "ipam": "kubernetes"}
	if err != nil {
		f.create(cm)
		return
	}
	if err := f.client.Update(context.Background(), cm); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) node(name string) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": name}}}
	f.create(n)
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	f.status(n)
}

func (f *fleet) daemonSet(nodes int32) {
	labels := map[string]string{"k8s-app": "cilium"}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "cilium", Namespace: "kube-system"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: agentSpec("")},
	}}
	f.create(ds)
	ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: ds.Generation, DesiredNumberScheduled: nodes, UpdatedNumberScheduled: nodes, NumberAvailable: nodes, CurrentNumberScheduled: nodes, NumberReady: nodes}
	f.status(ds)
}

func agentSpec(node string) corev1.PodSpec {
	return corev1.PodSpec{NodeName: node, HostNetwork: true,
		InitContainers: []corev1.Container{{Name: "config", Image: "quay.io/cilium/cilium:v1.18.6"}},
		Containers:     []corev1.Container{{Name: "cilium-agent", Image: "quay.io/cilium/cilium:v1.18.6"}}}
}

// agent makes a node's agent anew.
func (f *fleet) agent(node string) {
	f.Helper()
	ctx, name := context.Background(), "cilium-"+node
	old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system"}}
	_ = f.client.Delete(ctx, old, client.GracePeriodSeconds(0))
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system", Labels: map[string]string{"k8s-app": "cilium"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "cilium", UID: "1"}}}, Spec: agentSpec(node)}
	f.create(p)
	now := metav1.Now()
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &now,
		Conditions:            []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		InitContainerStatuses: []corev1.ContainerStatus{{Name: "config", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: now}}}},
		ContainerStatuses:     []corev1.ContainerStatus{{Name: "cilium-agent", Ready: true}}}
	f.status(p)
}

func (f *fleet) followed() Followed {
	wide := widened
	return Followed{Release: "kube-system/cilium", Merged: verify.Merged{Commit: f.commit, At: time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)},
		Planned: verify.Planned{Config: map[string]*string{nativeKey: &wide}, ValuesDigest: "sha256:new", Restart: []string{"DaemonSet/cilium"}}}
}

func (f *fleet) look(x Followed, as *rest.Config) verify.State {
	f.Helper()
	in, err := (&Follower{Client: followClient(f.T, as)}).Look(context.Background(), x, verify.Probes{})
	if err != nil {
		f.Fatal(err)
	}
	return verify.Judge(in)
}

func says(t *testing.T, s verify.State, stage verify.Stage, verdict verify.Verdict, text string) {
	t.Helper()
	all := s.Summary
	for _, w := range s.Waits() {
		all += "\n" + w.String()
	}
	if s.Stage != stage || s.Verdict != verdict || !strings.Contains(all, text) {
		t.Errorf("stage %q, verdict %q, want %q, %q and %q:\n%s\n%+v", s.Stage, s.Verdict, stage, verdict, text, all, s.Nodes)
	}
}

// A merged change on a real API server: applied, live nowhere, then on one node
// after the other.
func TestFollowCluster(t *testing.T) {
	t.Parallel()
	f := newFleet(t, strings.Repeat("c", 40), "sha256:new")
	x := f.followed()
	s := f.look(x, f.cfg)
	says(t, s, verify.StageReconciled, verify.Pending, "3 agents on node-1, node-2, node-3: made before the change")
	x.Grace = time.Nanosecond
	s = f.look(x, f.cfg)
	says(t, s, verify.StageReconciled, verify.MergedNotActive, "no node of 3 runs it")
	if s.FollowUp == nil || len(s.FollowUp.Commands) != 1 || s.FollowUp.Commands[0] != "kubectl -n kube-system rollout restart ds/cilium" {
		t.Errorf("%+v", s.FollowUp)
	}
	f.agent("node-1")
	x.Grace = time.Hour
	says(t, f.look(x, f.cfg), verify.StageReconciled, verify.Pending, "2 agents on node-2, node-3")
	f.agent("node-2")
	f.agent("node-3")
	says(t, f.look(x, f.cfg), verify.StageRolledOut, verify.Pending, "no probes are listened to")

	t.Run("an impostor is no agent", func(t *testing.T) {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "cilium-impostor", Namespace: "kube-system", Labels: map[string]string{"k8s-app": "cilium"}}, Spec: agentSpec("node-1")}
		f.create(p)
		says(t, f.look(x, f.cfg), verify.StageRolledOut, verify.Pending, "")
	})
	t.Run("override", func(t *testing.T) { f.overridden(x) })
	t.Run("revisions", func(t *testing.T) { f.revisions(x) })
	t.Run("rights", func(t *testing.T) { f.rights(x) })
	t.Run("no such release", func(t *testing.T) {
		none := x
		none.Release = "kube-system/other"
		says(t, f.look(none, f.cfg), verify.StageMerged, verify.Pending, "the HelmRelease was not seen")
		none.Release = "other"
		if _, err := (&Follower{Client: f.client}).Look(context.Background(), none, verify.Probes{}); err == nil {
			t.Error("a release without a namespace is taken")
		}
	})
}

func (f *fleet) overridden(x Followed) {
	for selector, unknown := range map[string]bool{"matchLabels: {zone: node-2}": false, "matchExpressions: [{key: zone, operator: In, values: [node-2]}]": false} {
		u := &unstructured.Unstructured{}
		text := "{apiVersion: cilium.io/v2, kind: CiliumNodeConfig, metadata: {name: edge, namespace: kube-system}, spec: {nodeSelector: {" + selector + "}, defaults: {" + nativeKey + ": \"fd00:101::/48\"}}}"
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			f.Fatal(err)
		}
		f.create(u)
		s := f.look(x, f.cfg)
		n := map[string]verify.NodeState{}
		for _, v := range s.Nodes {
			n[v.Node] = v
		}
		if n["node-2"].Active != snapshot.No || n["node-1"].Active != snapshot.Yes || unknown || !strings.Contains(n["node-2"].Reason, "CiliumNodeConfig kube-system/edge") {
			f.Errorf("%s: %+v", selector, s.Nodes)
		}
		if err := f.client.Delete(context.Background(), u); err != nil {
			f.Fatal(err)
		}
	}
}

// revisions of Flux, in all their spellings.
func (f *fleet) revisions(x Followed) {
	hash, other := strings.Repeat("c", 40), strings.Repeat("d", 40)
	l := &followLook{Follower: &Follower{}, Followed: x}
	later := x
	later.Contains = func(_ context.Context, revision string) (snapshot.Tri, error) {
		return snapshot.TriOf(revision == other), nil
	}
	for _, tt := range []struct {
		revision, origin string
		followed         Followed
		want             snapshot.Tri
	}{
		{"main@sha1:" + hash, "", x, snapshot.Yes},
		{"sha1:" + hash, "", x, snapshot.Yes},
		{"main/" + hash, "", x, snapshot.Yes},
		{"feature/a@sha1:" + hash, "", x, snapshot.Yes},
		{"main@sha1:" + other, "", x, snapshot.Unknown},
		{"main@sha1:" + other, "", later, snapshot.Yes},
		{"main@sha1:" + strings.Repeat("e", 40), "", later, snapshot.No},
		{"latest@sha256:" + strings.Repeat("c", 64), "", later, snapshot.Unknown},
		{"latest@sha256:" + strings.Repeat("c", 64), "main@sha1:" + hash, x, snapshot.Yes},
		{"", "", x, snapshot.No},
		{"v1.2.3", "", later, snapshot.Unknown},
	} {
		l.Followed = tt.followed
		if got, err := l.contains(context.Background(), tt.revision, tt.origin); err != nil || got != tt.want {
			f.Errorf("%q of %q: %v, %v; want %v", tt.revision, tt.origin, got, err, tt.want)
		}
	}
}

// rights: who may read nothing learns nothing, and that is no error; who may read
// what is listed here learns all.
func (f *fleet) rights(x Followed) {
	poor := rest.CopyConfig(f.cfg)
	poor.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	s := f.look(x, poor)
	says(f.T, s, verify.StageMerged, verify.Pending, "was not seen")
	f.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "follow"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"helm.toolkit.fluxcd.io"}, Resources: []string{"helmreleases"}, Verbs: []string{"get"}},
		{APIGroups: []string{"kustomize.toolkit.fluxcd.io"}, Resources: []string{"kustomizations"}, Verbs: []string{"get"}},
		{APIGroups: []string{"source.toolkit.fluxcd.io"}, Resources: []string{"gitrepositories", "ocirepositories"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}, ResourceNames: []string{"cilium-config", "ip-masq-agent"}},
		{APIGroups: []string{""}, Resources: []string{"nodes", "pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{"apps"}, Resources: []string{"daemonsets", "deployments"}, Verbs: []string{"get"}},
		{APIGroups: []string{"cilium.io"}, Resources: []string{"ciliumnodeconfigs"}, Verbs: []string{"list"}},
	}})
	f.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "follow"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "follow"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "reader", APIGroup: rbacv1.GroupName}}})
	reader := rest.CopyConfig(f.cfg)
	reader.Impersonate = rest.ImpersonationConfig{UserName: "reader"}
	for range 50 { // the authorizer learns of a role a moment later
		if s = f.look(x, reader); s.Stage == verify.StageRolledOut {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	says(f.T, s, verify.StageRolledOut, verify.Pending, "")
}

// A server that does not answer is an error, not something that is not known.
func TestFollowNoAnswer(t *testing.T) {
	t.Parallel()
	server := testbed.Start(t)
	c, err := FollowClient(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if in, err := (&Follower{Client: c}).Look(ctx, Followed{Release: "a/b"}, verify.Probes{}); err == nil {
		t.Errorf("no error, but %+v", in)
	}
}

// The command's own way, without probes: from the commit in a checkout to the
// verdict that needs none, and none where one would need probes.
func TestVerifyWithoutProbes(t *testing.T) {
	t.Parallel()
	opts := layIncident(t, examples.Default)
	commit := widen(t, opts.Repo)
	c, err := ChangeAt(context.Background(), opts, commit)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := newFleet(t, commit, c.Planned.ValuesDigest)
	opts.Snapshot, opts.Cluster = "", f.cfg
	v := VerifyOptions{Options: opts, Commit: "HEAD", Grace: time.Nanosecond}
	r, err := Verify(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != "MergedNotActive" || r.Commit != commit || r.Stage != "Reconciled" || len(r.Nodes) != 3 || r.FollowUp == nil {
		t.Errorf("%+v", r)
	}
	if text := strings.Join(r.NotChecked, "\n"); !strings.Contains(text, "no probes are installed") || !strings.Contains(text, "no Remediation in the cluster") {
		t.Errorf("not checked: %q", r.NotChecked)
	}
	for i := range 3 {
		f.agent(fmt.Sprintf("node-%d", i+1))
	}
	if r, err = Verify(context.Background(), v); err != nil || r.Stage != "RolledOut" || r.Verdict != "" {
		t.Errorf("%+v, %v", r, err)
	}
	v.Wait = true
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	v.Looked = func(verify.State) { cancel() }
	if r, err = Verify(ctx, v); err != nil || r.Verdict != "" {
		t.Errorf("waiting that was cut short is no error: %+v, %v", r, err)
	}
	if _, err := Verify(context.Background(), VerifyOptions{Options: Options{Repo: opts.Repo}, Commit: "HEAD"}); err == nil {
		t.Error("no cluster, and no error")
	}
}

// With probes: what they see decides, once every agent runs the change. The network
// fails at first as in the incident, and then works.
func TestVerifyWithProbes(t *testing.T) {
	t.Parallel()
	opts := layIncident(t, examples.Default)
	commit := widen(t, opts.Repo)
	c, err := ChangeAt(context.Background(), opts, commit)
	must(t, err)
	defer c.Close()
	b := newProbed(t, 2)
	b.is(masquerades)
	d, err := deploy.New(b.cfg)
	must(t, err)
	for _, o := range deploy.Objects(deploy.Options{Namespace: probeNamespace}) {
		must(t, d.Apply(t.Context(), o))
	}
	_, err = d.EnsureKey(t.Context(), deploy.Options{Namespace: probeNamespace})
	must(t, err)
	f := &fleet{T: t, cfg: b.cfg, client: followClient(t, b.cfg), commit: commit}
	f.fill(c.Planned.ValuesDigest, 2)
	f.agent("node-1")
	f.agent("node-2")

	// Somebody tells the probes who takes part, as a controller does; and remembers
	// what they saw before the change.
	w := &Watcher{Cluster: b.cfg, Namespace: probeNamespace}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	defer func() { stop(); <-ended }()
	f.remember(w, commit)

	opts.Snapshot, opts.Cluster = "", f.cfg
	v := VerifyOptions{Options: opts, Commit: commit, Wait: true, Hold: 12 * time.Second}
	r := f.verdict(v)
	if r.Verdict != "NotEffective" || !strings.Contains(r.Summary, "every agent runs the change") {
		t.Errorf("%s: %s", r.Verdict, r.Summary)
	}
	b.is(func(mesh.Check, *v1alpha1.Observation) {})
	if r = f.verdict(v); r.Verdict != "Verified" || len(r.Flows) == 0 || r.PullRequest != "https://git.example.com/org/fleet/pull/7" {
		t.Errorf("%s: %s\n%+v", r.Verdict, r.Summary, r)
	}
}

func (f *fleet) verdict(v VerifyOptions) *v1alpha1.VerifyResult {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	r, err := Verify(ctx, v)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// remember puts a Remediation into the cluster with what the probes saw.
func (f *fleet) remember(w *Watcher, commit string) {
	f.Helper()
	failing := verify.Class{Via: "PodIP", Family: "IPv6", Protocol: "TCP", Target: "guarded"}
	var base verify.Baseline
	// A kubelet takes up to 90 s to carry the members to the probes.
	for end := time.Now().Add(4 * time.Minute); !slices.ContainsFunc(base.Classes, func(c verify.ClassCount) bool { return c.Class == failing && c.Lost > 0 }); time.Sleep(100 * time.Millisecond) {
		base, _ = w.Baseline("")
		if time.Now().After(end) {
			f.Fatalf("the probes' failures are not counted: %+v; %+v", base, w.Sight())
		}
	}
	crd := &unstructured.Unstructured{}
	text, err := os.ReadFile("../config/crd/bases/remediate.dev_remediations.yaml")
	must(f.T, err)
	must(f.T, yaml.Unmarshal(text, &crd.Object))
	f.create(crd)
	r := &v1alpha1.Remediation{ObjectMeta: metav1.ObjectMeta{Name: "incident", Namespace: "flux-system"}, Spec: v1alpha1.RemediationSpec{
		PolicyRef: fluxmeta.LocalObjectReference{Name: "cilium"}, Signature: "native-routing-cidr-excludes-pods", Cause: "0123456789abcdef", Family: "IPv6",
		ReleaseRef: v1alpha1.ReleaseReference{Name: "cilium", Namespace: "kube-system"}}}
	for range 100 {
		if err = followClient(f.T, f.cfg).Create(context.Background(), r); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	must(f.T, err)
	r.Status.Commit, r.Status.Baseline = commit, base.Status()
	r.Status.PullRequest = &v1alpha1.PullRequestStatus{Action: v1alpha1.PullRequestMerged, URL: "https://git.example.com/org/fleet/pull/7"}
	must(f.T, followClient(f.T, f.cfg).Status().Update(context.Background(), r))
}
