//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

func TestMain(m *testing.M) { cilium.Main(m) }

// sameNamespace admits pods of team-a's own namespace only.
const sameNamespace = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: same-namespace, namespace: team-a}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}]}]
`

// incidentValues are the Helm values of the bundled incident.
func incidentValues(t *testing.T) string {
	t.Helper()
	root, err := testbed.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "examples", "incidents", "talos-ipv6-ula",
		"repo", "kubernetes", "apps", "networking", "cilium", "app", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestIncident: pods outside ipv6-native-routing-cidr are masqueraded, and the policy
// of their own namespace denies them on every other node. The cure works node by node,
// where the sender is.
func TestIncident(t *testing.T) {
	values := incidentValues(t)
	broken := cilium.Render(t, values)
	cured := cilium.Render(t, values, "ipv6NativeRoutingCIDR: fd00:101::/32")
	c := cilium.Start(t, cilium.Options{Config: broken})
	var specs []cilium.PodSpec
	for _, n := range c.Nodes {
		specs = append(specs, cilium.PodSpec{Namespace: "team-a", Name: "a-" + n.Name, Node: n.Name})
	}
	specs = append(specs, cilium.PodSpec{Namespace: "team-a", Name: "a-local", Node: c.Nodes[0].Name})
	pods := c.AddPods(t, specs...)
	c.Log(t, "the pods are there")
	c.ApplyPolicy(t, sameNamespace)
	c.Log(t, "the policy is enforced")

	flows := allPairs(pods)
	t.Run("broken", func(t *testing.T) {
		for i, o := range sendAndCompare(t, c, flows) {
			across := c.End(flows[i].From, flows[i].Family).Node != c.End(flows[i].To, flows[i].Family).Node
			expect(t, flows[i], o, across && flows[i].Family == cidr.IPv6)
		}
	})
	sender := c.Nodes[0]
	if err := sender.Restart(cured); err != nil {
		t.Fatal(err)
	}
	c.Log(t, "the first node has the cure")
	t.Run("cured sender", func(t *testing.T) {
		for i, o := range sendAndCompare(t, c, flows) {
			from, to := c.End(flows[i].From, flows[i].Family).Node, c.End(flows[i].To, flows[i].Family).Node
			expect(t, flows[i], o, from != to && from != sender.Name && flows[i].Family == cidr.IPv6)
		}
	})
	c.Restart(t, cured)
	c.Log(t, "all nodes have the cure")
	t.Run("cured", func(t *testing.T) {
		for i, o := range sendAndCompare(t, c, flows) {
			expect(t, flows[i], o, false)
		}
	})
}

// allPairs are the flows of all protocols and families between pods.
func allPairs(pods []*cilium.Pod) (out []cilium.Flow) {
	for _, from := range pods {
		for _, to := range pods {
			if from != to {
				out = append(out, everyWay(cilium.Flow{From: from.Host, To: to.Host})...)
			}
		}
	}
	return out
}

func name(f cilium.Flow) string {
	to := f.To.Name
	if f.Service != nil {
		to = "service " + f.Service.Name
	}
	return fmt.Sprintf("%s %s %s -> %s", f.Family, f.Protocol, f.From.Name, to)
}

// expect is the incident's own picture: dropped flows come from the node's address and
// are taken for a remote node.
func expect(t *testing.T, f cilium.Flow, o cilium.Observation, dropped bool) {
	t.Helper()
	switch {
	case dropped && (o.Result == cilium.Reached || o.Source != datapath.SourceNode || o.Identity != "remote-node" || o.DropReason != datapath.PolicyDenied):
		t.Errorf("%s: %+v, want it dropped as of a remote node", name(f), o)
	case !dropped && (o.Result != cilium.Reached || o.Source != datapath.SourcePod || o.Identity != "pod" || o.DropReason != ""):
		t.Errorf("%s: %+v, want it delivered as of the pod", name(f), o)
	}
}

// sendAndCompare sends the flows and holds the model against what became of them.
func sendAndCompare(t *testing.T, c *cilium.Cluster, flows []cilium.Flow) []cilium.Observation {
	t.Helper()
	model, err := c.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := c.SendAll(t.Context(), flows...)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range flows {
		wrong, open := cilium.Compare(seen[i], model.Trace(c.Traced(f)))
		if len(wrong)+len(open) > 0 {
			t.Errorf("%s: %s; open: %s\n%s", name(f), strings.Join(wrong, "; "), strings.Join(open, "; "), strings.Join(seen[i].Evidence, "\n"))
		}
	}
	return seen
}
