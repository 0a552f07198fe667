package v1alpha1_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

func TestGettersTakeWhatIsSet(t *testing.T) {
	no, hour := false, &metav1.Duration{Duration: time.Hour}
	p := &v1alpha1.RemediationPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "here"},
		Spec: v1alpha1.RemediationPolicySpec{
			Mode: v1alpha1.ModePropose, Interval: hour, Timeout: hour, HistoryLimit: 7,
			ReleaseRef:  v1alpha1.ReleaseReference{Name: "c", Namespace: "there"},
			SourceRef:   &v1alpha1.SourceReference{Kind: "K", Name: "s", Namespace: "there"},
			Probes:      &v1alpha1.ProbesSpec{Namespace: "p", Managed: &no, SilentAfter: hour},
			Commands:    &v1alpha1.CommandsSpec{Enabled: &no},
			BreakGlass:  &v1alpha1.BreakGlassSpec{Enabled: true, ServiceAccountName: "sa"},
			Flux:        &v1alpha1.FluxSpec{Namespace: "f"},
			Verify:      &v1alpha1.VerifySpec{Hold: hour, Grace: hour, Timeout: hour},
			PullRequest: &v1alpha1.PullRequestSpec{Draft: "always"},
		},
	}
	got := strings.Join(answers(p), " ")
	want := "account=sa commands=false flux=f followed=1h0m0s glass=true grace=1h0m0s hears=false history=7 hold=1h0m0s" +
		" interval=1h0m0s managed=false mode=Propose probes=p release={c there} silent=1h0m0s timeout=1h0m0s"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if ref, ok := p.GetSource(); !ok || ref != *p.Spec.SourceRef {
		t.Errorf("source %v, %t", ref, ok)
	}
	if p.GetPullRequest().Draft != "always" {
		t.Error("the pull request's settings are lost")
	}
}

func TestGettersOfNothing(t *testing.T) {
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "here"}}
	if got := p.GetRelease(); got != (v1alpha1.ReleaseReference{Name: "cilium", Namespace: "here"}) {
		t.Errorf("release %v", got)
	}
	if _, ok := p.GetSource(); ok {
		t.Error("a source out of nothing")
	}
	p.Spec.SourceRef = &v1alpha1.SourceReference{Name: "s"}
	if got, ok := p.GetSource(); !ok || got != (v1alpha1.SourceReference{Kind: "GitRepository", Name: "s", Namespace: "here"}) {
		t.Errorf("source %v, %t", got, ok)
	}
	if got := p.GetPullRequest(); !reflect.DeepEqual(got, v1alpha1.PullRequestSpec{}) {
		t.Errorf("pull request %v", got)
	}
	p.Spec.Mode = "Merge"
	if p.GetMode() != v1alpha1.ModeObserve {
		t.Error("an unknown mode does more than observe")
	}
	p.Spec.Interval = &metav1.Duration{Duration: -time.Second}
	if p.GetRequeueAfter() != v1alpha1.DefaultInterval {
		t.Error("a negative interval makes a hot loop")
	}
}

