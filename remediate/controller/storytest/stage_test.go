//go:build linux

package storytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/story"
	"github.com/remediate-dev/remediate/remediate/controller"
)

const (
	// home and account are the controller's, as config/default has them.
	home, account = "remediate-system", "remediate"
	nativeKey     = "ipv6-native-routing-cidr"
	goodCIDR      = "fd00:101::/38"
	badCIDR       = "fd00:101::/48"
	flagship      = "native-routing-cidr-excludes-pods"
	widen         = "widen-native-routing-cidr"
	policyName    = "cilium"
)

// stage is a bed with the controller installed.
type stage struct {
	bed  *story.Bed
	c    client.Client
	proc *process
	// standby is another replica, which runs in some of the tests.
	standby *process
	// home is the namespace of the policy.
	home string
	// rollout: the release's agents restart by themselves.
	rollout bool
	// beside are signatures of which Remediations may be there too that propose nothing.
	beside []v1alpha1.SignatureID
	// meanwhile is done while something is waited for.
	meanwhile func()
}

// newStage builds the bed and installs the controller; it does not run yet.
func newStage(t *testing.T, o story.Options) *stage {
	t.Helper()
	binary := buildController(t)
	o.Quiet = true
	s := &stage{bed: story.New(t, o), rollout: o.Rollout, home: story.FluxNamespace}
	s.install(t)
	scheme, err := controller.NewScheme()
	must(t, err)
	cfg := rest.CopyConfig(s.bed.Config())
	cfg.QPS, cfg.Burst = 200, 400
	s.c, err = client.New(cfg, client.Options{Scheme: scheme})
	must(t, err)
	s.proc, s.standby = newProcess(t, binary, s.kubeconfigOf(t), 9790), newProcess(t, binary, s.kubeconfigOf(t), 9792)
	return s
}

// install applies config/default, with the access to Flux's Secret that docs/rbac.md
// describes, but for what runs: the controller does here, the probes do already.
func (s *stage) install(t *testing.T) {
	t.Helper()
	s.apply(t, "config/default", "config/access/flux-system")
}

// apply builds folders of the checkout and applies what is in them.
func (s *stage) apply(t *testing.T, dirs ...string) {
	t.Helper()
	root, err := testbed.Checkout()
	must(t, err)
	var objects []*unstructured.Unstructured
	for _, dir := range dirs {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, filepath.FromSlash(dir)))
		must(t, err)
		text, err := built.AsYaml()
		must(t, err)
		file := filepath.Join(t.TempDir(), "objects.yaml")
		must(t, os.WriteFile(file, text, 0o600))
		objects = append(objects, testbed.Objects(t, file)...)
	}
	// As kubectl and Flux do: what others need comes first.
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	for _, o := range objects {
		if !slices.Contains([]string{"Deployment", "DaemonSet", "Service", "NetworkPolicy"}, o.GetKind()) {
			s.bed.Apply(t, o)
		}
	}
}

func rank(o *unstructured.Unstructured) int {
	n := slices.Index([]string{"Namespace", "CustomResourceDefinition"}, o.GetKind())
	if n < 0 {
		return 2
	}
	return n
}

// policy makes one that looks after the bed's release. Its Git repository, with its
// credentials, is the one that Flux follows.
func (s *stage) policy(t *testing.T, mode v1alpha1.Mode, change ...func(*v1alpha1.RemediationPolicySpec)) *v1alpha1.RemediationPolicy {
	t.Helper()
	seconds := func(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Second} }
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.home, Name: policyName}}
	p.Spec = v1alpha1.RemediationPolicySpec{
		Mode: mode, ReleaseRef: v1alpha1.ReleaseReference{Name: "cilium", Namespace: "kube-system"}, Cluster: clusterOf(t),
		Forge: &v1alpha1.ForgeSpec{Type: v1alpha1.ForgeGitea}, Interval: seconds(10),
		Verify: &v1alpha1.VerifySpec{Hold: seconds(hold), Grace: seconds(grace)},
		// The tests of one cluster open more than a day's.
		PullRequest: &v1alpha1.PullRequestSpec{Limits: v1alpha1.LimitsSpec{MaxPerDay: new(100)}},
	}
	for _, c := range change {
		c(&p.Spec)
	}
	must(t, s.c.Create(t.Context(), p))
	return p
}

const hold, grace = 10, 10

// clusterOf gives each test's pull requests a cluster of their own.
func clusterOf(t *testing.T) string { return slug(t.Name()) }

func slug(name string) string {
	out := []rune{}
	for _, r := range name {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			out = append(out, r)
		} else {
			out = append(out, '-')
		}
	}
	return string(out[:min(len(out), 60)])
}

