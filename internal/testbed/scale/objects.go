package scale

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remediate-dev/remediate/detect/collect"
	"github.com/remediate-dev/remediate/detect/deploy"
)

// Size of a cluster. Each node has an agent, two probes, and other pods, each with a
// CiliumEndpoint.
type Size struct{ Nodes, Pods int }

// fill writes a cluster into its store, beside what is there already.
func (z Size) fill(url string, kubelet int32) error {
	s := &store{url: url}
	for n := range z.Nodes {
		node := node{number: n, kubelet: kubelet}
		s.add("minions/"+node.name(), node.object())
		s.add("cilium.io/ciliumnodes/"+node.name(), node.cilium())
		for p := n; p < z.Pods; p += z.Nodes {
			pod := node.pod(p / z.Nodes)
			s.add("pods/"+pod.Namespace+"/"+pod.Name, pod)
			if !pod.Spec.HostNetwork {
				s.add("cilium.io/ciliumendpoints/"+pod.Namespace+"/"+pod.Name, endpoint(pod))
			}
		}
	}
	return s.flush()
}

// node is one of the cluster's; its ranges are out of those that the bundled incident
// has.
type node struct {
	number  int
	kubelet int32
}

func (n node) name() string { return fmt.Sprintf("worker-%d", n.number) }

// subnet is the node's own part of the pods' range, past those of the incident.
func (n node) subnet() string { return fmt.Sprintf("fd00:101:225:%x::", n.number) }

func (n node) ip() string { return fmt.Sprintf("fd00:101::1:%x", n.number) }

// metaOf is as a server completes it, with the record of who manages what.
func metaOf(kind, namespace, name string, labels map[string]string) metav1.ObjectMeta {
	made := metav1.NewTime(time.Date(2026, 2, 20, 3, 4, 5, 0, time.UTC))
	fields := `{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{},"f:image":{},"f:name":{},"f:resources":{}}}},"f:status":{"f:conditions":{},"f:podIPs":{}}}`
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(fmt.Sprintf("%s/%s/%s", kind, namespace, name)), CreationTimestamp: made, Labels: labels,
		Annotations: map[string]string{"example.com/owner": "the team that looks after " + name},
		ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: "kubelet", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &made,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields),
		}},
	}
}

// object is the Node, with as many images as the kubelet tells of by default (50).
func (n node) object() *corev1.Node {
	o := &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metaOf("node", "", n.name(), map[string]string{
		corev1.LabelHostname: n.name(), corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", n.number%3), corev1.LabelInstanceTypeStable: "m5.2xlarge",
	})}
	o.Spec.PodCIDR = n.subnet() + "/64"
	o.Spec.PodCIDRs = []string{o.Spec.PodCIDR}
	s := &o.Status
	s.NodeInfo.KubeletVersion = "v1.32.3"
	s.DaemonEndpoints.KubeletEndpoint.Port = n.kubelet
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "127.0.0.1"}, {Type: corev1.NodeInternalIP, Address: n.ip()}}
	s.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110")}
	s.Allocatable = s.Capacity
	for _, t := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		s.Conditions = append(s.Conditions, corev1.NodeCondition{Type: t, Status: corev1.ConditionFalse, Reason: "KubeletHasEnough", Message: "kubelet has enough of it"})
	}
	s.Conditions = append(s.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"})
	for i := range 50 {
		s.Images = append(s.Images, corev1.ContainerImage{SizeBytes: 1 << 26, Names: []string{
			fmt.Sprintf("registry.example.com/team-%d/app@sha256:%064d", i, i), fmt.Sprintf("registry.example.com/team-%d/app:v1.%d", i, i)}})
	}
	return o
}

// cilium is the CiliumNode.
func (n node) cilium() any {
	return map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": metaOf("ciliumnode", "", n.name(), nil),
		"spec": map[string]any{
			"addresses": []any{
				map[string]any{"ip": n.ip(), "type": "InternalIP"},
				map[string]any{"ip": n.subnet() + "1", "type": "CiliumInternalIP"},
			},
			"ipam": map[string]any{"podCIDRs": []any{n.subnet() + "/64"}},
		},
	}
}

