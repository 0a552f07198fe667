package observe

import (
	"encoding/json"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// item is one Kubernetes object reduced to what a snapshot reads of it.
type item interface {
	head() *header
	// reduce drops what is not used, and reports whether anything is left
	// that a snapshot needs. An error names a value that cannot be right.
	reduce() (needed bool, err error)
	// fill hands the facts of a reduced object to the builder.
	fill(b *builder)
}

type header struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   metadata `json:"metadata"`
}

type metadata struct {
	Name              string            `json:"name"`
	Namespace         string            `json:"namespace,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	CreationTimestamp time.Time         `json:"creationTimestamp,omitzero"`
	Generation        int64             `json:"generation,omitempty"`
	ManagedFields     []managedField    `json:"managedFields,omitempty"`
}

type managedField struct {
	Manager  string                     `json:"manager,omitempty"`
	Time     time.Time                  `json:"time,omitzero"`
	FieldsV1 map[string]json.RawMessage `json:"fieldsV1,omitempty"`
}

func (h *header) head() *header { return h }

// source is how facts name the object: "Node node-2", "ConfigMap kube-system/cilium-config".
func (h *header) source() string {
	return h.Kind + " " + h.key()
}

func (h *header) key() string {
	if h.Metadata.Namespace == "" {
		return h.Metadata.Name
	}
	return h.Metadata.Namespace + "/" + h.Metadata.Name
}

// keepNothing drops all of the metadata but name and namespace; annotations
// named in keep stay.
func (h *header) keepNothing(keep ...string) {
	kept := map[string]string{}
	for _, k := range keep {
		if v, ok := h.Metadata.Annotations[k]; ok {
			kept[k] = v
		}
	}
	h.Metadata = metadata{Name: h.Metadata.Name, Namespace: h.Metadata.Namespace}
	if len(kept) > 0 {
		h.Metadata.Annotations = kept
	}
}

// keepLabels drops all of the metadata but name, namespace, labels and the
// named annotations.
func (h *header) keepLabels(annotations ...string) {
	labels := h.Metadata.Labels
	h.keepNothing(annotations...)
	h.Metadata.Labels = labels
}

// typeName is what tells kinds apart: group and kind, the version left out.
type typeName struct{ group, kind string }

func nameOf(apiVersion, kind string) typeName {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		group = ""
	}
	return typeName{group, kind}
}

const (
	groupCilium     = "cilium.io"
	groupNetworking = "networking.k8s.io"
	groupKustomize  = "kustomize.toolkit.fluxcd.io"
	groupHelm       = "helm.toolkit.fluxcd.io"
	groupSource     = "source.toolkit.fluxcd.io"
	groupRemediate  = "remediate.dev"
)

// newItem makes an empty object of a kind that snapshots are made of; nil for
// every other kind, Secret among them.
func newItem(t typeName) item {
	switch t {
	case typeName{"", "Node"}:
		return &nodeObject{}
	case typeName{"", "Pod"}:
		return &podObject{}
	case typeName{"", "Namespace"}:
		return &namespaceObject{}
	case typeName{"", "Service"}:
		return &serviceObject{}
	case typeName{"discovery.k8s.io", "EndpointSlice"}:
		return &endpointSlice{}
	case typeName{"", "ConfigMap"}:
		return &configMap{}
	case typeName{"apps", "DaemonSet"}:
		return &daemonSet{}
	case typeName{"apps", "Deployment"}:
		return &deployment{}
	case typeName{groupNetworking, "NetworkPolicy"}:
		return &networkPolicy{}
	case typeName{groupNetworking, "ServiceCIDR"}:
		return &serviceCIDR{}
	case typeName{"", "Event"}, typeName{"events.k8s.io", "Event"}:
		return &event{}
	case typeName{groupRemediate, "ProbeReport"}:
		return &probeReport{}
	case typeName{groupHelm, "HelmRelease"}, typeName{groupKustomize, "Kustomization"},
		typeName{groupSource, "GitRepository"}, typeName{groupSource, "OCIRepository"}, typeName{groupSource, "HelmRepository"}:
		return &fluxObject{}
	}
	if t.group == groupCilium {
		return newCiliumItem(t.kind)
	}
	return nil
}

func newCiliumItem(kind string) item {
	switch kind {
	case "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy":
		return &ciliumPolicy{}
	case "CiliumNode":
		return &ciliumNode{}
	case "CiliumEndpoint":
		return &ciliumEndpoint{}
	case "CiliumIdentity":
		return &ciliumIdentity{}
	case "CiliumNodeConfig":
		return &ciliumNodeConfig{}
	case "CiliumPodIPPool":
		return &podIPPool{}
	}
	if strings.HasPrefix(kind, "CiliumBGP") {
		return &bgpObject{}
	}
	return nil
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// readyOnly keeps the Ready condition.
func readyOnly(cs []condition) []condition {
	for _, c := range cs {
		if c.Type == "Ready" {
			return []condition{c}
		}
	}
	return nil
}

// networkPolicy is decoded in full: the policy model reads all of its spec.
type networkPolicy struct {
	header
	Spec networkingv1.NetworkPolicySpec `json:"spec"`
}

// ciliumPolicy keeps its rules undecoded.
type ciliumPolicy struct {
	header
	Spec  json.RawMessage   `json:"spec,omitempty"`
	Specs []json.RawMessage `json:"specs,omitempty"`
}

// bgpObject counts by being there.
type bgpObject struct{ header }

func (o *bgpObject) reduce() (bool, error) {
	o.keepNothing()
	return true, nil
}

func (o *bgpObject) fill(b *builder) { b.hasBGP = true }
