package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/signature"
)

const (
	// calm is how old all agents have to be for what probes see to be no doing of their
	// start. An agent that starts loses what is under way, and for as long as some
	// agents run what others do not, probes meet both.
	calm = time.Minute
	// longest is how long a failure may be taken for one that passes, lest agents that
	// are made anew again and again hide it.
	longest = time.Hour
	// calmAgain is how soon it is looked again.
	calmAgain = 10 * time.Second
	// agentsPage is how many agents are read at once.
	agentsPage = 500
)

// damp leaves out what agents that start bring about and take away again: what was
// seen last while one of them was young. It may stay confirmed for as long as
// exchanges count, and yet be over.
func (r *PolicyReconciler) damp(ctx context.Context, l *look, all []v1alpha1.RemediationSpec, since map[v1alpha1.SignatureID]time.Time) ([]v1alpha1.RemediationSpec, error) {
	passing := func(s v1alpha1.RemediationSpec) bool {
		return mayPass(string(s.Signature)) && !isActive(l.all, s.Signature) && r.now().Sub(since[s.Signature]) < longest
	}
	if !slices.ContainsFunc(all, passing) {
		return all, nil
	}
	made, err := r.newestAgent(ctx)
	if err != nil {
		return nil, err
	}
	n := len(all)
	all = slices.DeleteFunc(all, func(s v1alpha1.RemediationSpec) bool {
		return passing(s) && r.lastSeen(l, s.Signature).Before(made.Add(calm))
	})
	if len(all) < n {
		l.lookIn(calmAgain)
	}
	return all, nil
}

// lastSeen is when the newest exchange was made that confirms a cause; now, when
// nothing says.
func (r *PolicyReconciler) lastSeen(l *look, id v1alpha1.SignatureID) time.Time {
	var last time.Time
	for _, record := range l.sight.Judgement.Records {
		if record.Signature == string(id) && record.Support.Last.After(last) {
			last = record.Support.Last
		}
	}
	if last.IsZero() {
		return r.now()
	}
	return last
}

// mayPass says whether restarting agents look like it: not what the configuration
// itself says.
func mayPass(id string) bool {
	switch id {
	case signature.NativeRoutingCIDRExcludesPods, signature.NativeRoutingCIDRInServices, signature.IPMasqAgentExcludesPods,
		signature.AgentRefusesToStart, signature.ConfigNotActive:
		return false
	}
	return true
}

func isActive(all []v1alpha1.Remediation, id v1alpha1.SignatureID) bool {
	return slices.ContainsFunc(all, func(o v1alpha1.Remediation) bool { return o.Spec.Signature == id && !o.IsEnded() })
}

// newestAgent is when the youngest agent's pod was made; zero without any. Of the pods
// nothing but the metadata is read, a page at a time.
func (r *PolicyReconciler) newestAgent(ctx context.Context) (time.Time, error) {
	reader := r.Direct
	if reader == nil {
		reader = r.Client
	}
	var newest time.Time
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	for {
		err := reader.List(ctx, pods, client.InNamespace(observe.DefaultCiliumNamespace), client.MatchingLabels{"k8s-app": "cilium"},
			client.Limit(agentsPage), client.Continue(pods.Continue))
		if err != nil {
			return newest, failing(v1alpha1.ClusterReason, fmt.Errorf("list Cilium's agents: %w", err))
		}
		for _, o := range pods.Items {
			if o.CreationTimestamp.After(newest) {
				newest = o.CreationTimestamp.Time
			}
		}
		if pods.Continue == "" {
			return newest, nil
		}
	}
}
