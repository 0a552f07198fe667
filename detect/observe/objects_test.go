package observe

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// parse makes a snapshot of YAML text.
func parse(t *testing.T, texts ...string) *snapshot.Snapshot {
	t.Helper()
	s, err := FS(context.Background(), fstest.MapFS{"a.yaml": {Data: []byte(strings.Join(texts, "\n---\n"))}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func utc(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return at
}

func TestEvents(t *testing.T) {
	const about = "involvedObject: {kind: Pod, namespace: apps, name: web}"
	const flux = "involvedObject: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, namespace: flux-system, name: home}"
	tests := []struct {
		name, text, object, message string
	}{
		{"a time-out", "type: Warning\nreason: Unhealthy\nmessage: 'Get \"http://x\": context deadline exceeded'\n" + about, "Pod apps/web", `Get "http://x": context deadline exceeded`},
		{"no route", "type: Warning\nmessage: connect to host, no route to host\n" + about, "Pod apps/web", "connect to host, no route to host"},
		{"the sandbox", "type: Warning\nreason: FailedCreatePodSandBox\nmessage: plugin failed\n" + about, "Pod apps/web", "plugin failed"},
		{"Flux, whatever it says", "type: Warning\nmessage: invalid manifest\n" + flux, "GitRepository flux-system/home", "invalid manifest"},
		{"something else", "type: Warning\nreason: BackOff\nmessage: restarting\n" + about, "", ""},
		{"no warning", "type: Normal\nmessage: i/o timeout\n" + about, "", ""},
		{"a cluster-wide object", "type: Warning\nmessage: connection refused\ninvolvedObject: {kind: Node, name: n1}", "Node n1", "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, "apiVersion: v1\nkind: Event\nmetadata: {name: e, namespace: apps}\n"+tt.text)
			if !s.Read("Event") {
				t.Error("events count as unread")
			}
			if tt.object == "" {
				if len(s.Events) > 0 {
					t.Errorf("kept: %+v", s.Events)
				}
				return
			}
			if len(s.Events) != 1 || s.Events[0].Object != tt.object || s.Events[0].Message != tt.message || s.Events[0].Source != "Event apps/e" {
				t.Errorf("events %+v", s.Events)
			}
		})
	}
}

func TestFluxObjects(t *testing.T) {
	object := func(api, kind, rest string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: x, namespace: y}\n%s", api, kind, rest)
	}
	tests := []struct {
		name, text string
		want       snapshot.FluxObject
	}{
		{
			"a new object says nothing", object("source.toolkit.fluxcd.io/v1", "HelmRepository", "spec: {url: 'https://charts.example.com'}"),
			snapshot.FluxObject{Kind: "HelmRepository", URL: "https://charts.example.com"},
		},
		{
			"in progress is neither ready nor not", object("helm.toolkit.fluxcd.io/v2", "HelmRelease", "status: {conditions: [{type: Ready, status: Unknown, reason: Progressing}]}"),
			snapshot.FluxObject{Kind: "HelmRelease", Reason: "Progressing"},
		},
		{
			"an older HelmRelease names its revision", object("helm.toolkit.fluxcd.io/v2beta1", "HelmRelease", "status: {lastAppliedRevision: 1.17.0, history: [{chartVersion: 1.18.0}], conditions: [{type: Ready, status: 'True'}]}"),
			snapshot.FluxObject{Kind: "HelmRelease", Revision: "1.17.0", Ready: snapshot.Yes},
		},
		{
			"a suspended Kustomization", object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "spec: {suspend: true, path: ./a}\nstatus: {conditions: [{type: Ready, status: 'False', reason: BuildFailed, message: 'token=abc'}]}"),
			snapshot.FluxObject{Kind: "Kustomization", Suspended: true, Path: "./a", Ready: snapshot.No, Reason: "BuildFailed", Message: "token=(removed)"},
		},
		{
			"a source's artifact", object("source.toolkit.fluxcd.io/v1beta2", "OCIRepository", "status: {artifact: {revision: 'v1@sha256:0'}}"),
			snapshot.FluxObject{Kind: "OCIRepository", Revision: "v1@sha256:0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Namespace, tt.want.Name, tt.want.Source = "y", "x", tt.want.Kind+" y/x"
			if diff := cmp.Diff([]snapshot.FluxObject{tt.want}, parse(t, tt.text).Flux); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAgents(t *testing.T) {
	agent := func(status string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: cilium-x, namespace: kube-system, labels: {k8s-app: cilium}}\n" +
			"spec: {nodeName: n1, hostNetwork: true, containers: [{name: cilium-agent, image: 'c:v1.18.6'}]}\nstatus:\n" + status
	}
	base := snapshot.AgentPod{Name: "cilium-x", Node: "n1", ImageVersion: "1.18.6"}
	tests := []struct {
		name, status string
		change       func(*snapshot.AgentPod)
	}{
		{"nothing known", "  phase: Pending\n", func(*snapshot.AgentPod) {}},
		{
			"the configuration counts, not the pod", "  startTime: '2026-01-01T00:00:00Z'\n  initContainerStatuses: [{name: config, state: {terminated: {finishedAt: '2026-01-01T00:01:00Z'}}}]\n",
			func(a *snapshot.AgentPod) { a.Started = utc("2026-01-01T00:01:00Z") },
		},
		{
			"another init container does not count", "  startTime: '2026-01-01T00:00:00Z'\n  initContainerStatuses: [{name: apply-sysctl, state: {terminated: {finishedAt: '2026-01-01T00:01:00Z'}}}, {name: config, state: {running: {}}}]\n",
			func(a *snapshot.AgentPod) { a.Started = utc("2026-01-01T00:00:00Z") },
		},
		{
			"other time zones", "  startTime: '2026-01-01T02:00:00+02:00'\n",
			func(a *snapshot.AgentPod) { a.Started = utc("2026-01-01T00:00:00Z") },
		},
		{
			"crashing", "  containerStatuses: [{name: cilium-agent, ready: false, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {message: 'level=fatal msg=no '}}}, {name: other, ready: true}]\n",
			func(a *snapshot.AgentPod) {
				a.Ready, a.Restarts, a.WaitingReason, a.LastTermination = snapshot.No, 3, "CrashLoopBackOff", "level=fatal msg=no"
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := base
			tt.change(&want)
			s := parse(t, agent(tt.status))
			if diff := cmp.Diff([]snapshot.AgentPod{want}, s.AgentDaemonSet.Value.Agents); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A pod that only looks like an agent by its label is none.
func TestNotAnAgent(t *testing.T) {
	s := parse(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: y, labels: {k8s-app: cilium}}\nspec: {containers: [{name: web}]}\n")
	if s.AgentDaemonSet.Known || s.AgentImageVersion.Known {
		t.Errorf("agents: %+v", s.AgentDaemonSet)
	}
}

func TestDaemonSetGivesTheVersionWhenNoAgentRuns(t *testing.T) {
	s := parse(t, "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: cilium, namespace: kube-system}\nspec: {template: {spec: {containers: [{name: cilium-agent, image: 'c:v1.19.1'}]}}}\n")
	if want := snapshot.Known("1.19.1", "DaemonSet kube-system/cilium"); s.AgentImageVersion != want {
		t.Errorf("version %+v", s.AgentImageVersion)
	}
}

func TestAPIServers(t *testing.T) {
	nodes := "apiVersion: v1\nkind: NodeList\nitems:\n- {metadata: {name: a}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}\n- {metadata: {name: b}, status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}\n"
	slice := func(addresses string) string {
		return "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}\nendpoints: [" + addresses + "]\n"
	}
	tests := []struct {
		name, slice string
		a, b        snapshot.Tri
	}{
		{"no endpoints read", "kind: Nothing", snapshot.Unknown, snapshot.Unknown},
		{"an empty slice says nothing", slice(""), snapshot.Unknown, snapshot.Unknown},
		{"one of two", slice("{addresses: [10.0.0.1]}"), snapshot.Yes, snapshot.No},
		{"one that is not ready", slice("{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}"), snapshot.Yes, snapshot.No},
		{"an address outside the cluster", slice("{addresses: [192.0.2.1]}"), snapshot.No, snapshot.No},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := parse(t, nodes, tt.slice)
			if a, b := s.Nodes[0].APIServer, s.Nodes[1].APIServer; a != tt.a || b != tt.b {
				t.Errorf("a %v, b %v; want %v, %v", a, b, tt.a, tt.b)
			}
		})
	}
}

func TestBGPIsKnownOrNot(t *testing.T) {
	config := func(bgp string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {" + bgp + "}\n"
	}
	object := "apiVersion: cilium.io/v2\nkind: CiliumBGPClusterConfig\nmetadata: {name: x}\n"
	empty := "apiVersion: cilium.io/v2\nkind: CiliumBGPClusterConfigList\nitems: []\n"
	on := config("enable-bgp-control-plane: 'true'")
	tests := []struct {
		name  string
		texts []string
		want  snapshot.Tri
	}{
		{"nothing read", nil, snapshot.Unknown},
		{"an object", []string{object, config("")}, snapshot.Yes},
		{"none of them", []string{empty, on}, snapshot.No},
		{"unread, and the control plane is off", []string{config("enable-bgp-control-plane: 'false'")}, snapshot.No},
		{"unread, and off by default", []string{config("ipam: kubernetes")}, snapshot.No},
		{"unread, and the control plane is on", []string{on}, snapshot.Unknown},
	}
	for _, tt := range tests {
		if got := parse(t, tt.texts...).HasBGP; got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestConfigChangeTime(t *testing.T) {
	config := func(fields string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system, managedFields: [" + fields + "]}\ndata: {a: b}\n"
	}
	tests := []struct{ name, fields, want string }{
		{"unknown", "", ""},
		{"labels do not count", "{manager: a, time: '2026-01-01T00:00:00Z', fieldsV1: {'f:metadata': {}}}", ""},
		{"the newest of several", "{manager: a, time: '2026-01-03T00:00:00Z', fieldsV1: {'f:data': {}}}, {manager: b, time: '2026-01-02T00:00:00Z', fieldsV1: {'f:data': {}}}", "2026-01-03T00:00:00Z"},
		{"no time", "{manager: a, fieldsV1: {'f:data': {}}}", ""},
	}
	for _, tt := range tests {
		if got := parse(t, config(tt.fields)).AgentConfigChanged; !got.Equal(utc(tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, got, tt.want)
		}
	}
}

func TestConfigMapsThatStateRanges(t *testing.T) {
	configMap := func(name, data string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: kube-system}\ndata:\n" + data
	}
	tests := []struct {
		name, text      string
		pools, services []string
		fails           string
	}{
		{"kubeadm", configMap("kubeadm-config", "  ClusterConfiguration: '{networking: {podSubnet: \"10.0.0.0/8,fd00::/48\", serviceSubnet: 10.96.0.0/12}}'\n"), []string{"10.0.0.0/8", "fd00::/48"}, []string{"10.96.0.0/12"}, ""},
		{"kubeadm without ranges", configMap("kubeadm-config", "  ClusterConfiguration: 'kind: ClusterConfiguration'\n"), nil, nil, ""},
		{"kubeadm with a bad range", configMap("kubeadm-config", "  ClusterConfiguration: '{networking: {podSubnet: x}}'\n"), nil, nil, `"x" is not a CIDR`},
		{"talos", configMap("my-talos", "  a: 'not: it'\n  b: '{cluster: {network: {podSubnets: [10.0.0.0/8]}}}'\n"), []string{"10.0.0.0/8"}, nil, ""},
		{"talos with a bad range", configMap("my-talos", "  b: '{cluster: {network: {podSubnets: [x]}}}'\n"), nil, nil, `data.b`},
		{"talos in name only", configMap("talos-notes", "  b: 'hello'\n"), nil, nil, ""},
		{"another ConfigMap", configMap("other", "  b: '{cluster: {network: {podSubnets: [10.0.0.0/8]}}}'\n"), nil, nil, ""},
		{"pools count in their mode only", configMap("cilium-config", "  ipam: kubernetes\n  cluster-pool-ipv4-cidr: 10.0.0.0/8\n"), nil, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := FS(context.Background(), fstest.MapFS{"a.yaml": {Data: []byte(tt.text)}}, "test")
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("error = %v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.pools, prefixStrings(s.PodPools)); diff != "" {
				t.Errorf("pools (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.services, prefixStrings(s.ServiceCIDRs)); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
		})
	}
}

func prefixStrings(cs []snapshot.CIDR) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.Prefix.String())
	}
	return out
}

func TestPortsAndEndpoints(t *testing.T) {
	s := parse(t, "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {ports: [{port: 1}, {port: 2, targetPort: 20}, {port: 3, targetPort: web}, {port: 4, targetPort: '40', protocol: UDP}]}\n",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: b, namespace: n, labels: {kubernetes.io/service-name: s}}\nendpoints: [{addresses: [10.0.0.2, 10.0.0.1]}]\n",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, namespace: n, labels: {kubernetes.io/service-name: s}}\nendpoints: [{addresses: [10.0.0.1]}, {addresses: ['fd00::1']}]\n",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: c, namespace: other, labels: {kubernetes.io/service-name: s}}\nendpoints: [{addresses: [10.0.0.9]}]\n",
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: d, namespace: n}\nendpoints: [{addresses: [10.0.0.8]}]\n")
	want := []snapshot.ServicePort{{Port: 1, TargetPort: 1, Protocol: "TCP"}, {Port: 2, TargetPort: 20, Protocol: "TCP"}, {Port: 3, Protocol: "TCP"}, {Port: 4, TargetPort: 40, Protocol: "UDP"}}
	if diff := cmp.Diff(want, s.Services[0].Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(s.Services[0].Endpoints); got != "[10.0.0.1 10.0.0.2 fd00::1]" {
		t.Errorf("endpoints %s", got)
	}
}

// Kinds of the same name in another group are not ours.
func TestKindsAreKnownByGroup(t *testing.T) {
	for _, text := range []string{
		"apiVersion: example.com/v1\nkind: Node\nmetadata: {name: x}\n",
		"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n",
		"apiVersion: v1\nkind: CiliumNode\nmetadata: {name: x}\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: Yg==}\n",
	} {
		if s := parse(t, text); len(s.ReadKinds) > 0 {
			t.Errorf("read %v from\n%s", s.ReadKinds, text)
		}
	}
	if newItem(typeName{"", "Secret"}) != nil {
		t.Error("Secrets are read")
	}
}

// One pod's labels and another's are held once when they are equal.
func TestLabelsAreShared(t *testing.T) {
	pod := func(name, labels string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: n, labels: {" + labels + "}}\n"
	}
	s := parse(t, pod("a", "x: y, z: w"), pod("b", "z: w, x: y"), pod("c", "x: yz, w: ''"))
	s.Pods[0].Labels["mark"] = "1"
	if s.Pods[1].Labels["mark"] != "1" || s.Pods[2].Labels["mark"] != "" {
		t.Errorf("labels %v, %v, %v", s.Pods[0].Labels, s.Pods[1].Labels, s.Pods[2].Labels)
	}
}

func TestFilesWithoutSuffix(t *testing.T) {
	for text, want := range map[string]bool{
		"apiVersion: v1\nkind: Node\n":                 true,
		"# kubectl\n---\nkind: Node\napiVersion: v1\n": true,
		"\ufeffitems:\n- kind: Node\n":                 true,
		"{\"apiVersion\": \"v1\"}":                     true,
		"{\n  \"kind\": 1,\n  \"apiVersion\": 2}":      true,
		"{{ template }}":                               false,
		"# Notes on kind: Node\n\nSee apiVersion.\n":   false,
		"apiVersion\n":                                 false,
		"":                                             false,
		"\x7fELF\x02\x01":                              false,
	} {
		got, err := looksLikeObjects(openText(text))
		if err != nil || got != want {
			t.Errorf("looksLikeObjects(%q) = %v, %v", text, got, err)
		}
	}
}
