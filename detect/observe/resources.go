package observe

// resource is a kind to list from an API server. Versions are tried in order;
// the first that the server has is used.
type resource struct {
	group    string
	versions []string
	plural   string
	kind     string
	// only narrows the list by selectors that the server applies.
	only []selector
}

// selector is one list request of a resource: in one namespace or all, narrowed
// by fields or labels.
type selector struct {
	namespace string
	fields    string
	labels    string
}

// resources are all that is ever asked of an API server. Secrets are not among
// them. ConfigMaps are asked for by name, so that no other one is transferred,
// and so that a role may name them (resourceNames).
func resources(ciliumNamespace string) []resource {
	v1 := []string{"v1"}
	cilium := []string{"v2", "v2alpha1"}
	configMaps := []selector{
		{namespace: ciliumNamespace, fields: "metadata.name=" + agentConfigName},
		{namespace: ciliumNamespace, fields: "metadata.name=" + masqAgentName},
		{namespace: "kube-system", fields: "metadata.name=" + kubeadmConfigName},
	}
	return []resource{
		{"", v1, "nodes", "Node", nil},
		{"", v1, "namespaces", "Namespace", nil},
		{"", v1, "pods", "Pod", nil},
		{"", v1, "services", "Service", nil},
		{"discovery.k8s.io", v1, "endpointslices", "EndpointSlice", nil},
		{"", v1, "configmaps", "ConfigMap", configMaps},
		{"apps", v1, "daemonsets", "DaemonSet", []selector{{namespace: ciliumNamespace, fields: "metadata.name=cilium"}}},
		{"apps", v1, "deployments", "Deployment", []selector{{namespace: ciliumNamespace, fields: "metadata.name=cilium-operator"}}},
		{groupNetworking, v1, "networkpolicies", "NetworkPolicy", nil},
		{groupNetworking, []string{"v1", "v1beta1", "v1alpha1"}, "servicecidrs", "ServiceCIDR", nil},
		{"", v1, "events", "Event", []selector{{fields: "type=Warning"}}},
		{groupCilium, cilium, "ciliumnetworkpolicies", "CiliumNetworkPolicy", nil},
		{groupCilium, cilium, "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", nil},
		{groupCilium, cilium, "ciliumnodes", "CiliumNode", nil},
		{groupCilium, cilium, "ciliumendpoints", "CiliumEndpoint", nil},
		{groupCilium, cilium, "ciliumidentities", "CiliumIdentity", nil},
		{groupCilium, cilium, "ciliumnodeconfigs", "CiliumNodeConfig", nil},
		{groupCilium, cilium, "ciliumpodippools", "CiliumPodIPPool", nil},
		{groupCilium, cilium, "ciliumbgpclusterconfigs", "CiliumBGPClusterConfig", nil},
		{groupCilium, cilium, "ciliumbgppeeringpolicies", "CiliumBGPPeeringPolicy", nil},
		{groupHelm, []string{"v2", "v2beta2"}, "helmreleases", "HelmRelease", nil},
		{groupKustomize, []string{"v1", "v1beta2"}, "kustomizations", "Kustomization", nil},
		{groupSource, []string{"v1", "v1beta2"}, "gitrepositories", "GitRepository", nil},
		{groupSource, []string{"v1", "v1beta2"}, "ocirepositories", "OCIRepository", nil},
		{groupSource, []string{"v1", "v1beta2"}, "helmrepositories", "HelmRepository", nil},
		{groupRemediate, []string{"v1alpha1"}, "probereports", "ProbeReport", nil},
	}
}

// selectors are the list requests of a resource; without any narrowing one for
// all namespaces.
func (r resource) selectors() []selector {
	if len(r.only) == 0 {
		return []selector{{}}
	}
	return r.only
}

// path is the URL path of a list.
func (r resource) path(version string, s selector) string {
	base := "/apis/" + r.group + "/" + version
	if r.group == "" {
		base = "/api/" + version
	}
	if s.namespace != "" {
		base += "/namespaces/" + s.namespace
	}
	return base + "/" + r.plural
}

func (r resource) apiVersion(version string) string {
	if r.group == "" {
		return version
	}
	return r.group + "/" + version
}
