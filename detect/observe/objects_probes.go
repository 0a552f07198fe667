package observe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/internal/cidr"
)

type probeReport struct {
	header
	Observations []v1alpha1.Observation `json:"observations"`
}

// reduce checks what detection will rest on: a misspelt outcome must be an
// error, not an observation that means nothing.
func (o *probeReport) reduce() (bool, error) {
	o.keepNothing()
	for i := range o.Observations {
		if field, err := checkObservation(&o.Observations[i]); err != nil {
			return false, at(err, append([]any{"observations", i}, field...)...)
		}
	}
	return true, nil
}

func checkObservation(o *v1alpha1.Observation) (field []any, err error) {
	words := []struct {
		name, value string
		allowed     []string
	}{
		{"family", o.Family, []string{cidr.IPv4, cidr.IPv6}},
		{"via", o.Via, []string{"PodIP", "ClusterIP", "NodeIP", "DNS", "External"}},
		{"protocol", o.Protocol, []string{"ICMP", "TCP", "UDP", "HTTP"}},
		{"target", o.Target, []string{v1alpha1.TargetOpen, v1alpha1.TargetGuarded, ""}},
		{"outcome", o.Outcome, []string{
			v1alpha1.OutcomeOK, v1alpha1.OutcomeTimeout, v1alpha1.OutcomeRefused, v1alpha1.OutcomeUnreachable,
			v1alpha1.OutcomeReset, v1alpha1.OutcomeTooBig, v1alpha1.OutcomeError, v1alpha1.OutcomeNotChecked,
		}},
	}
	for _, w := range words {
		if !slices.Contains(w.allowed, w.value) {
			return []any{w.name}, fmt.Errorf("%q is none of %s", clip(w.value), strings.Join(slices.DeleteFunc(w.allowed, isEmpty), ", "))
		}
	}
	return checkMeasures(o)
}

func isEmpty(s string) bool { return s == "" }

func checkMeasures(o *v1alpha1.Observation) (field []any, err error) {
	addresses := []struct {
		path  []any
		value *string
	}{
		{[]any{"from", "ip"}, &o.From.IP},
		{[]any{"to", "ip"}, &o.To.IP},
		{[]any{"sourceSeen"}, &o.SourceSeen},
	}
	for _, a := range addresses {
		if *a.value == "" {
			continue
		}
		ip, err := parseAddr(*a.value)
		if err != nil {
			return a.path, err
		}
		if cidr.Family(ip) != o.Family {
			return a.path, fmt.Errorf("%s is no %s address, and family says %s", ip, o.Family, o.Family)
		}
		*a.value = ip.String()
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"sent", o.Sent}, {"received", o.Received}, {"bytes", o.Bytes}} {
		if n.value < 0 {
			return []any{n.name}, fmt.Errorf("%d is negative", n.value)
		}
	}
	if o.To.Port < 0 || o.To.Port > 65535 {
		return []any{"to", "port"}, fmt.Errorf("%d is not a port", o.To.Port)
	}
	for _, at := range []struct{ name, value string }{{"at", o.At}, {"heard", o.Heard}} {
		if _, err := time.Parse(time.RFC3339, at.value); at.value != "" && err != nil {
			return []any{at.name}, fmt.Errorf("%q is not a time such as 2026-02-12T10:00:00Z", clip(at.value))
		}
	}
	o.Reason = scrub(o.Reason)
	return nil, nil
}

func (o *probeReport) fill(b *builder) { b.probes[o.key()] = o }

func (o *probeReport) observations() []snapshot.ProbeObservation {
	out := make([]snapshot.ProbeObservation, 0, len(o.Observations))
	for i, obs := range o.Observations {
		out = append(out, snapshot.ProbeObservation{Observation: obs, Source: fmt.Sprintf("%s #%d", o.source(), i+1)})
	}
	return out
}
