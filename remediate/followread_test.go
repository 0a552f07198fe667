package remediate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/remediate/verify"
)

var readAt = time.Date(2026, 2, 12, 10, 0, 0, 0, time.UTC)

func readTime(after time.Duration) metav1.Time { return metav1.NewTime(readAt.Add(after)) }

// What a pod's status says of an agent: when its configuration was read, and why it
// does not run.
func TestFollowedPod(t *testing.T) {
	ended := func(name string, code int32, at time.Duration) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: readTime(at)}}}
	}
	hangs := func(name, reason string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}
	}
	two := corev1.PodSpec{NodeName: "n1", InitContainers: []corev1.Container{{Name: "config"}, {Name: "mount-cgroup"}}}
	tests := []struct {
		name string
		pod  corev1.Pod
		want verify.Pod
	}{
		{"runs", corev1.Pod{Spec: two, Status: corev1.PodStatus{
			StartTime: &metav1.Time{Time: readAt.Add(time.Second)},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue},
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: readTime(time.Minute)}},
			InitContainerStatuses: []corev1.ContainerStatus{ended("config", 0, 5*time.Second), ended("mount-cgroup", 0, 6*time.Second)},
		}}, verify.Pod{Node: "n1", Started: readAt.Add(time.Second), Scheduled: readAt.Add(time.Minute), ConfigRead: readAt.Add(5 * time.Second), Configured: snapshot.Yes, Ready: snapshot.Yes}},
		{"is not bound long", corev1.Pod{Spec: two, Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, LastTransitionTime: readTime(time.Minute)}},
		}}, verify.Pod{Node: "n1", Configured: snapshot.Unknown}},
		{"reads its configuration", corev1.Pod{Spec: two, Status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "config"}, hangs("mount-cgroup", "PodInitializing")},
		}}, verify.Pod{Node: "n1", Configured: snapshot.No, Why: "mount-cgroup PodInitializing"}},
		{"could not read it", corev1.Pod{Spec: two, Status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{ended("config", 1, 5*time.Second), hangs("mount-cgroup", "PodInitializing")},
		}}, verify.Pod{Node: "n1", Configured: snapshot.No, Why: "mount-cgroup PodInitializing"}},
		{"has read it, and another does not end", corev1.Pod{Spec: two, Status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{ended("config", 0, 5*time.Second), hangs("mount-cgroup", "CrashLoopBackOff")},
		}}, verify.Pod{Node: "n1", ConfigRead: readAt.Add(5 * time.Second), Configured: snapshot.No, Why: "mount-cgroup CrashLoopBackOff"}},
		{"crashes", corev1.Pod{Spec: two, Status: corev1.PodStatus{
			Conditions:            []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}},
			InitContainerStatuses: []corev1.ContainerStatus{ended("config", 0, 5*time.Second)},
			ContainerStatuses:     []corev1.ContainerStatus{{Name: "side", Ready: true}, hangs("cilium-agent", "CrashLoopBackOff"), hangs("later", "ImagePullBackOff")},
		}}, verify.Pod{Node: "n1", ConfigRead: readAt.Add(5 * time.Second), Configured: snapshot.Yes, Ready: snapshot.No, Why: "cilium-agent CrashLoopBackOff"}},
		{"another container named like it ended", corev1.Pod{Spec: two, Status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{ended("config-2", 0, 5*time.Second)},
		}}, verify.Pod{Node: "n1", Configured: snapshot.Yes}},
		{"has no init containers", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1"}}, verify.Pod{Node: "n1", Configured: snapshot.Yes}},
		{"ends, of a template with a checksum", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n1"},
			ObjectMeta: metav1.ObjectMeta{Name: "cilium-x", CreationTimestamp: readTime(0), DeletionTimestamp: &metav1.Time{Time: readAt}, Annotations: map[string]string{checksum: "abc"}}},
			verify.Pod{Name: "cilium-x", Node: "n1", Created: readAt, Checksum: "abc", Deleted: true, Configured: snapshot.Yes}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, followedPod(&tt.pod)); d != "" {
				t.Error(d)
			}
		})
	}
}

