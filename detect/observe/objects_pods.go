package observe

import (
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// checksumAnnotation is the chart's hash of the rendered cilium-config, there
// with rollOutCiliumPods (templates/cilium-agent/daemonset.yaml:57, 1.18.6).
const checksumAnnotation = "cilium.io/cilium-configmap-checksum"

type container struct {
	Name    string   `json:"name"`
	Image   string   `json:"image,omitempty"`
	Command []string `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
}

type terminated struct {
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	Reason     string    `json:"reason,omitempty"`
	Message    string    `json:"message,omitempty"`
}

type containerState struct {
	Waiting *struct {
		Reason string `json:"reason,omitempty"`
	} `json:"waiting,omitempty"`
	Terminated *terminated `json:"terminated,omitempty"`
}

type containerStatus struct {
	Name         string         `json:"name"`
	Ready        *bool          `json:"ready,omitempty"`
	RestartCount int            `json:"restartCount,omitempty"`
	State        containerState `json:"state,omitzero"`
	LastState    containerState `json:"lastState,omitzero"`
}

type podIP struct {
	IP string `json:"ip"`
}

type podObject struct {
	header
	Spec struct {
		NodeName    string      `json:"nodeName,omitempty"`
		HostNetwork bool        `json:"hostNetwork,omitempty"`
		Containers  []container `json:"containers,omitempty"`
	} `json:"spec"`
	Status podStatus `json:"status"`
}

type podStatus struct {
	Phase                 string            `json:"phase,omitempty"`
	PodIP                 string            `json:"podIP,omitempty"`
	PodIPs                []podIP           `json:"podIPs,omitempty"`
	StartTime             time.Time         `json:"startTime,omitzero"`
	InitContainerStatuses []containerStatus `json:"initContainerStatuses,omitempty"`
	ContainerStatuses     []containerStatus `json:"containerStatuses,omitempty"`
}

func (o *podObject) isAgent() bool {
	return o.Metadata.Labels["k8s-app"] == "cilium" &&
		slices.ContainsFunc(o.Spec.Containers, func(c container) bool { return c.Name == "cilium-agent" })
}

// component is the control-plane program that the pod runs, if it is one whose
// flags state ranges.
func (o *podObject) component() string {
	if o.Metadata.Namespace != "kube-system" {
		return ""
	}
	for _, name := range []string{"kube-controller-manager", "kube-apiserver"} {
		if o.Metadata.Labels["component"] == name || o.Metadata.Labels["k8s-app"] == name || strings.HasPrefix(o.Metadata.Name, name+"-") {
			return name
		}
	}
	return ""
}

// reduce drops pods that ended, whose addresses are free again.
func (o *podObject) reduce() (bool, error) {
	if o.Status.Phase == "Succeeded" || o.Status.Phase == "Failed" {
		return false, nil
	}
	if o.Status.PodIPs == nil && o.Status.PodIP != "" {
		o.Status.PodIPs = []podIP{{o.Status.PodIP}}
	}
	for i, ip := range o.Status.PodIPs {
		if _, err := parseAddr(ip.IP); err != nil {
			return false, at(err, "status", "podIPs", i, "ip")
		}
	}
	created := o.Metadata.CreationTimestamp
	if o.isAgent() {
		o.keepLabels(checksumAnnotation)
		o.reduceAgent()
	} else {
		o.keepLabels()
		o.Spec.Containers = rangeFlags(o.component(), o.Spec.Containers)
		o.Status = podStatus{PodIPs: o.Status.PodIPs}
	}
	o.Metadata.CreationTimestamp = created
	o.Status.Phase, o.Status.PodIP = "", ""
	return true, nil
}

func (o *podObject) reduceAgent() {
	o.Spec.Containers = slices.DeleteFunc(o.Spec.Containers, func(c container) bool { return c.Name != "cilium-agent" })
	for i := range o.Spec.Containers {
		o.Spec.Containers[i].Command, o.Spec.Containers[i].Args = nil, nil
	}
	st := &o.Status
	st.ContainerStatuses = slices.DeleteFunc(st.ContainerStatuses, func(c containerStatus) bool { return c.Name != "cilium-agent" })
	for i := range st.ContainerStatuses {
		c := &st.ContainerStatuses[i]
		c.State.Terminated = nil
		c.LastState.Waiting = nil
		if t := c.LastState.Terminated; t != nil {
			c.LastState.Terminated = &terminated{Reason: t.Reason, Message: scrub(t.Message)}
		}
	}
	st.InitContainerStatuses = slices.DeleteFunc(st.InitContainerStatuses, func(c containerStatus) bool { return c.Name != "config" })
	for i, c := range st.InitContainerStatuses {
		kept := containerStatus{Name: c.Name}
		if t := c.State.Terminated; t != nil {
			kept.State.Terminated = &terminated{FinishedAt: t.FinishedAt}
		}
		st.InitContainerStatuses[i] = kept
	}
}

func (o *podObject) fill(b *builder) {
	ips := make([]string, 0, len(o.Status.PodIPs))
	for _, ip := range o.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	b.addPod(snapshot.Pod{
		Namespace:   b.shared(o.Metadata.Namespace),
		Name:        o.Metadata.Name,
		Node:        b.shared(o.Spec.NodeName),
		IPs:         addrsOf(ips),
		Labels:      b.sharedLabels(o.Metadata.Labels),
		HostNetwork: o.Spec.HostNetwork,
		Created:     o.Metadata.CreationTimestamp.UTC(),
		Source:      o.source(),
	})
	if o.isAgent() {
		b.agents[o.key()] = o
	}
	if o.component() != "" {
		b.components[o.key()] = o
	}
}

func (o *podObject) agent() snapshot.AgentPod {
	a := snapshot.AgentPod{
		Name:           o.Metadata.Name,
		Node:           o.Spec.NodeName,
		Started:        o.started(),
		ConfigChecksum: o.Metadata.Annotations[checksumAnnotation],
	}
	for _, c := range o.Spec.Containers {
		a.ImageVersion = imageVersion(c.Image)
	}
	for _, c := range o.Status.ContainerStatuses {
		if c.Ready != nil {
			a.Ready = snapshot.TriOf(*c.Ready)
		}
		a.Restarts = c.RestartCount
		if c.State.Waiting != nil {
			a.WaitingReason = c.State.Waiting.Reason
		}
		if t := c.LastState.Terminated; t != nil {
			a.LastTermination = strings.TrimSpace(t.Message)
		}
	}
	return a
}

// started is when the agent's configuration was written: the end of the init
// container "config", which runs once per pod
// (templates/cilium-agent/daemonset.yaml:450, 1.18.6), else the pod's start.
func (o *podObject) started() time.Time {
	for _, c := range o.Status.InitContainerStatuses {
		if t := c.State.Terminated; t != nil && !t.FinishedAt.IsZero() {
			return t.FinishedAt.UTC()
		}
	}
	return o.Status.StartTime.UTC()
}

// imageVersion is the version in an image's tag: "1.18.6" for
// quay.io/cilium/cilium:v1.18.6@sha256:…; empty when the tag is none.
func imageVersion(image string) string {
	image, _, _ = strings.Cut(image, "@")
	i := strings.LastIndexByte(image, ':')
	if i < 0 || strings.Contains(image[i:], "/") {
		return ""
	}
	tag := strings.TrimPrefix(image[i+1:], "v")
	if tag == "" || tag[0] < '0' || tag[0] > '9' || !strings.Contains(tag, ".") {
		return ""
	}
	return tag
}
