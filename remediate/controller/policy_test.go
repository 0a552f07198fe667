package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/signature"
)

// flux puts a release with its Kustomization and source into a cluster.
func flux(t *testing.T, c client.Client, url string, change ...func(*sourcev1.GitRepository)) {
	t.Helper()
	for _, ns := range []string{"flux-system", "tenant"} {
		must(t, client.IgnoreAlreadyExists(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})))
	}
	labels := func(name string) map[string]string {
		return map[string]string{labelKustomization: name, labelKustomizationNamespace: "flux-system"}
	}
	at := metav1.Duration{Duration: time.Minute}
	hr := &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cilium", Labels: labels("cilium")},
		Spec: helmv2.HelmReleaseSpec{Interval: at, ChartRef: &helmv2.CrossNamespaceSourceReference{Kind: "OCIRepository", Name: "cilium"}}}
	source := kustomizev1.CrossNamespaceSourceReference{Kind: "GitRepository", Name: "flux-system"}
	app := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "cilium", Labels: labels("flux-system")},
		Spec: kustomizev1.KustomizationSpec{Interval: at, Prune: true, Path: "./apps/cilium", SourceRef: source}}
	root := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "flux-system", Labels: labels("flux-system")},
		Spec: kustomizev1.KustomizationSpec{Interval: at, Prune: true, Path: "./clusters/home", SourceRef: source}}
	git := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "flux-system"},
		Spec: sourcev1.GitRepositorySpec{URL: url, Interval: at, Reference: &sourcev1.GitRepositoryRef{Branch: "main"}, SecretRef: &meta.LocalObjectReference{Name: "flux-system"}}}
	for _, f := range change {
		f(git)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "flux-system"}, Data: map[string][]byte{"username": []byte("bot"), "password": []byte("hunter2hunter2")}}
	for _, o := range []client.Object{hr, app, root, git, secret} {
		must(t, c.Create(t.Context(), o))
	}
}

// reconciler looks at policies without a manager.
func reconciler(c client.Client) *PolicyReconciler {
	return &PolicyReconciler{Client: c, Namespace: "remediate-system", Watching: &fakeProbes{}, Targets: &Targets{resolver: &resolver{Client: c, Direct: c, UserAgent: "test"}}}
}