// When the data of cilium-config last changed, by who wrote which part of it.
func TestDataChanged(t *testing.T) {
	wrote := func(fields string, at time.Duration) metav1.ManagedFieldsEntry {
		when := readTime(at)
		return metav1.ManagedFieldsEntry{Time: &when, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const data, labels = `{"f:data":{"f:mtu":{}}}`, `{"f:metadata":{"f:labels":{}}}`
	tests := []struct {
		name  string
		wrote []metav1.ManagedFieldsEntry
		want  time.Duration
	}{
		{"nobody said", nil, 0},
		{"data", []metav1.ManagedFieldsEntry{wrote(data, time.Hour)}, time.Hour},
		{"labels later", []metav1.ManagedFieldsEntry{wrote(data, time.Hour), wrote(labels, 2*time.Hour)}, time.Hour},
		{"the newest of two", []metav1.ManagedFieldsEntry{wrote(data, 3*time.Hour), wrote(data, time.Hour)}, 3 * time.Hour},
		{"older than the object", []metav1.ManagedFieldsEntry{wrote(data, -time.Hour)}, 0},
		{"no JSON", []metav1.ManagedFieldsEntry{wrote("{", time.Hour)}, 0},
		{"no time", []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(data)}}, 0},
		{"no fields", []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: readAt.Add(time.Hour)}}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: readTime(0), ManagedFields: tt.wrote}}
			if got := dataChanged(cm).Sub(readAt); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Labels are anybody's to set; owners are not.
func TestOwnedBy(t *testing.T) {
	agents, operator := verify.Workload{Kind: "DaemonSet", Name: "cilium"}, verify.Workload{Kind: "Deployment", Name: "cilium-operator"}
	tests := []struct {
		kind, name string
		of         verify.Workload
		want       bool
	}{
		{"DaemonSet", "cilium", agents, true},
		{"DaemonSet", "cilium-envoy", agents, false},
		{"ReplicaSet", "cilium", agents, false},
		{"ReplicaSet", "cilium-operator-5d9f", operator, true},
		{"ReplicaSet", "cilium-operatorx", operator, false},
		{"Deployment", "cilium-operator", operator, false},
		{"Job", "cilium", verify.Workload{Kind: "Job", Name: "cilium"}, false},
	}
	for _, tt := range tests {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: tt.kind, Name: tt.name}}}}
		if got := ownedBy(p, &tt.of); got != tt.want {
			t.Errorf("%s %s of %s: %v", tt.kind, tt.name, tt.of.Name, got)
		}
	}
	if ownedBy(&corev1.Pod{}, &agents) {
		t.Error("a pod without owners is an agent")
	}
}

// The commit in a revision of Flux, of this time's form and of former ones; of
// anything else nothing is known, and nobody is asked.
func TestContains(t *testing.T) {
	merged, later := strings.Repeat("c", 40), strings.Repeat("d", 40)
	tests := []struct {
		name, revision, origin string
		want                   snapshot.Tri
		asked                  string
	}{
		{"nothing", "", "", snapshot.No, ""},
		{"the commit", "main@sha1:" + merged, "", snapshot.Yes, ""},
		{"a tag of it", "refs/tags/v1@sha1:" + merged, "", snapshot.Yes, ""},
		{"detached", "sha1:" + merged, "", snapshot.Yes, ""},
		{"as Flux 0.x wrote it", "main/" + merged, "", snapshot.Yes, ""},
		{"bare", merged, "", snapshot.Yes, ""},
		{"another", "main@sha1:" + later, "", snapshot.Yes, later},
		{"of SHA-256", "main@sha1:" + strings.Repeat("e", 64), "", snapshot.Yes, strings.Repeat("e", 64)},
		{"an OCI artifact of the commit", "latest@sha256:" + strings.Repeat("a", 64), "main@sha1:" + merged, snapshot.Yes, ""},
		{"an OCI artifact of nobody knows what", "latest@sha256:" + strings.Repeat("a", 64), "", snapshot.Unknown, ""},
		{"too short", "main@sha1:" + merged[:39], "", snapshot.Unknown, ""},
		{"in capitals", "main@sha1:" + strings.ToUpper(merged), "", snapshot.Unknown, ""},
		{"something behind it", "main@sha1:" + merged + "\nx", "", snapshot.Unknown, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked string
			l := &followLook{Followed: Followed{Merged: verify.Merged{Commit: merged}, Contains: func(_ context.Context, rev string) (snapshot.Tri, error) {
				asked = rev
				return snapshot.Yes, nil
			}}}
			got, err := l.contains(t.Context(), tt.revision, tt.origin)
			if err != nil || got != tt.want || asked != tt.asked {
				t.Errorf("%v, %v, asked about %q; want %v, %q", got, err, asked, tt.want, tt.asked)
			}
		})
	}
	l := &followLook{Followed: Followed{Merged: verify.Merged{Commit: merged}}}
	if got, err := l.contains(t.Context(), "main@sha1:"+later, ""); got != snapshot.Unknown || err != nil {
		t.Errorf("nobody to ask: %v, %v", got, err)
	}
	l.Merged.Commit = ""
	if got, err := l.contains(t.Context(), "main@sha1:"+later, ""); got != snapshot.Unknown || err != nil {
		t.Errorf("not merged: %v, %v", got, err)
	}
}

