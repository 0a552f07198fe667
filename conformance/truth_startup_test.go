package conformance

import (
	"maps"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// commandLine is the pseudo key under which a row keeps an argument that was
// given on the command line.
const commandLine = "(command line)"

// startRow is one measured start of an agent.
type startRow struct {
	ID, Cilium string
	Flags      map[string]string
	Starts     bool
	Message    string
	Error      string
	// DatapathInitialised is nil when the start stopped before that.
	DatapathInitialised *bool
	// KernelLimit: the outcome is this kernel's, which lacks WireGuard, netkit,
	// GENEVE and IPIP.
	KernelLimit bool
}

// printed is what the agent said, its error attribute included.
func (r startRow) printed() string { return r.Message + ": " + r.Error }

// config is the row's configuration with what the lab gave every agent besides:
// Kubernetes IPAM, no L7 proxy, one device.
func (r startRow) config() cilium.Config {
	values := map[string]string{"ipam": "kubernetes", "enable-l7-proxy": "false", "devices": "eth0"}
	maps.Copy(values, r.Flags)
	delete(values, commandLine)
	return cilium.Config{
		Version: r.Cilium,
		Values:  values,
		Source:  "lab",
		Node:    cilium.NodeFacts{Devices: []string{"eth0"}, MasqAgentFolder: snapshot.TriOf(!withoutMasqFolder[r.ID])},
	}
}

// withoutMasqFolder are the starts that were made without the folder of the
// ip-masq-agent file: a fact of the lab's mounts that no flag shows. The chart
// always mounts it.
var withoutMasqFolder = map[string]bool{"dual-ipmasqagent-bpfmasq-config-dir-missing": true}

// start is the model's answer, an argument of the command line included.
func (r startRow) start(cfg cilium.Config) cilium.Start {
	s := cilium.CheckStart(cfg)
	arg, given := r.Flags[commandLine]
	if refusal, refused := cilium.CheckArg(r.Cilium, arg); given && refused {
		s.Starts = snapshot.No
		s.Refusals = append([]cilium.Refusal{refusal}, s.Refusals...)
	}
	return s
}

// disagreement says how the model and the agent differ; empty when they agree.
func (r startRow) disagreement(s cilium.Start) string {
	first := s.First()
	switch {
	case (s.Starts == snapshot.Yes) != r.Starts && first != nil:
		return "the agent starts, the model refuses by " + first.ID + ": " + first.Message
	case (s.Starts == snapshot.Yes) != r.Starts:
		return "the model starts, the agent said: " + r.printed()
	case first != nil && !strings.Contains(r.printed(), first.Message):
		return first.ID + " says " + first.Message + "; the agent said: " + r.printed()
	case r.Starts && r.DatapathInitialised != nil && *r.DatapathInitialised != (len(s.Datapath) == 0):
		return "whether the datapath initialises differs"
	}
	return ""
}

// TestTruthStartup holds the start-up rules against what the real agent did.
func TestTruthStartup(t *testing.T) {
	var count tally
	for _, row := range readLines[startRow](t, truthStarts) {
		s := row.start(row.config())
		if s.Starts == snapshot.Unknown {
			count.unknown++
			t.Logf("%s (%s): unknown: %s", row.ID, row.Cilium, strings.Join(s.Unknown, "; "))
			if !row.KernelLimit && len(truthStarts.given) == 0 {
				t.Errorf("%s (%s): unknown although the kernel does not decide", row.ID, row.Cilium)
			}
			continue
		}
		why := row.disagreement(s)
		if why != "" && !(row.KernelLimit && s.Starts == snapshot.No && !row.Starts) {
			count.disagreed++
			t.Errorf("%s (%s): %s", row.ID, row.Cilium, why)
			continue
		}
		count.agreed++
	}
	t.Logf("starts: %s", count)
	if count.rows() == 0 {
		t.Error("no rows were read")
	}
}

// TestTruthStartupKernelFacts: with the lab kernel's limits stated, nothing is
// unknown, and those rows agree to the message.
func TestTruthStartupKernelFacts(t *testing.T) {
	for _, row := range readLines[startRow](t, truthStarts) {
		cfg := row.config()
		cfg.Node.WireGuard, cfg.Node.Netkit = snapshot.No, snapshot.No
		cfg.Node.Geneve, cfg.Node.IPIP = snapshot.No, snapshot.No
		s := row.start(cfg)
		if s.Starts == snapshot.Unknown {
			t.Errorf("%s (%s): unknown: %s", row.ID, row.Cilium, strings.Join(s.Unknown, "; "))
		} else if why := row.disagreement(s); why != "" {
			t.Errorf("%s (%s): %s", row.ID, row.Cilium, why)
		}
	}
}