// What a policy says and names is checked, and says what to change.
func TestPolicyConditions(t *testing.T) {
	_, c := cluster(t)
	flux(t, c, "https://git.example.com/org/fleet.git")
	must(t, c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "token"}, Data: map[string][]byte{"token": []byte("t")}}))
	must(t, c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "odd"}, Data: map[string][]byte{"git.asc": []byte("no key")}}))
	gitea := &v1alpha1.ForgeSpec{Type: v1alpha1.ForgeGitea, SecretRef: &meta.LocalObjectReference{Name: "token"}}
	for _, tt := range []struct {
		name       string
		namespace  string
		spec       v1alpha1.RemediationPolicySpec
		restricted bool
		reason     string // "" for ready
		says       string
	}{
		{name: "derived from the HelmRelease", spec: v1alpha1.RemediationPolicySpec{}, says: "mode Observe"},
		{name: "propose", spec: v1alpha1.RemediationPolicySpec{Mode: v1alpha1.ModePropose, Forge: gitea}, says: "mode Propose"},
		{name: "plain", spec: v1alpha1.RemediationPolicySpec{Mode: v1alpha1.ModePropose, Forge: &v1alpha1.ForgeSpec{Type: v1alpha1.ForgePlain}}, says: "mode Propose"},
		{name: "an unknown signature", spec: v1alpha1.RemediationPolicySpec{Signatures: &v1alpha1.SignaturesSpec{Disable: []v1alpha1.SignatureID{"native-routing-cidr-excludes-pod"}}},
			reason: v1alpha1.InvalidSpecReason, says: "did you mean " + signature.NativeRoutingCIDRExcludesPods},
		{name: "break-glass of another namespace", spec: v1alpha1.RemediationPolicySpec{Mode: v1alpha1.ModePropose, Forge: gitea, BreakGlass: &v1alpha1.BreakGlassSpec{Enabled: true}},
			reason: v1alpha1.InvalidSpecReason, says: "spec.breakGlass is for policies in the controller's namespace remediate-system alone"},
		{name: "a forge elsewhere gets no credentials for Git", spec: v1alpha1.RemediationPolicySpec{Mode: v1alpha1.ModePropose, Forge: &v1alpha1.ForgeSpec{Type: v1alpha1.ForgeGitea, URL: "https://evil.example.net"}},
			reason: v1alpha1.SecretReason, says: "on evil.example.net, and the credentials for Git on git.example.com are not sent there"},
		{name: "no such release", spec: v1alpha1.RemediationPolicySpec{ReleaseRef: v1alpha1.ReleaseReference{Name: "celium", Namespace: "kube-system"}},
			reason: v1alpha1.NotFoundReason, says: "there is no HelmRelease kube-system/celium: correct spec.releaseRef"},
		{name: "no such source", spec: v1alpha1.RemediationPolicySpec{SourceRef: &v1alpha1.SourceReference{Name: "fleet"}},
			reason: v1alpha1.NotFoundReason, says: "there is no GitRepository flux-system/fleet"},
		{name: "no such Secret", spec: v1alpha1.RemediationPolicySpec{Git: &v1alpha1.GitSpec{URL: "https://git.example.com/org/fleet", SecretRef: &meta.LocalObjectReference{Name: "gone"}}},
			reason: v1alpha1.NotFoundReason, says: "there is no Secret flux-system/gone"},
		{name: "a token that is missing", spec: v1alpha1.RemediationPolicySpec{Mode: v1alpha1.ModePropose, Git: &v1alpha1.GitSpec{URL: "ssh://git@git.example.com/org/fleet", SecretRef: &meta.LocalObjectReference{Name: "odd"}}, Forge: &v1alpha1.ForgeSpec{Type: v1alpha1.ForgeGitea}},
			reason: v1alpha1.SecretReason, says: ""},
		{name: "a signing key that is none", spec: v1alpha1.RemediationPolicySpec{Mode: v1alpha1.ModePropose, Forge: gitea,
			PullRequest: &v1alpha1.PullRequestSpec{Commit: v1alpha1.CommitSpec{SigningKey: &v1alpha1.SigningKey{SecretRef: meta.LocalObjectReference{Name: "odd"}}}}},
			reason: v1alpha1.SecretReason, says: "spec.pullRequest.commit.signingKey"},
		{name: "no forge", spec: v1alpha1.RemediationPolicySpec{Mode: v1alpha1.ModePropose, Git: &v1alpha1.GitSpec{URL: "https://bitbucket.org/org/fleet"}},
			reason: v1alpha1.InvalidSpecReason, says: "plain"},
		{name: "another namespace, allowed", namespace: "tenant", spec: v1alpha1.RemediationPolicySpec{}, says: "mode Observe"},
		{name: "another namespace, refused", namespace: "tenant", restricted: true, spec: v1alpha1.RemediationPolicySpec{},
			reason: v1alpha1.AccessDeniedReason, says: "--no-cross-namespace-refs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "flux-system", Name: "p"}, Spec: tt.spec}
			if tt.namespace != "" {
				p.Namespace = tt.namespace
			}
			if p.Spec.ReleaseRef.Name == "" {
				p.Spec.ReleaseRef = v1alpha1.ReleaseReference{Name: "cilium", Namespace: "kube-system"}
			}
			must(t, c.Create(t.Context(), p))
			defer func() { must(t, c.Delete(t.Context(), p)) }()
			r := reconciler(c)
			r.Targets.SameNamespace = tt.restricted
			r.known = map[client.ObjectKey]map[string]bool{client.ObjectKeyFromObject(p): {}} // no forge is asked
			result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
			must(t, err)
			must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
			ready := conditions.Get(p, meta.ReadyCondition)
			if ready == nil {
				t.Fatal("no Ready condition")
			}
			contains(t, ready.Message, tt.says)
			if strings.Contains(ready.Message, "hunter2") {
				t.Error("a secret is shown")
			}
			if tt.reason == "" {
				if ready.Status != "True" || result.RequeueAfter == 0 {
					t.Errorf("%+v, %+v", ready, result)
				}
				return
			}
			if ready.Reason != tt.reason || !conditions.IsStalled(p) || conditions.IsReconciling(p) {
				t.Errorf("want stalled by %s: %+v", tt.reason, p.Status.Conditions)
			}
			if result.RequeueAfter < stalledAgain {
				t.Errorf("looked at again after %s", result.RequeueAfter)
			}
		})
	}
}

