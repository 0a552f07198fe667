// Package deploy brings the probes onto a cluster and takes them away again: it
// builds their objects, applies them, says how far they have come and why they do
// not start, tells them who takes part, and removes what it made.
//
// A probe has no credentials of the cluster's. What it must know reaches it by the
// kubelet: the members from a ConfigMap, the shared key from a Secret. That needs
// neither the pod network nor a Service nor cluster DNS.
//
// Objects of a run that is to end carry the run's id as label [LabelRun]; those of
// an installation do not have it, and nothing here ever removes them.
package deploy

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remediate-dev/remediate/detect/mesh"
)

// Names and labels of the probes' objects.
const (
	// Name is the name of everything that belongs to the probes, and its prefix.
	Name = "remediate-probe"
	// GuardedName is the DaemonSet of the targets behind a NetworkPolicy.
	GuardedName = Name + "-guarded"
	// HostName is the DaemonSet of the twins in the nodes' own network, and the
	// suffix that it shares with its namespace is [hostSuffix].
	HostName = Name + hostSuffix
	// MembersName is the ConfigMap that says who takes part.
	MembersName = Name + "-members"
	// KeyName is the Secret with the probes' shared key, at key [KeyKey].
	KeyName = Name + "-key"
	KeyKey  = "key"
	// ContainerName is the probes' only container.
	ContainerName = "probe"

	LabelName      = "app.kubernetes.io/name"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelTarget says what kind of target a pod is: open, guarded or host.
	LabelTarget = "remediate.dev/target"
	// LabelRun is the id of the run that made the object and will remove it.
	LabelRun = "remediate.dev/run"
	// AnnotationStarted is when that run began, RFC 3339; AnnotationBy who began it.
	AnnotationStarted = "remediate.dev/started"
	AnnotationBy      = "remediate.dev/started-by"
	// AnnotationKept is on what a run made and is to leave.
	AnnotationKept = "remediate.dev/kept"

	// FieldManager owns what is applied here.
	FieldManager = "remediate"

	// TargetHost stands beside open and guarded in LabelTarget.
	TargetHost = "host"

	hostSuffix = "-host"
)

// Ports of the probes; the host twin has the same.
const (
	EchoPort = 9971 // TCP and UDP
	HTTPPort = 9972
)

// Ports at which the guarded targets answer for the Service ([mesh.BackendPort]). Its
// own are [EchoPort] and [HTTPPort].
const (
	BackendEchoPort = mesh.BackendPort
	BackendHTTPPort = mesh.BackendHTTPPort
)

// DefaultImage is what the probes run when nothing else is said.
const DefaultImage = "ghcr.io/remediate-dev/remediate-probe:latest"

// Options say what the probes are to be. The zero value of each field will do.
type Options struct {
	// Namespace of the probes; empty is [Name]. The host twins' namespace is the
	// same with "-host".
	Namespace string
	// Image of the probes; empty is [DefaultImage].
	Image string
	// Run is the id of a run that ends; empty makes an installation.
	Run string
	// Started and By are told to whoever finds what a killed run left behind.
	Started time.Time
	By      string
	// Keep: the run is to leave the probes, and later ones use them.
	Keep bool
	// Host adds the twins in the nodes' own network. Their namespace allows
	// privileged pods, as PodSecurity has no lesser level that allows hostNetwork.
	Host bool
	// PriorityClass of the pods; empty is the cluster's default.
	PriorityClass string
	// PullSecrets are Secrets in the namespace that the image is pulled with.
	PullSecrets []string
	// Resources of each container; empty is [DefaultResources].
	Resources corev1.ResourceRequirements
}

// DefaultResources are what a probe asks for. There is no limit of CPU: a probe
// that is throttled measures its own delay.
func DefaultResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("5m"),
			corev1.ResourceMemory: resource.MustParse("16Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")},
	}
}

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = Name
	}
	if o.Image == "" {
		o.Image = DefaultImage
	}
	if len(o.Resources.Requests)+len(o.Resources.Limits) == 0 {
		o.Resources = DefaultResources()
	}
	return o
}

// namespaces are those of the probes and of their twins, if there are to be any.
func (o Options) namespaces() []string {
	if o.Host {
		return []string{o.Namespace, HostNamespace(o.Namespace)}
	}
	return []string{o.Namespace}
}

// HostNamespace is where the twins of the probes of a namespace live.
func HostNamespace(namespace string) string { return namespace + hostSuffix }

func (o Options) labels(target string) map[string]string {
	l := map[string]string{LabelName: Name, LabelManagedBy: FieldManager}
	if target != "" {
		l[LabelTarget] = target
	}
	if o.Run != "" {
		l[LabelRun] = o.Run
	}
	return l
}

func (o Options) annotations() map[string]string {
	if o.Run == "" {
		return nil
	}
	a := map[string]string{}
	if !o.Started.IsZero() {
		a[AnnotationStarted] = o.Started.UTC().Format(time.RFC3339)
	}
	if o.By != "" {
		a[AnnotationBy] = o.By
	}
	if o.Keep {
		a[AnnotationKept] = "true"
	}
	return a
}
