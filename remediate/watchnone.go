package remediate

import (
	"context"
	"strings"
	"time"

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
	at  time.Time
}

// ask looks for why no probe runs: what the pods say, and the warnings of events,
// which say more of volumes that cannot be mounted.
func (n *none) ask(ctx context.Context, l *listening, namespaces []string, now time.Time) []string {
	if now.Sub(n.at) < whyEvery {
		return n.why
	}
	n.at, n.why = now, nil
	for _, r := range deploy.ProgressOf(l.watch.Facts()).Why {
		n.why = append(n.why, r.String())
	}
	for _, namespace := range namespaces {
		n.why = append(n.why, l.client.Warnings(ctx, namespace)...)
	}
	n.why = n.why[:min(len(n.why), mostWhy)]
	return n.why
}

// NoKey says whether no probe runs because the Secret is missing that they share a key
// by, and nobody in the cluster may make it but people: the kubelet's warning is
// `MountVolume.SetUp failed for volume "key" : secret "remediate-probe-key" not found`.
func (s Sight) NoKey() bool {
	if s.Wanted > 0 {
		return false
	}
	for _, why := range s.Why {
		if strings.Contains(why, deploy.KeyName) && strings.Contains(why, "not found") {
			return true
		}
	}
	return false
}

// MakeKey is the command that makes the key of the probes of a namespace.
func MakeKey(namespace string) string {
	return "openssl rand 32 | kubectl create secret generic " + deploy.KeyName + " -n " + namespace + " --from-file=" + deploy.KeyKey + "=/dev/stdin"
}
