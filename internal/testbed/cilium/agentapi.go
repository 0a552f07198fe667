//go:build linux

package cilium

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxAnswer bounds what is read of an agent's answer, in bytes.
const maxAnswer = 64 << 20

// ask gets a resource of the agent's API (api/v1/openapi.yaml, 1.18.6).
func (n *Node) ask(path string, out any) error {
	req, err := http.NewRequest(http.MethodGet, "http://agent/v1/"+path, nil)
	if err != nil {
		return err
	}
	resp, err := n.api.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %.200s", path, resp.Status, text)
	}
	return json.Unmarshal(text, out)
}

// endpoint is one of the agent's, as far as it is read.
type endpoint struct {
	ID     int64 `json:"id"`
	Status struct {
		State               string `json:"state"`
		ExternalIdentifiers struct {
			// Attachment is the container's id and the device's name in there. Names of
			// pods are there up to 1.19 only (pkg/endpoint/api.go, 1.20.2).
			Attachment string `json:"cni-attachment-id"`
		} `json:"external-identifiers"`
		Identity struct {
			ID     int64    `json:"id"`
			Labels []string `json:"labels"`
		} `json:"identity"`
		Policy struct {
			Realized struct {
				Revision int64 `json:"policy-revision"`
			} `json:"realized"`
		} `json:"policy"`
		Networking struct {
			InterfaceName string `json:"interface-name"`
		} `json:"networking"`
	} `json:"status"`
}

func (n *Node) endpoints() ([]endpoint, error) {
	var out []endpoint
	err := n.ask("endpoint", &out)
	return out, err
}

// of says whether the endpoint is the pod's.
func (e endpoint) of(p *Pod) bool {
	container, _, _ := strings.Cut(e.Status.ExternalIdentifiers.Attachment, ":")
	return container == p.container
}

// podName is that of the pod whose endpoint it is, empty for the node's own.
func (n *Node) podName(e endpoint) string {
	for _, p := range n.cluster.podsOf(n) {
		if e.of(p) {
			return p.Namespace + "/" + p.Name
		}
	}
	return ""
}

// ready says whether the agent is well and has made the programs of all pods.
func (n *Node) ready() error {
	var health struct {
		Cilium, Kubernetes struct {
			State string `json:"state"`
			Msg   string `json:"msg"`
		}
	}
	if err := n.ask("healthz", &health); err != nil {
		return err
	}
	if health.Cilium.State != "Ok" || health.Kubernetes.State != "Ok" {
		return fmt.Errorf("cilium is %q (%s), kubernetes %q (%s)", health.Cilium.State, health.Cilium.Msg, health.Kubernetes.State, health.Kubernetes.Msg)
	}
	revision, err := n.policyRevision()
	if err != nil {
		return err
	}
	return n.realized(revision)
}

// realized says whether all pods' policies are at least of a revision.
func (n *Node) realized(revision int64) error {
	all, err := n.endpoints()
	if err != nil {
		return err
	}
	if pods := n.cluster.podsOf(n); len(all) <= len(pods) {
		return fmt.Errorf("%d endpoints of %d pods and the node itself", len(all), len(pods))
	}
	for _, e := range all {
		if s := e.Status; s.State != "ready" || s.Policy.Realized.Revision < revision {
			return fmt.Errorf("endpoint %d (%s) is %q at policy revision %d of %d", e.ID, n.podName(e), s.State, s.Policy.Realized.Revision, revision)
		}
	}
	return nil
}

func (n *Node) policyRevision() (int64, error) {
	var out struct {
		Revision int64 `json:"revision"`
	}
	err := n.ask("policy", &out)
	return out.Revision, err
}

// labels of an identity, sorted, none when the agent does not know it.
func (n *Node) labels(number int64) []string {
	var identity struct {
		Labels []string `json:"labels"`
	}
	if err := n.ask(fmt.Sprintf("identity/%d", number), &identity); err != nil {
		return nil
	}
	slices.Sort(identity.Labels)
	return identity.Labels
}

// reserved is the name of the first reserved label of an identity: kube-apiserver
// before remote-node, as the monitor has it.
func (n *Node) reserved(number int64) string {
	for _, label := range n.labels(number) {
		if name, ok := strings.CutPrefix(label, "reserved:"); ok {
			return name
		}
	}
	return ""
}

// identityOf is the number that a pod of the node has now. Where CIDR rules match pods it
// changes with the policies. It is 0 when the agent does not know the pod.
func (n *Node) identityOf(p *Pod) int64 {
	all, err := n.endpoints()
	if err != nil {
		return 0
	}
	for _, e := range all {
		if e.of(p) {
			return e.Status.Identity.ID
		}
	}
	return 0
}

// sameLabels says whether two identities stand for the same labels.
func (n *Node) sameLabels(a, b int64) bool {
	labels := n.labels(a)
	return len(labels) > 0 && slices.Equal(labels, n.labels(b))
}

// RouterIPs are the addresses of cilium_host (CiliumInternalIP), at most one per
// family.
func (n *Node) RouterIPs() ([]netip.Addr, error) {
	type family struct {
		IP      string `json:"ip"`
		Enabled bool   `json:"enabled"`
	}
	var out struct {
		Status struct {
			Addressing struct {
				IPv4 family `json:"ipv4"`
				IPv6 family `json:"ipv6"`
			} `json:"addressing"`
		} `json:"status"`
	}
	if err := n.ask("config", &out); err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	var errs []error
	for _, f := range []family{out.Status.Addressing.IPv4, out.Status.Addressing.IPv6} {
		if f.IP == "" || !f.Enabled {
			continue
		}
		a, err := netip.ParseAddr(f.IP)
		addrs, errs = append(addrs, a), append(errs, err)
	}
	return addrs, errors.Join(errs...)
}