// The cluster's path and the source come from Flux's own objects.
func TestPolicyResolves(t *testing.T) {
	_, c := cluster(t)
	flux(t, c, "https://git.example.com/org/fleet.git")
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "p"}}
	must(t, c.Create(t.Context(), p))
	_, err := reconciler(c).Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
	must(t, err)
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	want := v1alpha1.SourceStatus{Name: "flux-system/flux-system", URL: "https://git.example.com/org/fleet.git", Branch: "main", Path: "clusters/home"}
	if p.Status.Source == nil || *p.Status.Source != want {
		t.Errorf("source %+v, want %+v", p.Status.Source, want)
	}
	if p.Status.Release == nil || p.Status.Release.Kustomization != "flux-system/cilium" {
		t.Errorf("release %+v", p.Status.Release)
	}
	if p.Status.ObservedGeneration != p.Generation {
		t.Errorf("observed %d of %d", p.Status.ObservedGeneration, p.Generation)
	}
}

// Of several policies for a release the oldest counts; the others say so, and take
// over when it is gone.
func TestOldestPolicyWins(t *testing.T) {
	_, c := cluster(t)
	flux(t, c, "https://git.example.com/org/fleet.git")
	make := func(name string) *v1alpha1.RemediationPolicy {
		p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}}
		must(t, c.Create(t.Context(), p))
		return p
	}
	first := make("b")
	time.Sleep(1100 * time.Millisecond) // timestamps have whole seconds
	second := make("a")
	r := reconciler(c)
	look := func(p *v1alpha1.RemediationPolicy) *metav1.Condition {
		t.Helper()
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
		must(t, err)
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
		return conditions.Get(p, meta.ReadyCondition)
	}
	if got := look(first); got.Status != "True" {
		t.Errorf("the oldest: %+v", got)
	}
	if got := look(second); got.Reason != v1alpha1.ConflictReason || !strings.Contains(got.Message, "kube-system/b is older") {
		t.Errorf("the younger: %+v", got)
	}
	must(t, c.Delete(t.Context(), first))
	if got := look(second); got.Status != "True" || conditions.IsStalled(second) {
		t.Errorf("after the oldest went: %+v", second.Status.Conditions)
	}
}

// A suspended policy is left as it is, and a request for a look is answered.
func TestSuspendAndRequest(t *testing.T) {
	_, c := cluster(t)
	flux(t, c, "https://git.example.com/org/fleet.git")
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "p", Annotations: map[string]string{reconcileRequested: "one"}}, Spec: v1alpha1.RemediationPolicySpec{Suspend: true}}
	must(t, c.Create(t.Context(), p))
	r := reconciler(c)
	look := func() {
		t.Helper()
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
		must(t, err)
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	}
	if look(); len(p.Status.Conditions) != 0 || p.Status.LastHandledReconcileAt != "" {
		t.Errorf("suspended: %+v", p.Status)
	}
	p.Spec.Suspend = false
	must(t, c.Update(t.Context(), p))
	if look(); p.Status.LastHandledReconcileAt != "one" {
		t.Errorf("request: %q", p.Status.LastHandledReconcileAt)
	}
}

// A policy that cannot work is not looked at over and over.
func TestNoHotLoop(t *testing.T) {
	b := newBed(t)
	b.policy(v1alpha1.ModePropose, func(s *v1alpha1.RemediationPolicySpec) { s.Git.SecretRef.Name = "gone" })
	b.probes.say(incidentFinding())
	before := reconciles(t)
	b.start()
	time.Sleep(4 * time.Second)
	if n := reconciles(t) - before; n > 8 {
		t.Errorf("%v reconciliations in 4 s", n)
	}
}

// History beyond the limit goes, the oldest first.
func TestHistoryLimit(t *testing.T) {
	_, c := cluster(t)
	flux(t, c, "https://git.example.com/org/fleet.git")
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "p"}, Spec: v1alpha1.RemediationPolicySpec{HistoryLimit: 2}}
	must(t, c.Create(t.Context(), p))
	r, probes := reconciler(c), &fakeProbes{}
	r.Watching = probes
	probes.say(incidentFinding())
	names := map[string]bool{}
	for range 4 {
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
		must(t, err)
		var all v1alpha1.RemediationList
		must(t, c.List(t.Context(), &all))
		for i := range all.Items {
			o := &all.Items[i]
			names[o.Name] = true
			if !o.IsEnded() {
				o.Status.Phase = v1alpha1.PhaseEnded
				must(t, c.Status().Update(t.Context(), o))
			}
		}
	}
	_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
	must(t, err)
	var all v1alpha1.RemediationList
	must(t, c.List(t.Context(), &all))
	ended := 0
	for _, o := range all.Items {
		if o.IsEnded() {
			ended++
		}
	}
	if ended > 2 || len(names) < 3 {
		t.Errorf("%d ended are kept of %d", ended, len(names))
	}
}