func TestSignaturesLooks(t *testing.T) {
	only := func(list ...v1alpha1.SignatureID) []v1alpha1.SignatureID { return list }
	for _, tt := range []struct {
		name string
		spec *v1alpha1.SignaturesSpec
		want bool
	}{
		{"nothing", nil, true},
		{"empty", &v1alpha1.SignaturesSpec{}, true},
		{"enabled", &v1alpha1.SignaturesSpec{Enable: only("b", "a")}, true},
		{"others enabled", &v1alpha1.SignaturesSpec{Enable: only("b")}, false},
		{"disabled", &v1alpha1.SignaturesSpec{Disable: only("a", "b")}, false},
		{"others disabled", &v1alpha1.SignaturesSpec{Disable: only("b")}, true},
		{"both", &v1alpha1.SignaturesSpec{Enable: only("a"), Disable: only("a")}, false},
	} {
		if got := tt.spec.Looks("a"); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestCommandsHears(t *testing.T) {
	yes, no, alice := true, false, []v1alpha1.Login{"alice"}
	for _, tt := range []struct {
		name string
		spec *v1alpha1.CommandsSpec
		want bool
	}{
		{"nothing", nil, true},
		{"empty", &v1alpha1.CommandsSpec{}, true},
		{"enabled", &v1alpha1.CommandsSpec{Enabled: &yes}, true},
		{"off", &v1alpha1.CommandsSpec{Enabled: &no}, false},
		{"off with users", &v1alpha1.CommandsSpec{Enabled: &no, AllowedUsers: []v1alpha1.Login{"bob"}}, false},
		{"named", &v1alpha1.CommandsSpec{AllowedUsers: []v1alpha1.Login{"alice", "bob"}}, true},
		{"others named", &v1alpha1.CommandsSpec{AllowedUsers: alice}, false},
	} {
		if got := tt.spec.Hears("bob"); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestVerdictFinal(t *testing.T) {
	for v, want := range map[v1alpha1.Verdict]bool{
		"": false, v1alpha1.VerdictMergedNotActive: false, v1alpha1.VerdictVerified: true, v1alpha1.VerdictNotEffective: true,
		v1alpha1.VerdictRegressed: true, v1alpha1.VerdictFixedElsewhere: true, v1alpha1.VerdictClosed: true, v1alpha1.VerdictAbstained: true,
	} {
		if v.Final() != want {
			t.Errorf("%q: %t", v, v.Final())
		}
	}
}

func TestRemediationName(t *testing.T) {
	const cause = "0123456789abcdef"
	if got := v1alpha1.RemediationName("cilium", "mtu-mismatch", cause); got != "cilium-mtu-mismatch-01234567" {
		t.Error(got)
	}
	long := v1alpha1.RemediationName(strings.Repeat("a", 60)+".-.-.-x", v1alpha1.SignatureID(strings.Repeat("b", 63)), cause)
	if len(long) > 253 || strings.Contains(long, ".-") {
		t.Error(long)
	}
	if got := v1alpha1.RemediationName("p", "s", "abc"); got != "p-s-abc" {
		t.Error(got)
	}
}

func TestRecord(t *testing.T) {
	var st v1alpha1.RemediationStatus
	at := func(n int) metav1.Time { return metav1.Unix(int64(n), 0) }
	st.Record(at(1), "Merged", "by\nalice")
	st.Record(at(2), "Merged", "by alice")
	if len(st.History) != 1 || st.History[0] != (v1alpha1.HistoryEntry{At: at(1), Step: "Merged", Text: "by alice"}) {
		t.Fatalf("%v", st.History)
	}
	st.Record(at(3), "Merged", "again")
	st.Record(at(4), "Merged", "by alice")
	if len(st.History) != 3 {
		t.Errorf("what happened again is lost: %v", st.History)
	}
	for i := range 100 {
		st.Record(at(10+i), "RolledOut", strings.Repeat("x", i))
	}
	if n := len(st.History); n != 50 || st.History[49].At != at(109) {
		t.Errorf("%d entries, the last of %v", n, st.History[n-1].At)
	}
}

func TestClip(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"", 5, ""},
		{"abc", 3, "abc"},
		{"abcd", 4, "abcd"},
		{"abcde", 4, "a…"},
		{"abcdefgh", 7, "abcd…"},
		{"  a\tb\r\n", 9, "a b"},
		{"a\x1b[31mb\x00", 20, "a [31mb"},
		{"a\u202eb\u200bc", 20, "a b c"},
		{"ääää", 7, "ää…"},
		{"\xffa", 9, "\ufffda"},
		{"abc", 2, ""},
		{"abc", 0, ""},
	} {
		if got := v1alpha1.Clip(tt.text, tt.n); got != tt.want {
			t.Errorf("%q to %d: %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

func TestClipHoldsForAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, n := string(rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "text")), rapid.IntRange(0, 80).Draw(t, "n")
		got := v1alpha1.Clip(text, n)
		if len(got) > n || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q", got)
		}
		if again := v1alpha1.Clip(got, n); again != got {
			t.Fatalf("%q becomes %q", got, again)
		}
	})
}

// A status that is bounded twice is the same, or every write would look like news.
func TestBoundIsStable(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("<\n", 9000), strings.Repeat("é", 9000), "short"} {
		var st v1alpha1.RemediationStatus
		flood(reflect.ValueOf(&st).Elem(), text)
		setEnums(&st)
		st.Bound()
		once := st.DeepCopy()
		st.Bound()
		if !reflect.DeepEqual(&st, once) {
			t.Errorf("%.5q: bounding again changes it", text)
		}
		if n := encoded(t, st); n > v1alpha1.MaxStatus {
			t.Errorf("%.5q: %d bytes", text, n)
		}
	}
}

// An ordinary incident keeps all of its parts.
func TestBoundKeepsWhatFits(t *testing.T) {
	st := v1alpha1.RemediationStatus{
		Plan:     &v1alpha1.PlanStatus{Hash: "h", Diff: "--- a/x\n+++ b/x\n-\ta: 1\n+\ta: 2", Changes: make([]v1alpha1.ChangeStatus, 16)},
		Delivery: &v1alpha1.DeliveryStatus{WillArrive: "no", How: "first\nsecond"},
		Baseline: &v1alpha1.Baseline{Broken: make([]v1alpha1.BrokenPair, 20), Flows: make([]v1alpha1.FlowClass, 32)},
		Nodes:    &v1alpha1.NodesStatus{Waiting: make([]v1alpha1.WaitingNode, 20)},
	}
	want := st.DeepCopy()
	st.Bound()
	if !reflect.DeepEqual(&st, want) {
		t.Errorf("got %+v", st)
	}
	st.Plan.Diff = strings.Repeat("+x\n", 4000)
	st.Bound()
	if !st.Plan.DiffCut || len(st.Plan.Diff) > 8192 {
		t.Errorf("%d bytes, cut %t", len(st.Plan.Diff), st.Plan.DiffCut)
	}
}

func TestDeepCopySharesNothing(t *testing.T) {
	var r v1alpha1.Remediation
	var p v1alpha1.RemediationPolicy
	flood(reflect.ValueOf(&r.Status).Elem(), "x")
	flood(reflect.ValueOf(&p.Spec).Elem(), "x")
	for _, o := range []runtime.Object{&r, &p} {
		before, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		c := o.DeepCopyObject()
		overwrite(reflect.ValueOf(c).Elem())
		if after, err := json.Marshal(o); err != nil || string(after) != string(before) {
			t.Errorf("%T shares memory with its copy", o)
		}
	}
}

// overwrite changes every text within a value, in place.
func overwrite(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			overwrite(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				overwrite(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			overwrite(v.Index(i))
		}
	case reflect.String:
		v.SetString("y")
	}
}
