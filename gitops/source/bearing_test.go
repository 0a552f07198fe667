package source

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

func TestKindOfName(t *testing.T) {
	for kind, names := range map[StatedKind][]string{
		PodPool:     {"POD_CIDR", "CLUSTER_POD_CIDR_V6", "podSubnet", "K8S_POD_CIDR", "CLUSTER_CIDR", "KUBE_CLUSTER_CIDR_IPV6", "clusterCidr", "CILIUM_PODS_CIDR"},
		ServiceCIDR: {"SVC_CIDR", "CLUSTER_SERVICE_CIDR", "serviceSubnets"},
		NodeCIDR:    {"NODE_CIDR", "nodeSubnet"},
		"": {"CEPH_CLUSTER_CIDR", "STORAGE_CLUSTER_CIDR", "CEPH_POD_CIDR", "LB_SERVICE_CIDR", "SERVICE_LB_CIDR", "CLUSTER_LB_CIDR", "BGP_NODE_CIDR", "VPN_POD_CIDR",
			"DATABASE_CLUSTER_CIDR", "CLUSTER_SUBNET", "HOME_CIDR", "POD_NAME", "PODMAN_CIDR", "POD_SERVICE_CIDR", "NODE_POD_CIDR", "CIDR", ""},
	} {
		for _, n := range names {
			if got := kindOfName(n); got != kind {
				t.Errorf("%s: %q, want %q", n, got, kind)
			}
		}
	}
}

const bearingRepo = `
-- clusters/lab/ks.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: infra, namespace: flux-system}
spec:
  path: ./infra
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild:
    substitute:
      INLINE_POD_CIDR: 10.1.0.0/16
    substituteFrom:
      - {kind: ConfigMap, name: cluster-settings}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: other, namespace: flux-system}
spec:
  path: ./other
  sourceRef: {kind: GitRepository, name: flux-system}
  postBuild:
    substitute:
      POD_CIDR: 10.9.0.0/16
-- clusters/lab/settings.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-settings, namespace: flux-system}
data:
  POD_CIDR: 10.2.0.0/16
  OTHER_POD_CIDR: 10.3.0.0/16
  SVC_CIDR: 10.4.0.0/16
-- clusters/lab/unread.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: unread, namespace: flux-system}
data:
  POD_CIDR: 10.5.0.0/16
-- other/cluster.yaml --
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: lab}
spec: {clusterNetwork: {pods: {cidrBlocks: [10.6.0.0/16]}}}
-- bootstrap/cluster.yaml --
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: sample}
spec: {clusterNetwork: {pods: {cidrBlocks: [10.7.0.0/16]}}}
-- bootstrap/template.yaml --
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: "${CLUSTER_NAME}"}
spec: {clusterNetwork: {pods: {cidrBlocks: [10.8.0.0/16]}}}
-- talos/talconfig.yaml --
clusterPodNets: [10.10.0.0/16]
-- infra/cilium.yaml --
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cilium, namespace: kube-system}
spec:
  chart: {spec: {chart: cilium, sourceRef: {kind: HelmRepository, name: x}}}
  values:
    ipv4NativeRoutingCIDR: ${POD_CIDR:=10.0.0.0/8}
`

func TestBearing(t *testing.T) {
	root := lay(t, txtar.Parse([]byte(bearingRepo)))
	r, err := Find(context.Background(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := Stated(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := map[Bearing]string{BearingNone: "none", BearingNear: "near", BearingRead: "read", BearingCluster: "cluster"}
	var got []string
	for _, f := range facts {
		file, _, _ := strings.Cut(f.Source, ":")
		got = append(got, fmt.Sprintf("%s %s %s", f.Value, file, names[r.Bearing(f)]))
	}
	slices.Sort(got)
	want := []string{
		"10.1.0.0/16 clusters/lab/ks.yaml near",
		"10.10.0.0/16 talos/talconfig.yaml cluster",
		"10.2.0.0/16 clusters/lab/settings.yaml read",
		"10.3.0.0/16 clusters/lab/settings.yaml near",
		"10.4.0.0/16 clusters/lab/settings.yaml near",
		"10.5.0.0/16 clusters/lab/unread.yaml none",
		"10.6.0.0/16 other/cluster.yaml cluster",
		"10.7.0.0/16 bootstrap/cluster.yaml none",
		"10.9.0.0/16 clusters/lab/ks.yaml none",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBearingOfTwoClusters(t *testing.T) {
	root := t.TempDir()
	for _, c := range []string{"main", "edge"} {
		put(t, root, "kubernetes/"+c+"/flux/ks.yaml", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\n"+
			"spec: {path: ./kubernetes/"+c+"/apps, sourceRef: {kind: GitRepository, name: flux-system}}\n")
		put(t, root, "kubernetes/"+c+"/apps/cilium.yaml", plain)
	}
	all, err := List(context.Background(), Options{Root: root})
	if err != nil || len(all) != 2 {
		t.Fatalf("%d releases, %v", len(all), err)
	}
	for _, r := range all {
		for file, of := range map[string]string{"talos/main/cp.yaml": "main", "kubernetes/edge/talos/cp.yaml": "edge", "talos/cp.yaml": "", "talos/third/cp.yaml": ""} {
			want := BearingNone
			if of == "" || strings.Contains(r.ClusterPath(), of) {
				want = BearingCluster
			}
			if got := r.Bearing(StatedFact{Kind: PodPool, Value: "10.0.0.0/8", Source: file + ":1", From: "talhelper"}); got != want {
				t.Errorf("%s for %s: %v, want %v", file, r.ClusterPath(), got, want)
			}
		}
	}
}
