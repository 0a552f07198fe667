package observe

import (
	"github.com/remediate-dev/remediate/detect/snapshot"
)

type podTemplate struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations,omitempty"`
	} `json:"metadata,omitzero"`
	Spec struct {
		Containers []container `json:"containers,omitempty"`
	} `json:"spec,omitzero"`
}

func (t *podTemplate) reduce(containerName string) {
	kept := podTemplate{}
	if sum, ok := t.Metadata.Annotations[checksumAnnotation]; ok {
		kept.Metadata.Annotations = map[string]string{checksumAnnotation: sum}
	}
	for _, c := range t.Spec.Containers {
		if c.Name == containerName {
			kept.Spec.Containers = []container{{Name: c.Name, Image: c.Image}}
		}
	}
	*t = kept
}

type daemonSet struct {
	header
	Spec struct {
		Template podTemplate `json:"template,omitzero"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration     int64 `json:"observedGeneration,omitempty"`
		DesiredNumberScheduled int   `json:"desiredNumberScheduled"`
		UpdatedNumberScheduled int   `json:"updatedNumberScheduled,omitempty"`
		NumberAvailable        int   `json:"numberAvailable,omitempty"`
	} `json:"status"`
}

// reduce keeps the agent's DaemonSet, which the chart calls cilium.
func (o *daemonSet) reduce() (bool, error) {
	if o.Metadata.Name != "cilium" {
		return false, nil
	}
	generation := o.Metadata.Generation
	o.keepNothing()
	o.Metadata.Generation = generation
	o.Spec.Template.reduce("cilium-agent")
	return true, nil
}

func (o *daemonSet) fill(b *builder) {
	b.daemonSets[o.key()] = o
}

func (o *daemonSet) state() snapshot.DaemonSet {
	return snapshot.DaemonSet{
		Name:           o.Metadata.Name,
		Generation:     o.Metadata.Generation,
		Observed:       o.Status.ObservedGeneration,
		Desired:        o.Status.DesiredNumberScheduled,
		Updated:        o.Status.UpdatedNumberScheduled,
		Available:      o.Status.NumberAvailable,
		ConfigChecksum: o.Spec.Template.Metadata.Annotations[checksumAnnotation],
	}
}

func (o *daemonSet) version() string {
	for _, c := range o.Spec.Template.Spec.Containers {
		return imageVersion(c.Image)
	}
	return ""
}

type deployment struct {
	header
	Spec struct {
		Replicas *int        `json:"replicas,omitempty"`
		Template podTemplate `json:"template,omitzero"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration int64 `json:"observedGeneration,omitempty"`
		UpdatedReplicas    int   `json:"updatedReplicas,omitempty"`
		AvailableReplicas  int   `json:"availableReplicas,omitempty"`
	} `json:"status"`
}

// reduce keeps the operator's Deployment.
func (o *deployment) reduce() (bool, error) {
	if o.Metadata.Name != "cilium-operator" {
		return false, nil
	}
	generation := o.Metadata.Generation
	o.keepNothing()
	o.Metadata.Generation = generation
	o.Spec.Template.reduce("cilium-operator")
	return true, nil
}

func (o *deployment) fill(b *builder) { b.deployments[o.key()] = o }

func (o *deployment) state() snapshot.DaemonSet {
	desired := 1
	if o.Spec.Replicas != nil {
		desired = *o.Spec.Replicas
	}
	return snapshot.DaemonSet{
		Name:           o.Metadata.Name,
		Generation:     o.Metadata.Generation,
		Observed:       o.Status.ObservedGeneration,
		Desired:        desired,
		Updated:        o.Status.UpdatedReplicas,
		Available:      o.Status.AvailableReplicas,
		ConfigChecksum: o.Spec.Template.Metadata.Annotations[checksumAnnotation],
	}
}
