package source

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

const statedRepo = `
-- .remediate.yaml --
facts: {podCIDRs: [fd00::/60]}
-- archive/talconfig.yaml --
clusterPodNets: [10.9.0.0/16]
-- broken.yaml --
podSubnets: [
-- ansible/kubeadm.yaml --
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
controllerManager:
  extraArgs:
    node-cidr-mask-size-ipv6: "80"
networking:
  podSubnet: 10.244.0.0/16,fd00:10:244::/56
  serviceSubnet: 10.96.0.0/12
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
controllerManager:
  extraArgs:
  - name: node-cidr-mask-size
    value: "25"
-- ansible/rke2/config.yaml --
cluster-cidr: "10.42.0.0/16,fd00:42::/56"
service-cidr: 10.43.0.0/16
kube-controller-manager-arg:
- node-cidr-mask-size-ipv4=26
- --node-cidr-mask-size-ipv6=72
- bind-address=0.0.0.0
-- capi/cluster.yaml --
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: c}
spec:
  clusterNetwork:
    pods: {cidrBlocks: [192.168.0.0/16]}
    services:
      cidrBlocks:
      - 10.128.0.0/12
-- clusters/settings.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-settings, namespace: flux-system}
data:
  CLUSTER_POD_CIDR_V6: fd00:101:224::/60
  SVC_CIDR: 10.96.0.0/12
  NODE_CIDR: 10.0.0.0/24
  LB_CIDR: 10.1.0.0/24
  POD_CIDR: see-terraform
-- clusters/ks.yaml --
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec:
  postBuild:
    substitute:
      POD_SUBNET: 10.50.0.0/16
-- talos/controlplane.yaml --
version: v1alpha1
machine:
  kubelet:
    nodeIP:
      validSubnets:
      - 10.0.0.0/24
      - "!10.0.0.5/32"
cluster:
  network:
    podSubnets: [10.244.0.0/16, "fd00:244::/56"]
    serviceSubnets:
    - 10.96.0.0/12
  controllerManager:
    extraArgs:
      node-cidr-mask-size-ipv6: "64"
-- talos/encrypted.yaml --
cluster: {network: {podSubnets: [10.77.0.0/16]}}
sops: {mac: "ENC[AES256_GCM,x]"}
-- talos/talconfig.yaml --
clusterPodNets:
  - 10.245.0.0/16
clusterSvcNets: ["${SVC}", 10.97.0.0/16]
`

