package deploy

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Where a probe finds what the kubelet brings it.
const (
	MembersDir = "/etc/remediate-probe/members"
	KeyDir     = "/etc/remediate-probe/key"
)

// user is the number that the image runs as, and group likewise.
const user = 65532

func openDaemonSet(o Options) *appsv1.DaemonSet {
	return daemonSet(o, o.Namespace, Name, v1alpha1.TargetOpen)
}

func guardedDaemonSet(o Options) *appsv1.DaemonSet {
	d := daemonSet(o, o.Namespace, GuardedName, v1alpha1.TargetGuarded)
	c := &d.Spec.Template.Spec.Containers[0]
	c.Ports = append(c.Ports, ports("backend-", BackendEchoPort, BackendHTTPPort)...)
	return d
}

func hostDaemonSet(o Options) *appsv1.DaemonSet {
	d := daemonSet(o, HostNamespace(o.Namespace), HostName, TargetHost)
	spec := &d.Spec.Template.Spec
	spec.HostNetwork = true
	// Sysctls of the node's own network are not a pod's to set.
	spec.SecurityContext.Sysctls = nil
	return d
}

func daemonSet(o Options, namespace, name, target string) *appsv1.DaemonSet {
	few := intstr.FromString("10%")
	return &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: o.meta(namespace, name, target),
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector(target)},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &few},
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: o.labels(target)},
				Spec:       podSpec(o, target),
			},
		},
	}
}

// podSpec fits PodSecurity's level restricted, but for the host twin's network.
func podSpec(o Options, target string) corev1.PodSpec {
	no, yes, id, grace := false, true, int64(user), int64(2)
	return corev1.PodSpec{
		AutomountServiceAccountToken:  &no,
		EnableServiceLinks:            &no,
		TerminationGracePeriodSeconds: &grace,
		// Nothing that a probe does needs a name resolved for it.
		DNSPolicy:         corev1.DNSDefault,
		NodeSelector:      map[string]string{corev1.LabelOSStable: "linux"},
		Tolerations:       []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		PriorityClassName: o.PriorityClass,
		ImagePullSecrets:  pullSecrets(o.PullSecrets),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &id, RunAsGroup: &id, FSGroup: &id,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			// ICMP without NET_RAW, one of the sysctls that PodSecurity calls safe.
			Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ping_group_range", Value: fmt.Sprintf("%d %d", user, user)}},
		},
		Containers: []corev1.Container{container(o, target)},
		Volumes:    []corev1.Volume{membersVolume(), keyVolume()},
	}
}

func pullSecrets(names []string) []corev1.LocalObjectReference {
	var out []corev1.LocalObjectReference
	for _, n := range names {
		out = append(out, corev1.LocalObjectReference{Name: n})
	}
	return out
}

func container(o Options, target string) corev1.Container {
	no, yes := false, true
	return corev1.Container{
		Name:  ContainerName,
		Image: o.Image,
		Args:  probeArgs(target),
		Env: []corev1.EnvVar{
			fieldEnv("NODE_NAME", "spec.nodeName"), fieldEnv("POD_NAME", "metadata.name"),
			fieldEnv("POD_NAMESPACE", "metadata.namespace"), fieldEnv("POD_IPS", "status.podIPs"),
		},
		Ports:     ports("", EchoPort, HTTPPort),
		Resources: o.Resources,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "members", MountPath: MembersDir, ReadOnly: true},
			{Name: "key", MountPath: KeyDir, ReadOnly: true},
		},
	}
}

func ports(prefix string, echo, http int32) []corev1.ContainerPort {
	return []corev1.ContainerPort{
		{Name: prefix + "tcp", Protocol: corev1.ProtocolTCP, ContainerPort: echo},
		{Name: prefix + "udp", Protocol: corev1.ProtocolUDP, ContainerPort: echo},
		{Name: prefix + "http", Protocol: corev1.ProtocolTCP, ContainerPort: http},
	}
}

func probeArgs(target string) []string {
	return []string{"--target=" + target, "--members=" + MembersDir, "--key=" + KeyDir + "/" + KeyKey}
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

// maxMembers is the most ConfigMaps that the members are spread over.
const maxMembers = 4

// membersVolume joins the ConfigMaps of the members. Each is optional: pods must
// start before anybody can know their addresses.
func membersVolume() corev1.Volume {
	yes := true
	var sources []corev1.VolumeProjection
	for i := range maxMembers {
		sources = append(sources, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: membersName(i)}, Optional: &yes,
		}})
	}
	return corev1.Volume{Name: "members", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}
}

// membersName is the name of the i-th ConfigMap of the members.
func membersName(i int) string {
	if i == 0 {
		return MembersName
	}
	return MembersName + "-" + strconv.Itoa(i)
}

func keyVolume() corev1.Volume {
	mode := int32(0o440)
	return corev1.Volume{Name: "key", VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: KeyName, DefaultMode: &mode},
	}}
}