// pod is the node's p-th: the agent, the probes, then others of ten namespaces.
func (n node) pod(p int) *corev1.Pod {
	namespace, name, labels := fmt.Sprintf("team-%d", p%10), fmt.Sprintf("app-%d-%d", p, n.number), map[string]string{"app.kubernetes.io/name": fmt.Sprintf("app-%d", p), "pod-template-hash": "6dc6f8d96c"}
	container, owner := "app", "ReplicaSet"
	switch p {
	case 0:
		namespace, name, container, owner = "kube-system", fmt.Sprintf("cilium-%d", n.number), "cilium-agent", "DaemonSet"
		labels = map[string]string{"k8s-app": "cilium", "app.kubernetes.io/name": "cilium-agent"}
	case 1, 2:
		target := []string{"open", "guarded"}[p-1]
		namespace, name, container, owner = deploy.Name, fmt.Sprintf("%s-%s-%d", deploy.Name, target, n.number), deploy.ContainerName, "DaemonSet"
		labels = map[string]string{"app.kubernetes.io/name": deploy.Name, collect.LabelTarget: target}
	}
	o := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metaOf("pod", namespace, name, labels)}
	yes := true
	o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: owner, Name: labels["app.kubernetes.io/name"], UID: "1", Controller: &yes}}
	n.spec(o, container)
	n.status(o, fmt.Sprintf("%s%x", n.subnet(), 16+p))
	return o
}

// spec is about as long as that of an ordinary pod.
func (n node) spec(o *corev1.Pod, container string) {
	s := &o.Spec
	s.NodeName, s.HostNetwork = n.name(), container == "cilium-agent"
	s.ServiceAccountName, s.RestartPolicy, s.DNSPolicy = "default", corev1.RestartPolicyAlways, corev1.DNSClusterFirst
	c := corev1.Container{Name: container, Image: "registry.example.com/" + container + ":v1.18.6", Args: []string{"--listen=:8080", "--log-level=info", "--config=/etc/app/config.yaml"},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}}}
	for i := range 8 {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: fmt.Sprintf("the value of setting %d", i)})
	}
	for _, v := range []string{"config", "data", "tmp"} {
		s.Volumes = append(s.Volumes, corev1.Volume{Name: v, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v, MountPath: "/var/lib/" + v})
	}
	s.Containers = []corev1.Container{c}
}

func (n node) status(o *corev1.Pod, ip string) {
	if o.Spec.HostNetwork {
		ip = n.ip()
	}
	started := o.CreationTimestamp
	s := &o.Status
	s.Phase, s.HostIP, s.PodIP, s.PodIPs, s.StartTime = corev1.PodRunning, n.ip(), ip, []corev1.PodIP{{IP: ip}}, &started
	for _, t := range []corev1.PodConditionType{corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: started})
	}
	c := o.Spec.Containers[0]
	s.ContainerStatuses = []corev1.ContainerStatus{{Name: c.Name, Image: c.Image, ImageID: fmt.Sprintf("registry.example.com/app@sha256:%064d", 7), Ready: true,
		ContainerID: fmt.Sprintf("containerd://%064d", 9), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}}}
}

// endpoint is the CiliumEndpoint of a pod.
func endpoint(o *corev1.Pod) any {
	var labels []any
	for _, l := range []string{"k8s:app.kubernetes.io/name=" + o.Labels["app.kubernetes.io/name"], "k8s:io.cilium.k8s.policy.cluster=default",
		"k8s:io.cilium.k8s.policy.serviceaccount=default", "k8s:io.kubernetes.pod.namespace=" + o.Namespace} {
		labels = append(labels, l)
	}
	return map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumEndpoint", "metadata": metaOf("endpoint", o.Namespace, o.Name, o.Labels),
		"status": map[string]any{
			"id": 1234, "state": "ready", "encryption": map[string]any{},
			"external-identifiers": map[string]any{"container-id": fmt.Sprintf("%064d", 9), "k8s-namespace": o.Namespace, "k8s-pod-name": o.Name, "pod-name": o.Namespace + "/" + o.Name},
			"identity":             map[string]any{"id": 10_000 + len(o.Labels), "labels": labels},
			"networking":           map[string]any{"addressing": []any{map[string]any{"ipv6": o.Status.PodIP}}, "node": o.Status.HostIP},
		},
	}
}