func TestStated(t *testing.T) {
	got, err := Stated(lay(t, txtar.Parse([]byte(statedRepo))), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"podPool 10.244.0.0/16 ansible/kubeadm.yaml:7 kubeadm",
		"podPool fd00:10:244::/56 ansible/kubeadm.yaml:7 kubeadm",
		"serviceCIDR 10.96.0.0/12 ansible/kubeadm.yaml:8 kubeadm",
		"nodeMaskIPv6 80 ansible/kubeadm.yaml:5 kubeadm",
		"nodeMaskIPv4 25 ansible/kubeadm.yaml:14 kubeadm",
		"podPool 10.42.0.0/16 ansible/rke2/config.yaml:1 k3s/RKE2",
		"podPool fd00:42::/56 ansible/rke2/config.yaml:1 k3s/RKE2",
		"serviceCIDR 10.43.0.0/16 ansible/rke2/config.yaml:2 k3s/RKE2",
		"nodeMaskIPv4 26 ansible/rke2/config.yaml:4 k3s/RKE2",
		"nodeMaskIPv6 72 ansible/rke2/config.yaml:5 k3s/RKE2",
		"podPool 192.168.0.0/16 capi/cluster.yaml:6 Cluster API",
		"serviceCIDR 10.128.0.0/12 capi/cluster.yaml:9 Cluster API",
		"podPool 10.50.0.0/16 clusters/ks.yaml:7 variable POD_SUBNET hint",
		"podPool fd00:101:224::/60 clusters/settings.yaml:5 variable CLUSTER_POD_CIDR_V6 hint",
		"serviceCIDR 10.96.0.0/12 clusters/settings.yaml:6 variable SVC_CIDR hint",
		"nodeCIDR 10.0.0.0/24 clusters/settings.yaml:7 variable NODE_CIDR hint",
		"podPool 10.244.0.0/16 talos/controlplane.yaml:10 Talos machine config",
		"podPool fd00:244::/56 talos/controlplane.yaml:10 Talos machine config",
		"serviceCIDR 10.96.0.0/12 talos/controlplane.yaml:12 Talos machine config",
		"nodeCIDR 10.0.0.0/24 talos/controlplane.yaml:6 Talos machine config",
		"nodeMaskIPv6 64 talos/controlplane.yaml:15 Talos machine config",
		"podPool 10.245.0.0/16 talos/talconfig.yaml:2 talhelper",
		"serviceCIDR 10.97.0.0/16 talos/talconfig.yaml:3 talhelper",
	}
	if lines := statedLines(got); !reflect.DeepEqual(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func statedLines(facts []StatedFact) []string {
	var out []string
	for _, f := range facts {
		l := fmt.Sprintf("%s %s %s %s", f.Kind, f.Value, f.Source, f.From)
		if f.Hint {
			l += " hint"
		}
		out = append(out, l)
	}
	return out
}

func TestReleaseStated(t *testing.T) {
	for _, test := range []struct {
		name, values string
		want         []string
	}{
		{"kubernetes", "    ipam: {mode: kubernetes, operator: {clusterPoolIPv4PodCIDRList: [10.0.0.0/8]}}\n", nil},
		{"cluster-pool", "    ipam:\n      operator:\n        clusterPoolIPv4PodCIDRList: [10.0.0.0/8, 10.9.0.0/16]\n        clusterPoolIPv6PodCIDRList: fd00::/104\n        clusterPoolIPv6MaskSize: 120\n", []string{
			"podPool 10.0.0.0/8 a.yaml:10 Helm values", "podPool 10.9.0.0/16 a.yaml:10 Helm values",
			"podPool fd00::/104 a.yaml:11 Helm values", "nodeMaskIPv6 120 a.yaml:12 Helm values",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, "a.yaml", plain+"\n  values:\n"+test.values)
			r, err := Find(context.Background(), Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			if got := statedLines(r.Stated()); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestChartInTheRepository(t *testing.T) {
	root := t.TempDir()
	release := strings.Replace(plain, "chart: cilium, sourceRef: {kind: HelmRepository, name: x}", "chart: ./charts/cilium, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}", 1)
	put(t, root, "a.yaml", release)
	for _, local := range []bool{false, true} {
		if local {
			put(t, root, "charts/cilium/Chart.yaml", "name: cilium\nversion: 1.18.6\n")
		}
		r, err := Find(context.Background(), Options{Root: root})
		if err != nil || r.Chart.Local != local || r.Chart.Path != "charts/cilium" {
			t.Errorf("%+v, %v, want local %v", r, err, local)
		}
	}
}

func TestReadSettings(t *testing.T) {
	root := t.TempDir()
	if s, err := ReadSettings(root, nil); err != nil || s.Snapshot.Value != "" {
		t.Fatalf("no file: %v, %v", s, err)
	}
	put(t, root, SettingsFile, `# stated by hand
snapshot: ./ci/snapshot
facts:
  podCIDRs:
  - fd00:101:224::/60
  serviceCIDRs: fd00:101:96::/108
  ciliumVersion: v1.18.6
clusters:
  ./kubernetes:
    facts: {nodeCIDRs: [10.0.0.0/24]}
  kubernetes/main/:
    facts: {nodeCIDRs: [10.1.0.0/24]}
releases:
  kube-system/cilium:
    snapshot: snap
    facts:
      podCIDRs: [10.244.0.0/16, fd00::/56]
`)
	s, err := ReadSettings(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	general := s.For("other/cilium", "apps")
	want := Scope{
		PodCIDRs: []Setting{{"fd00:101:224::/60", ".remediate.yaml:5"}}, ServiceCIDRs: []Setting{{"fd00:101:96::/108", ".remediate.yaml:6"}},
		CiliumVersion: Setting{"1.18.6", ".remediate.yaml:7"}, Snapshot: Setting{"ci/snapshot", ".remediate.yaml:2"},
	}
	if !reflect.DeepEqual(general, want) {
		t.Errorf("general: %+v, want %+v", general, want)
	}
	own := s.For("kube-system/cilium", "kubernetes/main/apps")
	want.PodCIDRs = []Setting{{"10.244.0.0/16", ".remediate.yaml:17"}, {"fd00::/56", ".remediate.yaml:17"}}
	want.NodeCIDRs = []Setting{{"10.1.0.0/24", ".remediate.yaml:12"}}
	want.Snapshot = Setting{"snap", ".remediate.yaml:15"}
	if !reflect.DeepEqual(own, want) {
		t.Errorf("own: %+v, want %+v", own, want)
	}
}

func TestReadSettingsErrors(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown field", "snapshott: x\n", `.remediate.yaml:1: unknown field "snapshott"`},
		{"unknown fact", "facts:\n  podCIDR: [fd00::/60]\n", `.remediate.yaml:2: unknown fact "podCIDR"`},
		{"unknown in release", "releases:\n  a/b:\n    pods: 1\n", `.remediate.yaml:3: unknown field "pods"`},
		{"release name", "releases:\n  cilium: {}\n", `.remediate.yaml:2: a release is named`},
		{"not a range", "facts:\n  podCIDRs:\n  - fd00::/60\n  - fd00::1\n", `.remediate.yaml:4: podCIDRs: "fd00::1" is not a range`},
		{"host bits", "facts: {nodeCIDRs: [10.0.0.1/24]}\n", `10.0.0.0/24 is meant`},
		{"empty list", "facts: {nodeCIDRs: []}\n", `must be a list of ranges`},
		{"map for list", "facts: {nodeCIDRs: {a: b}}\n", `must be a list of ranges`},
		{"snapshot outside", "snapshot: ../../etc\n", `.remediate.yaml:1: snapshot must be a path inside`},
		{"absolute snapshot", "snapshot: /etc\n", `snapshot must be a path inside`},
		{"version", "facts: {ciliumVersion: [1]}\n", `ciliumVersion must be`},
		{"not a mapping", "facts: [1]\n", `.remediate.yaml:1: facts must be a mapping`},
		{"not YAML", "facts: [\n", `.remediate.yaml:`},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, SettingsFile, test.text)
			_, err := ReadSettings(root, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
