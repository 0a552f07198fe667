package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/remediate"
)

func at(text string) time.Time {
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

func TestFrozen(t *testing.T) {
	once := v1alpha1.Freeze{From: &metav1.Time{Time: at("2026-12-24T00:00:00Z")}, To: &metav1.Time{Time: at("2026-12-27T00:00:00Z")}, Reason: "holidays"}
	nights := v1alpha1.Freeze{Start: "22:00", End: "06:00", TimeZone: "Europe/Berlin"}
	friday := v1alpha1.Freeze{Start: "12:00", End: "24:00", Days: []v1alpha1.Weekday{"Fri"}}
	late := v1alpha1.Freeze{Start: "20:00", End: "04:00", Days: []v1alpha1.Weekday{"Fri"}}
	for _, tt := range []struct {
		name   string
		freeze v1alpha1.Freeze
		now    string
		until  string // "" for none
	}{
		{"once, before", once, "2026-12-23T23:59:59Z", ""},
		{"once, at its beginning", once, "2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z"},
		{"once, at its end", once, "2026-12-27T00:00:00Z", ""},
		{"a night in another zone, in winter", nights, "2026-11-23T21:30:00Z", "2026-11-24T05:00:00Z"},
		{"a night, after midnight", nights, "2026-11-24T04:59:00Z", "2026-11-24T05:00:00Z"},
		{"a night, in summer", nights, "2026-07-01T20:30:00Z", "2026-07-02T04:00:00Z"},
		{"by day", nights, "2026-11-23T12:00:00Z", ""},
		{"on a Friday", friday, "2026-11-27T12:00:00Z", "2026-11-28T00:00:00Z"},
		{"on a Saturday", friday, "2026-11-28T12:00:00Z", ""},
		{"the morning after a Friday", late, "2026-11-28T03:00:00Z", "2026-11-28T04:00:00Z"},
		{"the morning of a Friday", late, "2026-11-27T03:00:00Z", ""},
		{"a zone that is not known holds nothing", v1alpha1.Freeze{Start: "00:00", End: "24:00", TimeZone: "Moon/Base"}, "2026-11-27T03:00:00Z", ""},
	} {
		why, until := frozen([]v1alpha1.Freeze{tt.freeze}, at(tt.now))
		if (tt.until == "") != (why == "") || tt.until != "" && !until.Equal(at(tt.until)) {
			t.Errorf("%s: %q until %s, want %q", tt.name, why, until, tt.until)
		}
	}
	why, _ := frozen([]v1alpha1.Freeze{once}, at("2026-12-25T00:00:00Z"))
	contains(t, why, "holidays", "2026-12-27 00:00 UTC")
}

func TestWay(t *testing.T) {
	cfg := &rest.Config{Host: "https://10.96.0.1:443", BearerToken: "t", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("ca")}}
	for _, tt := range []struct {
		name    string
		way     Way
		answers string // the host that answers
		want    string // "" for an error
		asked   int
	}{
		{"its own answers", Way{}, "https://10.96.0.1:443", "https://10.96.0.1:443", 1},
		{"KubePrism", Way{}, "https://localhost:7445", "https://localhost:7445", 2},
		{"k3s", Way{}, "https://localhost:6444", "https://localhost:6444", 3},
		{"nothing answers", Way{}, "", "", 4},
		{"given", Way{Given: "https://192.0.2.1:6443"}, "", "https://192.0.2.1:6443", 0},
		{"given without TLS", Way{Given: "http://192.0.2.1"}, "", "", 0},
		{"given with a password", Way{Given: "https://a:b@192.0.2.1"}, "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			tt.way.Answers = func(_ context.Context, c *rest.Config) error {
				asked++
				if c.Host != tt.answers {
					return errors.New("connection refused")
				}
				if string(c.CAData) != "ca" || c.BearerToken != "t" {
					t.Error("another CA or token")
				}
				if c.Host != cfg.Host && c.ServerName != "10.96.0.1" {
					t.Errorf("server name %q", c.ServerName)
				}
				return nil
			}
			got, err := tt.way.Reach(t.Context(), cfg)
			if asked != tt.asked {
				t.Errorf("asked %d, want %d", asked, tt.asked)
			}
			if tt.want == "" {
				if err == nil {
					t.Fatalf("reached %s", got.Host)
				}
				return
			}
			must(t, err)
			if got.Host != tt.want || cfg.ServerName != "" {
				t.Errorf("host %s, want %s", got.Host, tt.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		err     error
		reason  string
		stalled bool
		says    string
	}{
		{errors.New("boom"), meta.FailedReason, false, "boom"},
		{stalled("R", "change %s", "it"), "R", true, "change it"},
		{fmt.Errorf("plan: %w", stalled("R", "x")), "R", true, "x"},
		{&forge.Error{Kind: forge.Forbidden, Op: "push", Hint: "give rights", Err: errors.New("no")}, v1alpha1.ForgeReason, true, "give rights"},
		{&forge.Error{Kind: forge.Unavailable, Op: "push", Err: errors.New("no")}, v1alpha1.ForgeReason, false, "no"},
		{failing(v1alpha1.GitReason, errors.New("slow")), v1alpha1.GitReason, false, "slow"},
		{&repo.PushError{Kind: repo.PushUnauthorized, Op: "clone"}, v1alpha1.GitReason, true, "clone"},
	} {
		f := asFault(tt.err)
		if f.reason != tt.reason || f.stalled != tt.stalled || !strings.Contains(f.Error(), tt.says) {
			t.Errorf("%v: %+v", tt.err, f)
		}
	}
	if failing("R", nil) != nil {
		t.Error("no error became one")
	}
}

func TestRemediationName(t *testing.T) {
	long := strings.Repeat("p", 253)
	for _, tt := range []struct{ policy, signature string }{{"cilium", flagship}, {long, flagship}, {"a.b-", strings.Repeat("s", 63)}} {
		name := remediationName(tt.policy, tt.signature, "0123456789abcdef")
		if len(name) > 253 || !strings.HasSuffix(name, "-01234567") {
			t.Errorf("%q", name)
		}
	}
	if got := label(strings.Repeat("x", 62) + ".y"); len(got) > 63 || strings.HasSuffix(got, ".") {
		t.Errorf("label %q", got)
	}
}

func TestMatrixStatus(t *testing.T) {
	got := matrixStatus(remediate.Pairs{Nodes: 3, Broken: 1, Unknown: 4})
	if want := (v1alpha1.MatrixStatus{Nodes: 3, Pairs: 6, Broken: 1, Unknown: 4}); *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	if got := matrixStatus(remediate.Pairs{}); *got != (v1alpha1.MatrixStatus{}) {
		t.Errorf("%+v", got)
	}
}

func TestNote(t *testing.T) {
	b := &v1alpha1.Baseline{BrokenPairs: 7, Broken: []v1alpha1.BrokenPair{{From: "a", To: "b", Class: "x"}}}
	for n := range 200 {
		b.Flows = append(b.Flows, v1alpha1.FlowClass{Class: fmt.Sprintf("PodIP/IPv6/TCP/guarded/%d", n), OK: 1, Lost: 2})
	}
	note := noteOf(b)
	if len(note) == 0 || len(note) > remediate.MaxNote || len(b.Broken) != 1 {
		t.Fatalf("%d bytes", len(note))
	}
	back := baselineOf(note)
	if back == nil || back.BrokenPairs != 7 || len(back.Flows) == 0 {
		t.Errorf("%+v", back)
	}
	for _, bad := range []string{"", "null", "[]", "{}", `{"flows":"x"}`, `{"flows":[{"class":"` + strings.Repeat("x", 10_000)} {
		if got := baselineOf(json.RawMessage(bad)); got != nil {
			t.Errorf("%.20q: %+v", bad, got)
		}
	}
}

func TestClusterPath(t *testing.T) {
	for in, want := range map[string]string{"./clusters/home": "clusters/home", "": "", ".": "", "./": "", "/a/b": "a/b", "../x": "", "a/../b": "b"} {
		if got := clusterPath(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestLimitTo(t *testing.T) {
	p := v1alpha1.Plan{Candidates: []v1alpha1.Candidate{{ID: "a", Fixes: []string{"one"}}, {ID: "b", Fixes: []string{"two"}}}}
	limitTo(&p, &v1alpha1.SignaturesSpec{Disable: []v1alpha1.SignatureID{"one"}})
	if len(p.Candidates) != 1 || p.Candidates[0].ID != "b" {
		t.Errorf("%+v", p.Candidates)
	}
}

// A log that waits for its turn is not a silent probe; one that is not read for long is.
// One that is silent for less than the policy says is not told yet.
func TestSilentNodes(t *testing.T) {
	now := time.Now()
	silent := func(node string, reason collect.Reason, ago time.Duration) collect.Silence {
		return collect.Silence{Probe: collect.Probe{Target: collect.Target{Node: node}}, Reason: reason, Since: now.Add(-ago)}
	}
	s := remediate.Sight{At: now, Silent: []collect.Silence{
		silent("c", collect.ReasonUnread, time.Hour), silent("b", collect.ReasonUnread, time.Minute), silent("a", collect.ReasonSilent, time.Minute), silent("a", collect.ReasonGone, 0), silent("d", collect.ReasonSilent, 40*time.Second)}}
	for spec, want := range map[*v1alpha1.ProbesSpec][]string{
		nil: {"a", "c"},
		{SilentAfter: &metav1.Duration{Duration: 10 * time.Second}}: {"a", "c", "d"},
		{SilentAfter: &metav1.Duration{Duration: 2 * time.Minute}}:  {"c"},
	} {
		if got := silentNodes(spec, s); !slices.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", spec, got, want)
		}
	}
}

// What is missing for the twins is told to who asks for twins, with the command that
// gives them the key of the probes and no other.
func TestTwinsAreMissed(t *testing.T) {
	const probes, twins = "remediate-probe", "remediate-probe-host"
	make, copied := remediate.MakeKey(probes), remediate.CopyKey(probes)
	asks := &v1alpha1.ProbesSpec{Host: true}
	for _, tt := range []struct {
		name   string
		spec   *v1alpha1.ProbesSpec
		sight  remediate.Sight
		status metav1.ConditionStatus
		says   string
	}{
		{"no key for twins", asks, remediate.Sight{Wanted: 1, Idle: []string{twins}, Keyless: []string{twins}}, metav1.ConditionFalse, "namespace remediate-probe-host, since the Secret with their shared key is missing; make it: " + copied},
		{"no key at all", asks, remediate.Sight{Idle: []string{probes, twins}, Keyless: []string{probes, twins}}, metav1.ConditionFalse, "namespace remediate-probe and remediate-probe-host, since the Secret with their shared key is missing; make it: " + make + " && " + copied},
		{"nobody asked", nil, remediate.Sight{Wanted: 1, Idle: []string{twins}, Keyless: []string{twins}}, metav1.ConditionTrue, "every probe"},
		{"no twins", asks, remediate.Sight{Wanted: 1, Idle: []string{twins}}, metav1.ConditionFalse, "config/probe/host"},
		{"all there", asks, remediate.Sight{Wanted: 1}, metav1.ConditionTrue, "every probe"},
	} {
		p := &v1alpha1.RemediationPolicy{Spec: v1alpha1.RemediationPolicySpec{Probes: tt.spec}}
		tt.sight.At = time.Now()
		observing(p, tt.sight)
		if c := conditions.Get(p, v1alpha1.ObservingCondition); c.Status != tt.status || !strings.Contains(c.Message, tt.says) {
			t.Errorf("%s: %+v", tt.name, c)
		}
		err := (&PolicyReconciler{}).hears(t.Context(), p, &look{sight: tt.sight})
		if stalls := len(tt.sight.Keyless) > 0 && tt.spec != nil; (err != nil) != stalls || stalls && !asFault(err).stalled {
			t.Errorf("%s: stalled by %v", tt.name, err)
		}
	}
}

// Of the probes that were heard, those are taken off that fell silent: not twins, and
// not who was never heard.
func TestHeardProbes(t *testing.T) {
	silent := func(twin bool, heard time.Time) collect.Silence {
		return collect.Silence{Probe: collect.Probe{Target: collect.Target{HostNetwork: twin}, Heard: heard}}
	}
	s := remediate.Sight{At: time.Now(), Wanted: 4, Heard: 3, Silent: []collect.Silence{
		silent(false, time.Now()), silent(false, time.Time{}), silent(true, time.Now()), silent(true, time.Time{})}}
	if got := probesStatus(nil, s); got.Heard != 2 || got.Wanted != 4 {
		t.Errorf("%d of %d heard, want 2 of 4", got.Heard, got.Wanted)
	}
}

// What agents say to run is asked for when a change is followed.
func TestAgentsAreAsked(t *testing.T) {
	r := &RemediationReconciler{Cluster: &rest.Config{Host: "https://192.0.2.1"}, Agents: &remediate.AgentMetrics{}}
	f, ok := (&incident{RemediationReconciler: r}).following().(*remediate.Follower)
	if !ok || f.Metrics == nil {
		t.Errorf("%+v", f)
	}
}

// The pod holds the Lease, so that a container started again in it does not wait.
func TestHolder(t *testing.T) {
	t.Setenv(podNameEnv, "remediate-controller-7d9f-x")
	t.Setenv(podUIDEnv, "")
	if got := holder(); got != "" {
		t.Errorf("without a UID: %q", got)
	}
	t.Setenv(podUIDEnv, "5f0c")
	if got := holder(); got != "remediate-controller-7d9f-x_5f0c" {
		t.Errorf("%q", got)
	}
}
