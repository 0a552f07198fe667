package v1alpha1_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/fluxcd/pkg/runtime/patch"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// What fluxcd/pkg/runtime asks of kinds.
var (
	_ conditions.Setter                            = (*v1alpha1.RemediationPolicy)(nil)
	_ conditions.Setter                            = (*v1alpha1.Remediation)(nil)
	_ meta.StatusWithHandledReconcileRequest       = v1alpha1.RemediationPolicyStatus{}
	_ meta.StatusWithHandledReconcileRequest       = v1alpha1.RemediationStatus{}
	_ meta.ObjectWithConditionsSetter              = (*v1alpha1.Remediation)(nil)
	_ client.ObjectList                            = (*v1alpha1.RemediationPolicyList)(nil)
	_ client.ObjectList                            = (*v1alpha1.RemediationList)(nil)
	_ interface{ GetRequeueAfter() time.Duration } = (*v1alpha1.RemediationPolicy)(nil)
)

// defaults: the API server fills in what the getters say of an object that has
// nothing set.
func (s *suite) defaults(t *testing.T) {
	empty := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "defaults", Namespace: "default"}}
	filled := &v1alpha1.RemediationPolicy{
		ObjectMeta: empty.ObjectMeta,
		Spec: v1alpha1.RemediationPolicySpec{
			SourceRef: &v1alpha1.SourceReference{Name: "s"},
			Probes:    &v1alpha1.ProbesSpec{}, Commands: &v1alpha1.CommandsSpec{}, BreakGlass: &v1alpha1.BreakGlassSpec{},
			Flux: &v1alpha1.FluxSpec{}, Verify: &v1alpha1.VerifySpec{},
		},
	}
	if err := s.Create(t.Context(), filled); err != nil {
		t.Fatal(err)
	}
	if filled.Status.ObservedGeneration != -1 {
		t.Errorf("observedGeneration is %d before anybody looked, want -1", filled.Status.ObservedGeneration)
	}
	spec := filled.Spec
	for name, set := range map[string]bool{
		"mode": spec.Mode == v1alpha1.ModeObserve, "releaseRef": spec.ReleaseRef.Name == "cilium", "sourceRef": spec.SourceRef.Kind == "GitRepository",
		"interval": spec.Interval != nil, "timeout": spec.Timeout != nil, "historyLimit": spec.HistoryLimit == 20,
		"probes.namespace": spec.Probes.Namespace != "", "probes.managed": spec.Probes.Managed != nil, "probes.silentAfter": spec.Probes.SilentAfter != nil,
		"commands.enabled": spec.Commands.Enabled != nil, "flux.namespace": spec.Flux.Namespace != "",
		"verify": spec.Verify.Hold != nil && spec.Verify.Grace != nil && spec.Verify.Timeout != nil,
	} {
		if !set {
			t.Errorf("the API server does not fill in %s", name)
		}
	}
	if got, want := answers(filled), answers(empty); !slices.Equal(got, want) {
		t.Errorf("defaults differ\nof the API server %q\nof the getters     %q", got, want)
	}
}

// answers are what all getters say.
func answers(p *v1alpha1.RemediationPolicy) []string {
	var out []string
	for name, v := range map[string]any{
		"mode": p.GetMode(), "release": p.GetRelease(), "interval": p.GetRequeueAfter(), "timeout": p.GetTimeout(), "history": p.GetHistoryLimit(),
		"probes": p.Spec.Probes.GetNamespace(), "managed": p.Spec.Probes.IsManaged(), "silent": p.Spec.Probes.GetSilentAfter(),
		"commands": p.Spec.Commands.IsEnabled(), "hears": p.Spec.Commands.Hears("anyone"), "glass": p.Spec.BreakGlass.IsEnabled(),
		"account": p.Spec.BreakGlass.GetServiceAccountName(), "flux": p.Spec.Flux.GetNamespace(),
		"hold": p.Spec.Verify.GetHold(), "grace": p.Spec.Verify.GetGrace(), "followed": p.Spec.Verify.GetTimeout(),
	} {
		out = append(out, fmt.Sprintf("%s=%v", name, v))
	}
	slices.Sort(out)
	return out
}

