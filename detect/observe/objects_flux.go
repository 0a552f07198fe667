package observe

import (
	"regexp"
	"strings"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

type fluxObject struct {
	header
	Spec struct {
		Suspend bool   `json:"suspend,omitempty"`
		Path    string `json:"path,omitempty"`
		URL     string `json:"url,omitempty"`
	} `json:"spec"`
	Status fluxStatus `json:"status"`
}

type fluxStatus struct {
	Conditions          []condition    `json:"conditions,omitempty"`
	LastAppliedRevision string         `json:"lastAppliedRevision,omitempty"`
	Artifact            *fluxArtifact  `json:"artifact,omitempty"`
	History             []fluxRevision `json:"history,omitempty"`
}

type fluxArtifact struct {
	Revision string `json:"revision,omitempty"`
}

type fluxRevision struct {
	ChartVersion string `json:"chartVersion,omitempty"`
}

func (o *fluxObject) reduce() (bool, error) {
	o.keepNothing()
	o.Spec.URL = scrub(o.Spec.URL)
	st := &o.Status
	st.Conditions = readyOnly(st.Conditions)
	for i := range st.Conditions {
		st.Conditions[i].Message = scrub(st.Conditions[i].Message)
	}
	st.LastAppliedRevision = st.revision()
	st.Artifact, st.History = nil, nil
	return true, nil
}

// revision is what is applied: a Kustomization and an older HelmRelease name it
// themselves, a source names its artifact, a HelmRelease v2 its newest release.
func (s *fluxStatus) revision() string {
	switch {
	case s.LastAppliedRevision != "":
		return s.LastAppliedRevision
	case s.Artifact != nil:
		return s.Artifact.Revision
	case len(s.History) > 0:
		return s.History[0].ChartVersion
	}
	return ""
}

func (o *fluxObject) fill(b *builder) {
	f := snapshot.FluxObject{
		Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name,
		Ready:     readyOf(o.Status.Conditions),
		Suspended: o.Spec.Suspend,
		Revision:  o.Status.LastAppliedRevision,
		Path:      o.Spec.Path,
		URL:       o.Spec.URL,
		Source:    o.source(),
	}
	for _, c := range o.Status.Conditions {
		f.Reason, f.Message = c.Reason, c.Message
	}
	b.flux[o.source()] = f
}

type objectReference struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
}

// event is core/v1 or events.k8s.io/v1; the latter's names are moved to the
// former's.
type event struct {
	header
	Type           string           `json:"type,omitempty"`
	Reason         string           `json:"reason,omitempty"`
	Message        string           `json:"message,omitempty"`
	Note           string           `json:"note,omitempty"`
	InvolvedObject objectReference  `json:"involvedObject,omitzero"`
	Regarding      *objectReference `json:"regarding,omitempty"`
}

// networkTrouble is how the kernel, Go's net package and the kubelet say that
// packets did not come back.
var networkTrouble = regexp.MustCompile(`(?i)time(d )?-?out|deadline exceeded|connection (refused|reset)|no route to host|unreachable|dial (tcp|udp)|FailedCreatePodSandBox|failed to set ?up (network|sandbox)|no such host`)

// reduce keeps warnings that name a network failure or concern a Flux object.
func (o *event) reduce() (bool, error) {
	o.keepNothing()
	if o.Regarding != nil {
		o.InvolvedObject, o.Regarding = *o.Regarding, nil
	}
	if o.Note != "" {
		o.Message, o.Note = o.Note, ""
	}
	flux := strings.Contains(o.InvolvedObject.APIVersion, "toolkit.fluxcd.io")
	if o.Type != "Warning" || !flux && !networkTrouble.MatchString(o.Reason+" "+o.Message) {
		return false, nil
	}
	o.APIVersion = "v1"
	o.Message = scrub(o.Message)
	return true, nil
}

func (o *event) fill(b *builder) {
	ref := o.InvolvedObject
	name := ref.Name
	if ref.Namespace != "" {
		name = ref.Namespace + "/" + name
	}
	b.events[o.key()] = snapshot.Event{
		Object:  strings.TrimSpace(ref.Kind + " " + name),
		Reason:  o.Reason,
		Message: o.Message,
		Source:  o.source(),
	}
}
