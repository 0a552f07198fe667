//go:build linux

package story

import (
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// FluxNamespace is where Flux's controllers and the sync objects are.
const FluxNamespace = "flux-system"

const (
	sourceController    = "source-controller"
	kustomizeController = "kustomize-controller"
	helmController      = "helm-controller"
)

func fluxControllers() []string {
	return []string{sourceController, kustomizeController, helmController}
}

// storagePort is where source-controller serves artifacts, behind port 80 of its
// Service.
const storagePort = 9090

// Flux is Flux's controllers: Deployments of one replica in [FluxNamespace], whose
// pods are guarded by a NetworkPolicy that admits that namespace's own, as Flux
// installs it.
type Flux struct{ bed *Bed }

// Stop ends all controllers, as scaling them to zero does.
func (f Flux) Stop(t testing.TB) { f.scale(t, 0) }

// Start starts them again and waits until they run.
func (f Flux) Start(t testing.TB) { f.scale(t, 1); f.Until(t) }

func (f Flux) scale(t testing.TB, replicas int) {
	t.Helper()
	for _, name := range fluxControllers() {
		f.patch(t, name, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
	}
	if replicas == 0 {
		eventually(t, time.Minute, "no pod of Flux is left", func() string {
			pods, err := f.bed.Kube.CoreV1().Pods(FluxNamespace).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			if n := len(pods.Items); n > 0 {
				return fmt.Sprintf("%d pods", n)
			}
			return ""
		})
	}
}

// Move has a controller's pod run on another node.
func (f Flux) Move(t testing.TB, controller, node string) {
	t.Helper()
	f.patch(t, controller, fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeSelector":{%q:%q}}}}}`, corev1.LabelHostname, node))
	f.Until(t)
}

func (f Flux) patch(t testing.TB, name, text string) {
	t.Helper()
	_, err := f.bed.Kube.AppsV1().Deployments(FluxNamespace).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("Deployment %s: %v", name, err)
	}
}

// Until waits until the controllers are as their Deployments say.
func (f Flux) Until(t testing.TB) {
	t.Helper()
	for _, name := range fluxControllers() {
		eventually(t, time.Minute, name+" runs", func() string {
			d, err := f.bed.Kube.AppsV1().Deployments(FluxNamespace).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			s := d.Status
			if s.ObservedGeneration != d.Generation || s.UpdatedReplicas != 1 || s.Replicas != 1 || s.AvailableReplicas != 1 {
				return fmt.Sprintf("status %+v; kubelet: %v", s, f.bed.Kubelet.Errors())
			}
			return ""
		})
	}
}

// Reconcile asks for an object of Flux to be looked at now, as flux reconcile does:
// kind is GitRepository, HelmRepository, Kustomization or HelmRelease.
func (f Flux) Reconcile(t testing.TB, kind, namespace, name string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q}}}`, time.Now().Format(time.RFC3339Nano))
	_, err := f.bed.Dynamic.Resource(fluxResource(kind)).Namespace(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("%s %s/%s: %v", kind, namespace, name, err)
	}
}

// fluxPod is the pod of a controller that runs.
func (b *Bed) fluxPod(t testing.TB, controller string) *Pod {
	t.Helper()
	pods, err := b.Kube.CoreV1().Pods(FluxNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + controller})
	b.must(t, err)
	for i := range pods.Items {
		if p := &pods.Items[i]; isReady(p) && p.DeletionTimestamp == nil {
			return b.pod(p.Namespace, p.Name)
		}
	}
	t.Fatalf("%s does not run", controller)
	return nil
}

// startFlux runs a controller in a pod of the lab. The API server, Git and the
// charts are reached by the pod's own 127.0.0.1, as they have no place in the lab.
func (b *Bed) startFlux(pod *corev1.Pod, dir string, stdout io.Writer) (func(), []netip.Addr, error) {
	app := pod.Labels["app"]
	p, err := b.attach(pod, true)
	if err != nil {
		return nil, nil, err
	}
	env, err := kubelet.Env(pod, p.IPs())
	if err != nil {
		return nil, nil, err
	}
	relays, err := b.reachServers(p)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(b.binaries[app], kubelet.Args(pod, dir, env)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, stdout
	cmd.Env = append(env, "KUBECONFIG="+b.kubeconfig, "HOME="+dir, "TMPDIR="+dir)
	if err := p.Start(cmd); err != nil {
		closeAll(relays)
		return nil, nil, err
	}
	if app == sourceController {
		b.opts.Datapath.endpoints(FluxNamespace, sourceController, p.IP(cidr.IPv6))
	}
	return func() {
		p.Stop(cmd)
		closeAll(relays)
		b.detach(p)
	}, p.IPs(), nil
}

func closeAll(relays []*relay) {
	for _, r := range relays {
		r.close()
	}
}

func (b *Bed) reachServers(p *Pod) (relays []*relay, err error) {
	for _, server := range []string{b.Server.Config.Host, b.Forge.CloneURL(), b.charts.URL} {
		u, err := url.Parse(server)
		if err != nil {
			closeAll(relays)
			return nil, err
		}
		l, err := p.Listen("tcp", u.Host)
		if err != nil {
			closeAll(relays)
			return nil, err
		}
		relays = append(relays, newRelay(l, u.Host))
	}
	return relays, nil
}

// fluxObjects are what an installation of Flux has, as far as anybody looks.
func (b *Bed) fluxObjects(service lab.Service) []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: FluxNamespace, Name: name} }
	single, family := corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol
	out := []client.Object{
		&networkingv1.NetworkPolicy{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: meta("allow-egress"),
			Spec: networkingv1.NetworkPolicySpec{
				Egress:      []networkingv1.NetworkPolicyEgressRule{{}},
				Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			},
		},
		&corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta(FluxNamespace), Data: b.Forge.Secret()},
		&corev1.Service{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta(sourceController),
			Spec: corev1.ServiceSpec{
				ClusterIP: service.ClusterIPs[0].String(), ClusterIPs: []string{service.ClusterIPs[0].String()},
				IPFamilies: []corev1.IPFamily{family}, IPFamilyPolicy: &single,
				Selector: map[string]string{"app": sourceController},
				Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
			},
		},
	}
	for _, name := range fluxControllers() {
		out = append(out, b.fluxDeployment(name, meta(name)))
	}
	return out
}

func (b *Bed) fluxDeployment(name string, meta metav1.ObjectMeta) client.Object {
	labels := map[string]string{"app": name}
	node := b.Lab.Nodes[0].Name
	args := []string{"--watch-all-namespaces", "--log-level=info", "--log-encoding=json", "--events-addr=", "--enable-leader-election=false"}
	ports := []corev1.ContainerPort{{Name: "http-prom", ContainerPort: 8080}, {Name: "healthz", ContainerPort: 9440}}
	if name == sourceController {
		args = append(args, "--storage-path="+filepath.Join("/", "data"), fmt.Sprintf("--storage-addr=:%d", storagePort),
			"--storage-adv-addr=source-controller.$(RUNTIME_NAMESPACE).svc.cluster.local.")
		ports = append(ports, corev1.ContainerPort{Name: "http", ContainerPort: storagePort})
	} else if b.opts.Apart {
		node = b.Lab.Nodes[1].Name
	}
	meta.Labels = map[string]string{"app.kubernetes.io/part-of": "flux", "control-plane": "controller"}
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeSelector: map[string]string{corev1.LabelHostname: node},
					Containers: []corev1.Container{{
						Name: "manager", Image: "ghcr.io/fluxcd/" + name + ":" + testbed.FluxVersion(name), Args: args, Ports: ports,
						Env: []corev1.EnvVar{{Name: "RUNTIME_NAMESPACE", ValueFrom: &corev1.EnvVarSource{
							FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"},
						}}},
						VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
					}},
					Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
				},
			},
		},
	}
}