// The release that counts is the one that was made last, wherever it stands.
func TestNewestRelease(t *testing.T) {
	o := &fluxObject{}
	if o.newest() != nil {
		t.Error("nothing was released")
	}
	o.Status.History = []fluxReleaseRecord{{Version: 2, Status: "superseded"}, {Version: 11, Status: "deployed"}, {Version: 3}}
	if got := o.newest(); got.Version != 11 {
		t.Errorf("%+v", got)
	}
}

func TestFluxReady(t *testing.T) {
	for status, want := range map[metav1.ConditionStatus]snapshot.Tri{metav1.ConditionTrue: snapshot.Yes, metav1.ConditionFalse: snapshot.No, metav1.ConditionUnknown: snapshot.Unknown, "odd": snapshot.Unknown} {
		o := &fluxObject{}
		o.Status.Conditions = []metav1.Condition{{Type: "Reconciling", Status: metav1.ConditionTrue}, {Type: "Ready", Status: status, Message: "why"}}
		if got, message := o.ready(); got != want || message != "why" {
			t.Errorf("%s: %v, %q", status, got, message)
		}
	}
	if got, message := (&fluxObject{}).ready(); got != snapshot.Unknown || message != "" {
		t.Errorf("no condition: %v, %q", got, message)
	}
}

// What is not there or may not be read is not known; a server that fails is an error.
func TestSilently(t *testing.T) {
	what := schema.GroupResource{Resource: "configmaps"}
	for name, tt := range map[string]struct {
		err    error
		silent bool
	}{
		"none":      {nil, true},
		"not there": {apierrors.NewNotFound(what, "x"), true},
		"forbidden": {apierrors.NewForbidden(what, "x", errors.New("no")), true},
		"time out":  {apierrors.NewTimeoutError("slow", 1), false},
		"broken":    {errors.New("connection refused"), false},
	} {
		err := (&Follower{}).silently(tt.err, "kube-system/x")
		if (err == nil) != tt.silent || err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSplitName(t *testing.T) {
	if namespace, name, err := splitName("a/b"); namespace != "a" || name != "b" || err != nil {
		t.Errorf("%q, %q, %v", namespace, name, err)
	}
	for _, bad := range []string{"", "a", "/b", "a/", "a/b/c"} {
		if _, _, err := splitName(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A change that was proposed for a cause is measured by that cause alone, whatever
// else the repository says that it ends.
func TestPlannedFor(t *testing.T) {
	id := signature.NativeRoutingCIDRExcludesPods
	flagship := verify.Cause{Signature: id, Family: "IPv6"}
	other := verify.Cause{Signature: "service-cidr-overlap", Family: "IPv4", About: "10.96.0.0/12"}
	tests := []struct {
		name  string
		shows []verify.Cause
		cause verify.Cause
		want  []verify.Cause
		masks bool
	}{
		{"the repository shows nothing", nil, flagship, []verify.Cause{flagship}, true},
		{"it shows the same", []verify.Cause{flagship}, flagship, []verify.Cause{flagship}, true},
		{"it shows another too", []verify.Cause{other, flagship}, flagship, []verify.Cause{flagship}, true},
		{"it shows it of both families", []verify.Cause{{Signature: id, Family: "IPv4"}, flagship}, flagship, []verify.Cause{flagship}, true},
		{"proposed for the other", []verify.Cause{other, flagship}, other, []verify.Cause{other}, false},
		{"probes told no family", []verify.Cause{other, flagship}, verify.Cause{Signature: id}, []verify.Cause{flagship}, true},
		{"probes told no family, and nor does it", []verify.Cause{other}, verify.Cause{Signature: id}, []verify.Cause{{Signature: id}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			planned := verify.Planned{ValuesDigest: "sha256:x", Causes: tt.shows}
			want := verify.Planned{ValuesDigest: "sha256:x", Causes: tt.want, EndsMasquerade: tt.masks}
			if d := cmp.Diff(want, PlannedFor(planned, tt.cause)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.shows, planned.Causes); d != "" {
				t.Errorf("what was given is changed: %s", d)
			}
		})
	}
}

// Of what is confirmed, the judge is told what is critical by itself.
func TestStandingIsCritical(t *testing.T) {
	finding := func(id string, severity v1alpha1.Severity, by string) v1alpha1.Finding {
		return v1alpha1.Finding{Signature: id, Family: "IPv6", Severity: severity, CausedBy: by, Summary: "about " + id}
	}
	j := confirm.Judgement{Findings: []v1alpha1.Finding{finding("a", v1alpha1.SeverityCritical, ""), finding("b", v1alpha1.SeverityWarning, ""), finding("c", v1alpha1.SeverityCritical, "a")}}
	for _, f := range j.Findings {
		j.Records = append(j.Records, confirm.Record{Signature: f.Signature, Family: f.Family})
	}
	got := standing(j)
	if len(got) != 3 || !got[0].Critical || got[1].Critical || got[2].Critical || got[1].Summary != "about b" {
		t.Errorf("%+v", got)
	}
}
