package verify

import (
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// Defaults of an [Input].
const (
	// DefaultGrace is how long agents may take, from when the last of them was made
	// anew: a rolling update replaces two at a time
	// (updateStrategy.rollingUpdate.maxUnavailable, values.yaml, 1.18.6), and a start
	// takes a minute.
	DefaultGrace = 10 * time.Minute
	// DefaultHold is how long flows must work, or fail, before that is a verdict:
	// three heartbeats of a probe.
	DefaultHold = 30 * time.Second
)

// Input is what was seen of a merged change. The zero value of a field means that
// it was not seen.
type Input struct {
	// Now is when the picture was complete, by the clock of who took it.
	Now time.Time
	// Grace before a change that is not active is called so; 0 is [DefaultGrace].
	Grace time.Duration
	// Hold of flows; 0 is [DefaultHold].
	Hold time.Duration
	// Before is [State.Since] of an earlier look, zero without one.
	Before Since

	Merged  Merged
	Planned Planned

	Source Source
	// Kustomizations from the entry point down; the last one applies the release.
	Kustomizations []Kustomization
	Release        Release
	Config         Config

	Nodes []Node
	// Agents is the DaemonSet of cilium-agent; Others are further workloads.
	Agents    Workload
	Others    []Workload
	Overrides []Override

	Probes Probes
	// Baseline is from before the change was merged; nil when nobody took one.
	Baseline *Baseline
}

// Merged is the change in Git.
type Merged struct {
	// Commit on the branch that Flux follows; empty while it is not merged.
	Commit string
	At     time.Time
}

// Planned is what the change is to bring about.
type Planned struct {
	// Config are the keys of cilium-config that change; nil means that the key is
	// gone afterwards. [MasqAgentKey] stands for the ConfigMap ip-masq-agent.
	Config map[string]*string
	// ValuesDigest is that of the release's values, as helm-controller makes it
	// (status.history[].configDigest); empty when it is not known, as with values
	// from Secrets.
	ValuesDigest string
	// Restart names what has to restart: "DaemonSet/cilium",
	// "Deployment/cilium-operator". HotReload: agents take it up while they run.
	Restart   []string
	HotReload bool
	// Causes are the findings that the change is to end: they alone decide whether it
	// has an effect. Empty: whatever failed.
	Causes []Cause
	// EndsMasquerade: flows that are answered and seen from another source address
	// are part of the failure, as with native-routing-cidr-excludes-pods.
	EndsMasquerade bool
}

// MasqAgentKey stands among the keys of cilium-config for the whole ConfigMap
// ip-masq-agent.
const MasqAgentKey = "ip-masq-agent"

// Cause is a finding, reduced to what tells it from others.
type Cause struct {
	Signature string `json:"signature"`
	Family    string `json:"family,omitempty"`
	About     string `json:"about,omitempty"`
}

// Source is what Flux fetches from: a GitRepository or an OCIRepository.
type Source struct {
	// Object is "GitRepository flux-system/flux-system"; empty when it was not seen.
	Object   string
	Revision string
	// Contains: the revision is the merged commit or a later one.
	Contains  snapshot.Tri
	Ready     snapshot.Tri
	Message   string
	Suspended bool
}

// Kustomization is a Flux Kustomization.
type Kustomization struct {
	Object string
	// Revision is status.lastAppliedRevision.
	Revision  string
	Contains  snapshot.Tri
	Ready     snapshot.Tri
	Message   string
	Suspended bool
}

// Release is the HelmRelease.
type Release struct {
	Object               string
	Generation, Observed int64
	// Digest, Status, Chart version and time of the newest of status.history.
	Digest, Status, ChartVersion string
	Deployed                     time.Time
	Ready                        snapshot.Tri
	Message                      string
	Suspended                    bool
}

// Config is the live cilium-config.
type Config struct {
	// Object is "ConfigMap kube-system/cilium-config".
	Object string
	// Known: it was read, or it was looked for and is not there (Data nil).
	Known bool
	Data  map[string]string
	// MasqAgent is ip-masq-agent's key config; nil when it is not there.
	MasqAgent *string
	// Changed is when its data last changed, by the API server's clock.
	Changed time.Time
	// MasqAgentChanged likewise.
	MasqAgentChanged time.Time
}

// Node is a node of the cluster.
type Node struct {
	Name  string
	Ready snapshot.Tri
}

// Workload is a DaemonSet or a Deployment with its pods.
type Workload struct {
	// Kind, Namespace and Name; Name is empty when it was not seen.
	Kind, Namespace, Name       string
	Generation, Observed        int64
	Desired, Updated, Available int
	// OnDelete: spec.updateStrategy.type of a DaemonSet.
	OnDelete bool
	// Checksum is the pod template's cilium.io/cilium-configmap-checksum.
	Checksum string
	// Pods are those of the workload; PodsKnown says that they were listed.
	Pods      []Pod
	PodsKnown bool
}

// Pod is one pod of a workload.
type Pod struct {
	Name, Node string
	// Created and Scheduled are by the control plane's clock. Started is when the
	// kubelet took it up, ConfigRead when the init container "config" ended, both by
	// the node's; zero when not known.
	Created, Scheduled, Started, ConfigRead time.Time
	// Configured: all init containers ended well.
	Configured snapshot.Tri
	Ready      snapshot.Tri
	// Why it is not: CrashLoopBackOff.
	Why      string
	Checksum string
	// Deleted: its end was asked for.
	Deleted bool
	// Drift is how many keys of cilium-config differ from what the agent runs, as
	// its metric says; nil when it could not be asked. DriftAt is when it was.
	Drift   *int
	DriftAt time.Time
}

// Override is a key that a CiliumNodeConfig sets.
type Override struct {
	// Object is "CiliumNodeConfig kube-system/edge".
	Object     string
	Key, Value string
	// Nodes that it selects. Unclear: its selector was not understood.
	Nodes   map[string]bool
	Unclear bool
}
