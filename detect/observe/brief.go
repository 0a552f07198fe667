package observe

import "slices"

// brief narrows resources to what does not grow with the workloads: nodes, policies
// and Cilium's own configuration and pods. Everything else stays unknown.
func brief(all []resource, ciliumNamespace string) []resource {
	leave := []string{"Namespace", "Service", "EndpointSlice", "Event", "CiliumEndpoint", "CiliumIdentity",
		"HelmRelease", "Kustomization", "GitRepository", "OCIRepository", "HelmRepository", "ProbeReport"}
	out := slices.DeleteFunc(all, func(r resource) bool { return slices.Contains(leave, r.kind) })
	for i := range out {
		if out[i].kind == podKind {
			out[i].only = []selector{
				{namespace: ciliumNamespace, labels: "k8s-app=cilium"},
				{namespace: "kube-system", labels: "component in (kube-controller-manager,kube-apiserver)"},
				{namespace: "kube-system", labels: "k8s-app in (kube-controller-manager,kube-apiserver)"},
			}
		}
	}
	return out
}

// podKind is the kind of which a brief look reads a few objects only.
const podKind = "Pod"
