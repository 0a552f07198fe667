package remediate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
)

const (
	// whyEvery is how often the cluster is asked why no probe runs.
	whyEvery = time.Minute
	// mostWhy reasons are kept.
	mostWhy = 10
)

// none is why no probe runs, and when that was asked.
type none struct {
	why []string
	// keyless are the namespaces whose probes wait for their key.
	keyless []string
	at      time.Time
}

// ask looks for why no probe runs in namespaces: what the pods say, and the warnings
// of events, which say more of volumes that cannot be mounted.
func (n *none) ask(ctx context.Context, l *listening, namespaces []string, now time.Time) {
	if now.Sub(n.at) < whyEvery {
		return
	}
	*n = none{at: now}
	for _, r := range deploy.ProgressOf(l.watch.Facts()).Why {
		n.why = append(n.why, r.String())
	}
	for _, namespace := range namespaces {
		warnings := l.client.Warnings(ctx, namespace)
		if lacksKey(warnings) {
			n.keyless = append(n.keyless, namespace)
		}
		n.why = append(n.why, warnings...)
	}
	n.why = n.why[:min(len(n.why), mostWhy)]
}

// idle are those of the namespaces in which no probe runs.
func idle(f deploy.Facts, namespaces []string) []string {
	running := map[string]bool{}
	for _, pod := range f.Pods {
		switch pod.Labels[deploy.LabelTarget] {
		case v1alpha1.TargetOpen, deploy.TargetHost:
			running[pod.Namespace] = running[pod.Namespace] || runs(pod)
		}
	}
	return slices.DeleteFunc(slices.Clone(namespaces), func(ns string) bool { return running[ns] })
}

// lacksKey says whether the Secret is missing that probes share a key by, and nobody in
// the cluster may make it but people: the kubelet's warning is
// `MountVolume.SetUp failed for volume "key" : secret "remediate-probe-key" not found`.
func lacksKey(why []string) bool {
	return slices.ContainsFunc(why, func(w string) bool {
		return strings.Contains(w, deploy.KeyName) && strings.Contains(w, "not found")
	})
}

// MakeKey is the command that makes the key of the probes of a namespace.
func MakeKey(namespace string) string { return "openssl rand 32 | " + createKey(namespace) }

// CopyKey is the command that gives the twins of the probes of a namespace the same key.
func CopyKey(namespace string) string {
	return "kubectl get secret " + deploy.KeyName + " -n " + namespace + " -o jsonpath='{.data." + deploy.KeyKey + "}' | base64 -d | " + createKey(deploy.HostNamespace(namespace))
}

func createKey(namespace string) string {
	return "kubectl create secret generic " + deploy.KeyName + " -n " + namespace + " --from-file=" + deploy.KeyKey + "=/dev/stdin"
}
