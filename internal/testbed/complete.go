package testbed

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type object = map[string]any

// madeUpTime stands where a schema wants a time that a snapshot does not read.
const madeUpTime = "2026-02-12T10:00:00Z"

// complete adds to an object of a snapshot what the server's schemas and
// validation insist on. What the object says is never changed, but for the
// revision of a HelmRelease, which version v2 keeps in another place.
func complete(o *unstructured.Unstructured) *unstructured.Unstructured {
	o = o.DeepCopy()
	switch o.GetKind() {
	case "Pod":
		completePod(within(o.Object, "spec"))
	case "DaemonSet", "Deployment":
		completeWorkload(o)
	case "Service":
		completeService(within(o.Object, "spec"))
	case "ConfigMap":
		completeManagers(o)
	case "CiliumBGPClusterConfig":
		fill(within(o.Object, "spec"), object{"bgpInstances": []any{object{"name": "main", "localASN": int64(64512)}}})
	case "Kustomization":
		fill(within(o.Object, "spec"), object{
			"interval": "10m", "prune": true, "sourceRef": object{"kind": "GitRepository", "name": "flux-system"},
		})
	case "HelmRelease":
		completeRelease(o)
	case "GitRepository", "OCIRepository", "HelmRepository":
		completeSource(o)
	}
	completeConditions(o)
	return o
}

// within is the mapping below a key; it is made when it is not there.
func within(o object, key string) object {
	if m, ok := o[key].(object); ok {
		return m
	}
	m := object{}
	o[key] = m
	return m
}

// fill sets the keys that are absent.
func fill(o, defaults object) {
	for k, v := range defaults {
		if _, ok := o[k]; !ok {
			o[k] = v
		}
	}
}

// each hands out the mappings of a list.
func each(list any, do func(object)) {
	items, ok := list.([]any)
	if !ok {
		return
	}
	for _, item := range items {
		if m, ok := item.(object); ok {
			do(m)
		}
	}
}

func completePod(spec object) {
	fill(spec, object{"containers": []any{object{"name": "app"}}})
	each(spec["containers"], func(c object) { fill(c, object{"image": "registry.example.com/app:1"}) })
}

// completeWorkload: a Deployment's status must add up.
func completeWorkload(o *unstructured.Unstructured) {
	spec := within(o.Object, "spec")
	labels := object{"k8s-app": o.GetName()}
	fill(spec, object{"selector": object{"matchLabels": labels}})
	template := within(spec, "template")
	fill(within(template, "metadata"), object{"labels": labels})
	completePod(within(template, "spec"))
	status := within(o.Object, "status")
	if o.GetKind() == "DaemonSet" {
		fill(status, object{"currentNumberScheduled": int64(0), "numberMisscheduled": int64(0), "numberReady": int64(0)})
		return
	}
	if available, ok := status["availableReplicas"]; ok {
		fill(status, object{"replicas": available, "readyReplicas": available})
	}
}

func completeService(spec object) {
	if ips, ok := spec["clusterIPs"].([]any); ok && len(ips) > 0 {
		fill(spec, object{"clusterIP": ips[0]})
	}
}

func completeManagers(o *unstructured.Unstructured) {
	each(within(o.Object, "metadata")["managedFields"], func(m object) {
		fill(m, object{"operation": "Update", "apiVersion": o.GetAPIVersion(), "fieldsType": "FieldsV1"})
	})
}

func completeRelease(o *unstructured.Unstructured) {
	fill(within(o.Object, "spec"), object{
		"interval": "10m", "chartRef": object{"kind": "OCIRepository", "name": o.GetName()},
	})
	status := within(o.Object, "status")
	version, ok := status["lastAppliedRevision"]
	if !ok {
		return
	}
	delete(status, "lastAppliedRevision")
	fill(status, object{"history": []any{object{
		"chartName": o.GetName(), "chartVersion": version, "name": o.GetName(), "namespace": o.GetNamespace(),
		"version": int64(1), "status": "deployed", "configDigest": "sha256:00", "digest": "sha256:00",
		"firstDeployed": madeUpTime, "lastDeployed": madeUpTime,
	}}})
}

func completeSource(o *unstructured.Unstructured) {
	fill(within(o.Object, "spec"), object{"interval": "10m"})
	status := within(o.Object, "status")
	if artifact, ok := status["artifact"].(object); ok {
		fill(artifact, object{
			"digest": "sha256:00", "lastUpdateTime": madeUpTime, "path": "latest.tar.gz",
			"url": "http://source-controller.flux-system.svc.cluster.local./latest.tar.gz",
		})
	}
}

func completeConditions(o *unstructured.Unstructured) {
	if status, ok := o.Object["status"].(object); ok {
		each(status["conditions"], func(c object) { fill(c, object{"lastTransitionTime": madeUpTime}) })
	}
}