// breakIt merges the bad prefix, has Flux roll it, and restarts all agents, so that
// the fault is live. It returns when the last agent did what is bad.
func (s *stage) breakIt(t *testing.T) time.Time {
	t.Helper()
	s.bed.Break(t)
	s.bed.WaitConfig(t, nativeKey, badCIDR)
	s.bed.Flux.UntilReady(t, patience, "HelmRelease", "kube-system", "cilium")
	s.roll(t, badCIDR)
	return time.Now()
}

// roll has every agent run the prefix: by itself, or by hand.
func (s *stage) roll(t *testing.T, cidr string) {
	t.Helper()
	if !s.rollout {
		for _, a := range s.bed.Agents(t) {
			if a.Config.Values[nativeKey] != cidr {
				s.bed.RestartAgent(t, a.Node)
			}
		}
	}
	s.bed.UntilRunning(t, nativeKey, cidr)
}

// settled is from which age on an agent's pod is known to have read the configuration
// before a later change of it (remediate/verify).
const settled = 16 * time.Second

// settle waits as long as people take to read a pull request before they merge it:
// until the controller has counted what works and what does not, and all agents are
// so old that what changes from now on is new to them by all clocks.
func (s *stage) settle(t *testing.T) {
	t.Helper()
	s.until(t, "with a baseline", func(o *v1alpha1.Remediation) bool { return o.Status.Baseline != nil && tells(o.Status.Baseline) })
	s.eventually(t, "the agents are settled", func() string {
		for _, a := range s.bed.Agents(t) {
			if age := time.Since(a.Created); age < settled {
				return fmt.Sprintf("the agent of %s is %s old", a.Node, age)
			}
		}
		return ""
	})
}

// heal brings the cluster back to what it was first, and removes the policy with
// all that hangs on it.
func (s *stage) heal(t *testing.T) {
	t.Helper()
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.home, Name: policyName}}
	must(t, client.IgnoreNotFound(s.c.Delete(t.Context(), p)))
	for _, pr := range s.bed.PullRequests(t) {
		if pr.State == "open" {
			s.bed.Forge.ClosePR(t, pr.Number)
		}
	}
	if text := s.bed.Forge.Show(t, "main", story.ValuesPath); !has(text, story.NativeCIDR) {
		s.bed.Commit(t, story.ValuesPath, []byte(replaceNative(text)))
	}
	s.bed.WaitConfig(t, nativeKey, goodCIDR)
	s.bed.Flux.UntilReady(t, patience, "HelmRelease", "kube-system", "cilium")
	s.roll(t, goodCIDR)
	eventually(t, patience, "the Remediations are gone", func() string {
		if all := s.remediations(t); len(all) > 0 {
			return all[0].Name
		}
		return ""
	})
	s.wantHealthy(t)
}

// wantHealthy: guarded pods answer from node to node, over both families, as soon as
// the agents have programmed what they run with.
func (s *stage) wantHealthy(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the cluster is healthy again", func() string {
		for _, from := range s.bed.Lab.Nodes {
			for _, to := range s.bed.Lab.Nodes {
				for _, family := range []string{"IPv4", "IPv6"} {
					if o := s.bed.Ask(t, from.Name, to.Name, v1alpha1.TargetGuarded, family); o.Outcome != v1alpha1.OutcomeOK {
						return fmt.Sprintf("%s does not reach %s over %s: %s", from.Name, to.Name, family, o.Outcome)
					}
				}
			}
		}
		return ""
	})
}

func (s *stage) remediations(t testing.TB) []v1alpha1.Remediation {
	t.Helper()
	var all v1alpha1.RemediationList
	must(t, s.c.List(t.Context(), &all))
	return all.Items
}

// events are the reasons of the events about the HelmRelease since a time.
func (s *stage) events(t testing.TB) []string {
	t.Helper()
	var all corev1.EventList
	must(t, s.c.List(t.Context(), &all, client.InNamespace("kube-system")))
	var out []string
	for _, e := range all.Items {
		if e.InvolvedObject.Kind == "HelmRelease" && e.InvolvedObject.Name == "cilium" && e.Source.Component == controller.Name {
			out = append(out, e.Reason)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ready waits until the policy's conditions are as wanted.
func (s *stage) ready(t testing.TB, kinds ...string) *v1alpha1.RemediationPolicy {
	t.Helper()
	if len(kinds) == 0 {
		kinds = []string{meta.ReadyCondition, v1alpha1.ResolvedCondition, v1alpha1.ObservingCondition}
	}
	p := &v1alpha1.RemediationPolicy{}
	s.eventually(t, "the policy is ready", func() string {
		if err := s.c.Get(t.Context(), client.ObjectKey{Namespace: s.home, Name: policyName}, p); err != nil {
			return err.Error()
		}
		for _, kind := range kinds {
			if !trueIn(p.Status.Conditions, kind) {
				return kind + " is not true: " + conditionsText(p.Status.Conditions)
			}
		}
		return ""
	})
	return p
}