func stored(t *testing.T, s *suite, name string) *v1alpha1.Remediation {
	t.Helper()
	o := &v1alpha1.Remediation{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: v1alpha1.RemediationSpec{
			PolicyRef: meta.LocalObjectReference{Name: "p"}, Signature: "mtu-mismatch", Cause: "0123456789abcdef", Family: "IPv6",
			ReleaseRef: v1alpha1.ReleaseReference{Name: "cilium", Namespace: "kube-system"},
		},
	}
	if err := s.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// writtenOnce: the specification of a Remediation stays; its status does not pass
// by the main resource.
func (s *suite) writtenOnce(t *testing.T) {
	o := stored(t, s, "once")
	o.Status.Phase = v1alpha1.PhaseMerged
	if err := s.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if o.Status.Phase != "" {
		t.Error("an update of the object wrote its status")
	}
	o.Spec.Cause = "fedcba9876543210"
	err := s.Update(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "spec: ") || !strings.Contains(err.Error(), "to start anew, delete the Remediation") {
		t.Errorf("another cause: %v", err)
	}
}

// columns are what kubectl get prints.
func (s *suite) columns(t *testing.T) {
	o := stored(t, s, "columns")
	o.Status.Phase, o.Status.Verdict = v1alpha1.PhaseRolledOut, v1alpha1.VerdictMergedNotActive
	o.Status.Nodes = &v1alpha1.NodesStatus{Wanted: 12, Active: 3}
	if err := s.Status().Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	table := s.table(t, "/apis/remediate.dev/v1alpha1/namespaces/default/remediations/columns")
	var names []string
	for _, c := range table.ColumnDefinitions {
		if c.Priority == 0 {
			names = append(names, c.Name)
		}
	}
	if want := []string{"Name", "Phase", "Verdict", "Signature", "Family", "Active", "Nodes", "Age"}; !slices.Equal(names, want) {
		t.Errorf("columns %q, want %q", names, want)
	}
	if got := fmt.Sprint(table.Rows[0].Cells[:7]...); got != fmt.Sprint("columns", "RolledOut", "MergedNotActive", "mtu-mismatch", "IPv6", 3, 12) {
		t.Errorf("row %q", got)
	}
	table = s.table(t, "/apis/remediate.dev/v1alpha1/namespaces/default/remediationpolicies/defaults")
	if got := table.Rows[0].Cells[1]; got != "Observe" {
		t.Errorf("column Mode is %v", got)
	}
}

func (s *suite) table(t *testing.T, path string) metav1.Table {
	t.Helper()
	httpClient, err := rest.HTTPClientFor(s.config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.config.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var table metav1.Table
	if err := json.NewDecoder(resp.Body).Decode(&table); err != nil || len(table.Rows) != 1 {
		t.Fatalf("%s: %v, %d rows", path, err, len(table.Rows))
	}
	return table
}

// conditions are kept by Flux's library, with the schema's limits on reasons.
func (s *suite) conditions(t *testing.T) {
	o := stored(t, s, "conditions")
	serial, owned := patch.NewSerialPatcher(o, s.Client), patch.WithOwnedConditions{Conditions: v1alpha1.OwnedConditions()}
	for _, step := range v1alpha1.Steps() {
		conditions.MarkUnknown(o, step, v1alpha1.WaitingReason, "waits for %s", "what comes before")
	}
	for i, reason := range reasons() {
		conditions.MarkFalse(o, v1alpha1.Steps()[i%len(v1alpha1.Steps())], reason, "why")
		if err := serial.Patch(t.Context(), o, owned); err != nil {
			t.Errorf("reason %s: %v", reason, err)
		}
	}
	conditions.MarkReconciling(o, meta.ProgressingReason, "follows the pull request")
	if err := serial.Patch(t.Context(), o, owned); err != nil {
		t.Fatal(err)
	}
	conditions.Delete(o, meta.ReconcilingCondition)
	conditions.MarkTrue(o, meta.ReadyCondition, string(v1alpha1.VerdictVerified), "works")
	if err := serial.Patch(t.Context(), o, owned); err != nil {
		t.Fatal(err)
	}
	got := &v1alpha1.Remediation{}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.GetConditions()); n != len(v1alpha1.Steps())+1 {
		t.Errorf("%d conditions are kept", n)
	}
	if !conditions.IsReady(got) || conditions.IsReconciling(got) || conditions.IsStalled(got) {
		t.Errorf("conditions came back as %v", got.GetConditions())
	}
}

func reasons() []string {
	return []string{
		v1alpha1.WaitingReason, v1alpha1.HeldReason, v1alpha1.HandsOffReason, v1alpha1.NotObservedReason, v1alpha1.ConflictReason,
		v1alpha1.InvalidSpecReason, v1alpha1.AccessDeniedReason, v1alpha1.NotFoundReason, v1alpha1.SecretReason, v1alpha1.ForgeReason,
		v1alpha1.GitReason, v1alpha1.ProbesSilentReason, v1alpha1.PlanFailedReason, v1alpha1.ClusterReason, v1alpha1.DeliveryReason,
		v1alpha1.ApprovalReason, string(v1alpha1.VerdictNotEffective),
	}
}

// boundedStatus: the API server takes whatever a hostile world put into a status,
// once it is bounded, and refuses it before.
func (s *suite) boundedStatus(t *testing.T) {
	for _, nasty := range []string{strings.Repeat("<a\x00b\x1b[31m\u202e", 1000), strings.Repeat("\xff", 20000), strings.Repeat("🧨", 9000)} {
		o := stored(t, s, "hostile")
		flood(reflect.ValueOf(&o.Status).Elem(), nasty)
		setEnums(&o.Status)
		if err := s.Status().Update(t.Context(), o.DeepCopy()); err == nil {
			t.Error("the schema bounds nothing")
		}
		o.Status.Bound()
		if n := encoded(t, o.Status); n > v1alpha1.MaxStatus {
			t.Errorf("%d bytes", n)
		}
		if err := s.Status().Update(t.Context(), o); err != nil {
			t.Errorf("refused: %.2000v", err)
		}
		if err := s.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// eachField: no limit of Bound is above the schema's, which only shows where the
// whole is small enough to be left as it is.
func (s *suite) eachField(t *testing.T) {
	o, text := stored(t, s, "fields"), strings.Repeat("x", 20_000)
	var whole v1alpha1.RemediationStatus
	flood(reflect.ValueOf(&whole).Elem(), text)
	setEnums(&whole)
	for i := range reflect.TypeFor[v1alpha1.RemediationStatus]().NumField() {
		o.Status = v1alpha1.RemediationStatus{}
		reflect.ValueOf(&o.Status).Elem().Field(i).Set(reflect.ValueOf(whole).Field(i))
		s.writesBounded(t, o, reflect.TypeOf(whole).Field(i).Name, o.Status.Bound)
	}
	p := &v1alpha1.RemediationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "fields", Namespace: "default"}}
	if err := s.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	flood(reflect.ValueOf(&p.Status).Elem(), text)
	p.Status.Conditions, p.Status.Source.Forge, p.Status.LastHandledReconcileAt = whole.Conditions, v1alpha1.ForgeGitea, "now"
	s.writesBounded(t, p, "policy", p.Status.Bound)
}

func (s *suite) writesBounded(t *testing.T, o client.Object, what string, bound func()) {
	t.Helper()
	bound()
	if err := s.Status().Update(t.Context(), o); err != nil {
		t.Errorf("%s: refused: %.1000v", what, err)
	}
}

func encoded(t *testing.T, v any) int {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

// setEnums puts back what is the caller's: values of enumerations, and reasons.
func setEnums(st *v1alpha1.RemediationStatus) {
	st.Phase, st.Verdict, st.Conditions = v1alpha1.PhaseMerged, v1alpha1.VerdictRegressed, nil
	for _, step := range v1alpha1.Steps() {
		st.Conditions = append(st.Conditions, metav1.Condition{
			Type: step, Status: metav1.ConditionFalse, Reason: "Waiting", LastTransitionTime: metav1.Unix(1, 0), Message: st.Because,
		})
	}
	st.Finding.Severity, st.Finding.Confidence = v1alpha1.SeverityCritical, v1alpha1.ConfidenceConfirmed
	st.PullRequest.Action, st.Delivery.WillArrive = v1alpha1.PullRequestHeld, "no"
	st.LastHandledReconcileAt = "now"
	for i := range st.Attempts {
		st.Attempts[i].Verdict = v1alpha1.VerdictNotEffective
	}
}

// flood fills every field of a value: texts with text, lists with a hundred of
// what they hold.
func flood(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		flood(v.Elem(), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[metav1.Time]() {
			v.Set(reflect.ValueOf(metav1.Unix(1_700_000_000, 0)))
			return
		}
		for i := range v.NumField() {
			flood(v.Field(i), text)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 100, 100))
		for i := range v.Len() {
			flood(v.Index(i), text)
		}
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1 << 30)
	}
}
