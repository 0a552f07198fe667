package deploy

import (
	"crypto/rand"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Object is an object of the probes.
type Object interface {
	metav1.Object
	runtime.Object
}

// Objects are all that the probes need but the shared key and the members, in
// the order in which they are to be made.
func Objects(o Options) []Object {
	o = o.withDefaults()
	out := []Object{
		namespace(o, o.Namespace, "restricted"),
		networkPolicy(o), service(o),
		openDaemonSet(o), guardedDaemonSet(o),
	}
	if o.Host {
		out = append(out, namespace(o, HostNamespace(o.Namespace), "privileged"), hostDaemonSet(o))
	}
	return out
}

func (o Options) meta(namespace, name, target string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: o.labels(target), Annotations: o.annotations()}
}

func namespace(o Options, name, level string) *corev1.Namespace {
	n := &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: o.meta("", name, ""),
	}
	n.Labels["pod-security.kubernetes.io/enforce"] = level
	return n
}

// networkPolicy admits the namespace's own pods to the guarded targets and
// nobody else, as the policy does that Flux installs for its controllers. At the
// Service's ports it admits everybody.
func networkPolicy(o Options) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: o.meta(o.Namespace, GuardedName, ""),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selector(v1alpha1.TargetGuarded)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}},
				{Ports: []networkingv1.NetworkPolicyPort{
					policyPort(corev1.ProtocolTCP, BackendEchoPort), policyPort(corev1.ProtocolUDP, BackendEchoPort),
					policyPort(corev1.ProtocolTCP, BackendHTTPPort),
				}},
			},
		},
	}
}

func policyPort(protocol corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	port := intstr.FromInt32(number)
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port}
}

// service leads to the guarded targets, which ask no Service themselves: a pod that is
// led back to itself is lost over IPv6 before Cilium 1.19.

func service(o Options) *corev1.Service {
	dual := corev1.IPFamilyPolicyPreferDualStack
	port := func(name string, protocol corev1.Protocol, number, target int32) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: protocol, Port: number, TargetPort: intstr.FromInt32(target)}
	}
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: o.meta(o.Namespace, Name, ""),
		Spec: corev1.ServiceSpec{
			Selector:                 selector(v1alpha1.TargetGuarded),
			IPFamilyPolicy:           &dual,
			PublishNotReadyAddresses: true,
			Ports: []corev1.ServicePort{
				port("tcp", corev1.ProtocolTCP, EchoPort, BackendEchoPort),
				port("udp", corev1.ProtocolUDP, EchoPort, BackendEchoPort),
				port("http", corev1.ProtocolTCP, HTTPPort, BackendHTTPPort),
			},
		},
	}
}

// NewKey makes the Secret with a shared key of 32 random bytes.
func NewKey(o Options, namespace string) *corev1.Secret {
	key := make([]byte, 32)
	rand.Read(key)
	return keySecret(o, namespace, key)
}

func keySecret(o Options, namespace string, key []byte) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: o.meta(namespace, KeyName, ""),
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{KeyKey: key},
	}
}

func selector(target string) map[string]string {
	return map[string]string{LabelName: Name, LabelTarget: target}
}
