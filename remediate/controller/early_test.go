package controller

import (
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/remediate"
	"github.com/remediate-dev/remediate/remediate/delivery"
)

// A plan of the first moments is made again, once, when probes have tried all ways.
func TestHeardEnough(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		counted time.Time
		want    bool
	}{
		"nothing is counted": {time.Time{}, false},
		"just begun":         {now, false},
		"not long enough":    {now.Add(time.Second - enough), false},
		"long enough":        {now.Add(-enough), true},
	} {
		i := &incident{mem: &memory{counted: tt.counted}, now: now}
		if got := i.heardEnough(); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A plan is made again for another commit, and once probes have tried all their ways,
// if it was made before that; later again and again only while it is open whether Flux
// could bring it in.
func TestOutdated(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		early   bool
		arrives delivery.Arrival
		heard   time.Duration
		tip     string
		want    bool
	}{
		"nothing is new":                      {arrives: delivery.Yes, heard: enough, tip: "a"},
		"another commit":                      {arrives: delivery.Yes, heard: enough, tip: "b", want: true},
		"made early, and not heard enough":    {early: true, arrives: delivery.Yes, heard: enough - time.Second, tip: "a"},
		"made early, and heard enough":        {early: true, arrives: delivery.Yes, heard: enough, tip: "a", want: true},
		"nobody knows whether it arrives":     {arrives: delivery.Unknown, heard: enough, tip: "a", want: true},
		"some of it arrives":                  {arrives: delivery.Partly, heard: enough, tip: "a", want: true},
		"nobody knows, and not heard enough":  {arrives: delivery.Unknown, heard: enough - time.Second, tip: "a"},
		"it is known that it does not arrive": {arrives: delivery.No, heard: enough, tip: "a"},
	} {
		i := &incident{mem: &memory{counted: now.Add(-tt.heard), early: tt.early, result: &remediate.Result{}}, now: now,
			obj: &v1alpha1.Remediation{}, policy: &v1alpha1.RemediationPolicy{}}
		i.mem.planned = i.basis("a")
		i.obj.Status.Delivery = &v1alpha1.DeliveryStatus{WillArrive: string(tt.arrives)}
		if got := i.outdated(tt.tip); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if i := (&incident{mem: &memory{}, obj: &v1alpha1.Remediation{}}); !i.outdated("a") {
		t.Error("without a plan: it is not made")
	}
}
