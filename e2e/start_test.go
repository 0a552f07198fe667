//go:build e2e && linux

package e2e

import (
	"errors"
	"testing"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

// TestRefused: the agent ends with the message that the catalogue quotes, and starts
// when that is repaired.
func TestRefused(t *testing.T) {
	c := cilium.Start(t, cilium.Options{Nodes: 1, WithoutAgents: true})
	node := c.Nodes[0]
	bad := cilium.Render(t, incidentValues(t))
	bad.Values["enable-ipv4"], bad.Values["enable-ipv6"] = "false", "false"
	refusal := agent.CheckStart(bad).First()
	if refusal == nil {
		t.Fatal("the catalogue lets the configuration start")
	}
	err := node.Restart(bad)
	said, ok := errors.AsType[*cilium.Refused](err)
	if !ok || said.Message != refusal.Message {
		t.Errorf("the agent says %v, %s says %q", err, refusal.ID, refusal.Message)
	}
	if err := node.Restart(cilium.Render(t, incidentValues(t))); err != nil {
		t.Fatal(err)
	}
	if text, err := node.Debug(t.Context(), "status", "--brief"); err != nil || text != "OK\n" {
		t.Errorf("status %q, %v", text, err)
	}
}
